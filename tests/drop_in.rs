//! A program that was written for `detrix-rs` runs with `detrix` in its place: `fixtures/drop_in`, which uses every item of
//! that crate's API under its name.

use std::process::{Command, Stdio};

use detrix_standin::{Options, Standin, Status};
use detrix_test_support::{Profile, drop_in};

/// Where the program's daemons say that they are reached.
const ADVERTISED: [&str; 2] = ["http://configured.example", "http://other.example"];

/// What the program prints, in parts that the tests look at one by one.
struct Printed(String);

impl Printed {
    /// With two daemons, both of which are gone through.
    fn by_the_program() -> (Self, [Standin; 2]) {
        let daemons = ADVERTISED.map(|url| {
            let options = Options {
                advertise_url: Some(url.to_owned()),
                ..Options::default()
            };
            Standin::start(options).expect("a stand-in starts")
        });
        let home = tempfile::tempdir().expect("a directory");
        let program = drop_in(Profile::Release);
        let output = Command::new(&program)
            .args(daemons.iter().map(Standin::url))
            .arg(home.path())
            // The one thing that an environment is asked for; it helps on a busy machine, too.
            .env("DETRIX_REGISTER_TIMEOUT", "30")
            .env("DETRIX_HEALTH_CHECK_TIMEOUT", "30")
            .env("DETRIX_UNREGISTER_TIMEOUT", "30")
            .env("HOME", home.path())
            .stdin(Stdio::null())
            .stderr(Stdio::inherit())
            .output()
            .unwrap_or_else(|error| panic!("{}: {error}", program.display()));
        let printed = String::from_utf8(output.stdout).expect("it prints text");
        assert!(output.status.success(), "{}:\n{printed}", output.status);
        (Self(printed), daemons)
    }

    /// Checks that the lines that start with `word` are these.
    fn has(&self, word: &str, expected: &[&str]) {
        let lines: Vec<_> = self
            .0
            .lines()
            .filter_map(|line| line.strip_prefix(word))
            .map(str::trim_start)
            .collect();
        assert_eq!(lines, expected, "{word}:\n{}", self.0);
    }
}

#[test]
fn a_program_for_detrix_rs_gets_what_it_is_used_to() {
    let (printed, daemons) = Printed::by_the_program();

    // Configuration.
    printed.has("default name", &["None None None"; 2]);
    printed.has(
        "default addresses",
        &[r"127.0.0.1 [0, 0] http://127.0.0.1:8090"; 2],
    );
    printed.has("default paths", &["None None"; 2]);
    printed.has("default build", &["[None, None] false"; 2]);
    printed.has("default timeouts", &["[2s, 5s, 2s, 10s]"; 2]);
    printed.has("connection_name", &["drop-in"]);
    printed.has("detrix_home_path", &[r#"Some("/srv/detrix")"#]);
    printed.has("unnamed", &["true"]);
    printed.has("from the environment", &["30s"]);
    printed.has("tls verify", &["true"]);
    printed.has("tls ca_bundle", &["None"]);

    // Answers.
    printed.has(
        "status",
        &[r#"Some("4d20") 1 2 true ["h", "u", "n"] awake"#],
    );
    printed.has("wake", &["4d20 None 2 already_awake"]);
    printed.has("sleep", &["already_sleeping"]);
    printed.has("discover", &[r#"None ["u", "n"]"#]);
    printed.has(
        "names",
        &[
            "sleeping=true waking=true awake=true",
            "awake=true already_awake=true",
            "sleeping=true already_sleeping=true",
        ],
    );

    // Errors.
    printed.has(
        "error",
        &[
            "AlreadyInitialized: detrix client already initialized",
            "NotInitialized: detrix client not initialized",
            "WakeInProgress: wake operation already in progress",
            "DaemonUnreachable: daemon not reachable at http://a:1: why",
            "RegistrationFailed: failed to register with daemon: why",
            "ControlPlaneError: failed to start control plane: why",
            "Timeout: timeout: why",
            "PortBindError: port bind failed: why",
            "ConfigError: configuration error: why",
        ],
    );
    printed.has(
        "converted",
        &[
            r#"Err("IoError")"#,
            r#"Err("JsonError")"#,
            r#"Err("ControlPlaneError")"#,
        ],
    );
    printed.has("boxed", &["true"]);

    // The functions.
    let status = |state, debug, registered| {
        format!(
            r#""drop-in" {state}, control 127.0.0.1 true, debug {debug}, registered {registered}"#
        )
    };
    let nothing = r#""" sleeps, control 127.0.0.1 false, debug false false, registered false"#;
    printed.has("before init:", &[nothing]);
    printed.has("not initialized", &["true"]);
    printed.has("again", &[r#"Err("detrix client already initialized")"#]);
    printed.has("after init:", &[&status("sleeps", "false false", false)]);
    printed.has("woken awake", &["true"]);
    printed.has("same port", &["true"]);
    printed.has("awake:", &[&status("is awake", "true true", true)]);
    printed.has("awake already", &["true true"]);
    printed.has("slept", &["sleeping"]);
    printed.has("asleep:", &[&status("sleeps", "true false", false)]);
    printed.has("asleep already", &["true"]);
    let configured = r#"awake Some("http://configured.example")"#;
    let other = r#"awake Some("http://other.example")"#;
    printed.has("woken with None", &[configured]);
    printed.has("woken with Some", &[other]);
    printed.has("woken with String", &[other]);
    printed.has("woken with Option<String>", &[other]);
    printed.has("woken with &str", &[other]);
    printed.has("no URL", &["true"]);
    printed.has("still asleep:", &[&status("sleeps", "true false", false)]);
    printed.has("after shutdown:", &[nothing]);

    // Both daemons know the process, and that it is asleep.
    for daemon in &daemons {
        let connections = daemon.connections();
        let [connection] = connections.as_slice() else {
            panic!("{connections:?}");
        };
        assert_eq!(connection.registration["name"], "drop-in");
        assert_eq!(connection.status, Status::Disconnected);
    }
}
