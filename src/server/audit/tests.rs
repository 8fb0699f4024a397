use super::*;
use crate::collected::Collected;

fn logpoint(line: u64, text: &str) -> Logpoint {
    (line, text.to_owned())
}

#[test]
fn each_step_of_a_client_is_told_once() {
    let told = Collected::audit();
    let _here = told.here();
    let peer = Peer {
        address: "127.0.0.1:5000".parse().unwrap(),
        user: Some(1000),
    };
    let who = r#"session=3 peer=127.0.0.1:5000 uid=1000 client="detrix""#;
    let file = &NamedFile {
        path: "/a.rs".to_owned(),
        name: None,
    };
    let mut trail = Trail::attached(3, peer, Some("detrix"));
    assert_eq!(told.take(), [format!("INFO debug client attached {who}")]);
    trail.set(file, vec![logpoint(7, "x"), logpoint(8, "a\"b")]);
    assert_eq!(
        told.take(),
        [
            format!(r#"INFO logpoint set {who} file="/a.rs" line=7 log_message="x""#),
            format!(r#"INFO logpoint set {who} file="/a.rs" line=8 log_message="a\"b""#),
        ]
    );
    trail.set(file, vec![logpoint(8, "a\"b"), logpoint(7, "x")]);
    assert_eq!(told.take(), [] as [String; 0]);
    trail.set(
        file,
        vec![logpoint(8, "a\"b"), logpoint(8, "a\"b"), logpoint(7, "y")],
    );
    assert_eq!(told.take().len(), 3);
    trail.detached();
    let told = told.take();
    assert_eq!(told.len(), 4, "{told:?}");
    assert!(told[0].starts_with("INFO logpoint removed"), "{told:?}");
    assert_eq!(told[3], format!("INFO debug client detached {who}"));
}

#[test]
fn refusals_are_warnings() {
    let told = Collected::audit();
    let _here = told.here();
    refused("10.0.0.7:5000".parse().unwrap(), &Refusal::User(7), 3);
    let told = told.take().remove(0);
    assert!(
        told.starts_with("WARN debug client refused: user 7 is neither"),
        "{told}"
    );
    assert!(told.ends_with("peer=10.0.0.7:5000 refused=3"), "{told}");
}
