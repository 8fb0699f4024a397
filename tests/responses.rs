//! The answers as JSON and as text: what the Detrix daemon, its users and code that was written for `detrix-rs` rely on.

use std::collections::HashSet;
use std::fmt::{Debug, Display};
use std::str::FromStr;

use detrix::{
    ClientState, DaemonLink, DiscoverResponse, LogpointState, SleepResponse, SleepResponseStatus,
    StatusResponse, UnknownName, WakeResponse, WakeResponseStatus,
};
use serde::Serialize;
use serde::de::DeserializeOwned;
use serde_json::{Value, json};

/// Reads `text` as a `T`, and checks that it is written the same.
fn round_trip<T: Serialize + DeserializeOwned>(json: &Value) -> T {
    let read: T = serde_json::from_value(json.clone()).expect("it is a response");
    assert_eq!(
        serde_json::to_value(&read).expect("it can be written"),
        *json
    );
    read
}

#[test]
fn status_has_snake_case_keys_and_leaves_out_what_there_is_not() {
    let mut json = json!({
        "control_host": "127.0.0.1",
        "control_port": 8099,
        "daemon_url": "http://127.0.0.1:8090",
        "debug_port": 40177,
        "debug_port_active": false,
        "name": "orders",
        "state": "sleeping",
        "daemon_link": "none",
        "debug_clients": 0,
    });
    let status: StatusResponse = round_trip(&json);
    assert_eq!(status.connection_id, None);
    assert_eq!((status.control_port, status.debug_port), (8099, 40177));

    json["connection_id"] = json!("4d20");
    json["last_error"] = json!("why");
    let status: StatusResponse = round_trip(&json);
    assert_eq!(status.connection_id.as_deref(), Some("4d20"));
    assert_eq!(StatusResponse::from(&status).name, "orders");
}

#[test]
fn status_has_the_numbers_of_each_logpoint_and_of_all() {
    let counts = json!({
        "hits": 9, "logged": 7, "dropped": 1, "missed": 2,
        "suspensions": 3, "suspended_ns": 250_000_000, "stopped_ns": 15_000_000,
    });
    let mut logpoint = counts.clone();
    logpoint["id"] = json!(5);
    logpoint["path"] = json!("src/main.rs");
    logpoint["line"] = json!(7);
    logpoint["state"] = json!("suspended");
    let status: StatusResponse = round_trip(&json!({
        "control_host": "127.0.0.1",
        "control_port": 8099,
        "daemon_url": "http://127.0.0.1:8090",
        "debug_port": 40177,
        "debug_port_active": true,
        "name": "orders",
        "state": "awake",
        "daemon_link": "none",
        "debug_clients": 1,
        "logpoints": [logpoint],
        "logpoint_totals": counts,
    }));
    assert_eq!(status.logpoints[0].state, LogpointState::Suspended);
    assert_eq!(Some(status.logpoints[0].counts), status.logpoint_totals);
}

#[test]
fn a_status_of_another_client_can_be_read() {
    let json = json!({
        "control_host": "127.0.0.1",
        "control_port": 1,
        "daemon_url": "",
        "debug_port": 0,
        "debug_port_active": false,
        "name": "",
        "state": "awake",
        "a key of a later version": [1],
    });
    let status: StatusResponse = serde_json::from_value(json).expect("what is unknown is ignored");
    assert_eq!(status.state, ClientState::Awake);
    assert_eq!(status.daemon_link, DaemonLink::None);
}

#[test]
fn wake_sleep_and_discover() {
    let woken: WakeResponse = round_trip(&json!({
        "connection_id": "4d20",
        "debug_port": 40177,
        "status": "already_awake",
    }));
    assert_eq!(woken.status, WakeResponseStatus::AlreadyAwake);
    let woken: WakeResponse = round_trip(&json!({
        "connection_id": "",
        "daemon_url": "https://detrix.example",
        "debug_port": 40177,
        "status": "awake",
    }));
    assert_eq!(
        WakeResponse::from(&woken).daemon_url.as_deref(),
        Some("https://detrix.example")
    );
    let slept: SleepResponse = round_trip(&json!({"status": "already_sleeping"}));
    assert_eq!(
        SleepResponse::from(&slept).status,
        SleepResponseStatus::AlreadySleeping
    );
    let known: DiscoverResponse = round_trip(&json!({
        "daemon_url": "http://127.0.0.1:8090",
        "name": "orders",
    }));
    assert_eq!(DiscoverResponse::from(&known).control_plane_url, None);
    round_trip::<DiscoverResponse>(&json!({
        "control_plane_url": "http://pod-1:8099",
        "daemon_url": "http://127.0.0.1:8090",
        "name": "orders",
    }));
}

/// Checks every way in and out of an enum's names.
fn names<T>(names: &[(T, &str)])
where
    T: Copy + Debug + Display + Ord + std::hash::Hash + Serialize + DeserializeOwned,
    T: FromStr<Err = UnknownName>,
    T: for<'a> TryFrom<&'a str, Error = UnknownName>,
    T: for<'a> TryFrom<&'a String, Error = UnknownName>,
    T: TryFrom<String, Error = UnknownName>,
    T: for<'a> From<&'a T>,
{
    for &(value, name) in names {
        assert_eq!(value.to_string(), name);
        assert_eq!(format!("{value:>20}").len(), 20, "it can be aligned");
        assert_eq!(T::from(&value), value);
        assert_eq!(name.parse::<T>(), Ok(value));
        assert_eq!(T::try_from(name), Ok(value));
        assert_eq!(T::try_from(&name.to_owned()), Ok(value));
        assert_eq!(T::try_from(name.to_owned()), Ok(value));
        assert_eq!(serde_json::to_value(value).expect("a name"), json!(name));
        let read: T = serde_json::from_value(json!(name)).expect("a name");
        assert_eq!(read, value);
    }
    assert!(names.is_sorted_by_key(|(value, _)| *value));
    let different: HashSet<T> = names.iter().map(|(value, _)| *value).collect();
    assert_eq!(different.len(), names.len());
    for wrong in ["", "Awake", "AWAKE", "asleep", " awake"] {
        let error = wrong.parse::<T>().expect_err("no such name").to_string();
        let (_, first) = names[0];
        assert!(error.contains(&format!("{wrong:?}")), "{error}");
        assert!(error.contains(first), "it names what is known: {error}");
        assert!(serde_json::from_value::<T>(json!(wrong)).is_err());
    }
}

#[test]
fn every_enum_has_its_names_on_the_wire_and_in_text() {
    names(&[
        (ClientState::Sleeping, "sleeping"),
        (ClientState::Warm, "warm"),
        (ClientState::Waking, "waking"),
        (ClientState::Awake, "awake"),
    ]);
    names(&[
        (LogpointState::Active, "active"),
        (LogpointState::Suspended, "suspended"),
        (LogpointState::Expired, "expired"),
    ]);
    names(&[
        (WakeResponseStatus::Awake, "awake"),
        (WakeResponseStatus::AlreadyAwake, "already_awake"),
    ]);
    names(&[
        (SleepResponseStatus::Sleeping, "sleeping"),
        (SleepResponseStatus::AlreadySleeping, "already_sleeping"),
    ]);
    names(&[
        (DaemonLink::None, "none"),
        (DaemonLink::Registering, "registering"),
        (DaemonLink::Connected, "connected"),
        (DaemonLink::Disconnected, "disconnected"),
    ]);
}
