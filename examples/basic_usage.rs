//! The life of detrix in a service: initialized at the start, woken when somebody wants to look, asleep again afterwards.
//!
//! ```console
//! $ cargo run --release --example basic_usage
//! ```
//!
//! runs with a Detrix daemon, which is looked for at `DETRIX_DAEMON_URL` or `http://127.0.0.1:8090`, and without one:
//! then it says so, and goes on. With `DETRIX_REGISTER=0` no daemon is asked for, and any debug client may attach.

use std::thread;
use std::time::Duration;

use detrix::{Config, Error};

fn main() -> Result<(), Error> {
    detrix::init(Config {
        name: Some("basic-usage".to_owned()),
        ..Config::default()
    })?;
    report("initialized");

    // In a service this is the daemon's request to the control plane, or an endpoint of the service's own.
    match detrix::wake() {
        Ok(woken) => {
            println!(
                "awake: debug clients attach to 127.0.0.1:{}",
                woken.debug_port
            );
            if !woken.connection_id.is_empty() {
                println!("the daemon calls this process {}", woken.connection_id);
            }
        }
        // A daemon that is not there is no reason for a service to end. Nothing was changed, and the next wake may work.
        Err(error @ Error::DaemonUnreachable { .. }) => {
            println!("still asleep, for there is no daemon: {error}");
            println!("start one, or set DETRIX_REGISTER=0 to be debugged without");
        }
        Err(error) => return Err(error),
    }
    report("after wake");

    // The service works.
    thread::sleep(Duration::from_millis(200));

    println!("sleep: {}", detrix::sleep()?.status);
    report("after sleep");
    detrix::shutdown()
}

/// Prints what a service may want to log.
fn report(when: &str) {
    let status = detrix::status();
    println!(
        "{when}: {} is {}, control plane on {}:{}, debug port {}",
        status.name,
        status.state,
        status.control_host,
        status.control_port,
        match status.debug_port_active {
            true => status.debug_port.to_string(),
            false => "closed".to_owned(),
        }
    );
    if let Some(error) = status.last_error {
        println!("  the last error: {error}");
    }
}
