//! The published description against the running server: each answer that it knows is provoked, and each that is given
//! is looked up in it.

use std::collections::BTreeSet;

use detrix_test_support::openapi::Description;
use detrix_test_support::root;

use super::super::{files, limits};
use super::*;

/// Provokes an answer to the operation at a path.
type Provoke = fn(&Plane, &str, &str) -> Answer;

#[test]
fn every_documented_answer_is_given_and_no_other() {
    let description = Description::read(&root().join("docs/control-plane.openapi.json"));
    let scratch = Scratch::new();
    scratch.write("file", "text");
    scratch.write(
        "long",
        vec![0; usize::try_from(files::LONGEST).unwrap() + 1],
    );
    let plane = Plane::start(Fake::with(Some(&scratch.0), &[]));
    let hurried = Plane::start_in_a_hurry(Fake::default());
    let no_root = Plane::start(Fake::with(Some(&scratch.0.join("nothing")), &[]));
    let mut given = BTreeSet::new();
    let mut check = |plane: &Plane, path: &str, method: &str, provoke: Provoke| {
        let answer = provoke(plane, path, method);
        let documented = (path.to_owned(), method.to_ascii_lowercase(), answer.status);
        let kind = answer.headers.get("content-type").map(String::as_str);
        let checked = description.check(&documented, kind, &answer.body);
        assert_eq!(checked, Ok(()), "{documented:?}: {}", answer.text());
        given.insert(documented);
    };

    let plain: Provoke = |plane, path, method| {
        plane.connect().ask(format!(
            "{}Content-Length: 0\r\n\r\n",
            plane.head(method, path)
        ))
    };
    let refused: Provoke = |plane, path, method| {
        let head = plane.head(method, path);
        plane.connect().ask(format!("{head}Origin: null\r\n\r\n"))
    };
    for (path, method, _) in description.documented() {
        let method = method.to_ascii_uppercase();
        check(&plane, &path, &method, plain);
        if path != "/detrix/health" {
            check(&plane, &path, &method, refused);
        }
    }

    let (wake, sleep, read) = ("/detrix/wake", "/detrix/sleep", "/detrix/files/read");
    for path in [wake, read] {
        check(&plane, path, "POST", |plane, path, method| {
            let head = plane.head(method, path);
            plane
                .connect()
                .ask(format!("{head}Transfer-Encoding: chunked\r\n\r\nzz\r\n"))
        });
        check(&plane, path, "POST", |plane, path, _| {
            plane.post(path, vec![b' '; limits::BODY + 1])
        });
        check(&hurried, path, "POST", |plane, path, method| {
            let head = plane.head(method, path);
            plane.insist(format!("{head}Content-Length: 9\r\n\r\n"))
        });
    }
    for path in [wake, sleep] {
        check(&plane, path, "POST", |plane, path, _| {
            plane.service.fail(Error::NotInitialized);
            plane.post(path, "")
        });
    }
    check(&plane, wake, "POST", |plane, path, _| {
        plane
            .service
            .fail(Error::RegistrationFailed("no".to_owned()));
        plane.post(path, "")
    });
    let reads: [(&Plane, Provoke); 7] = [
        (&plane, |plane, path, _| {
            plane.post(path, r#"{"path": "file"}"#)
        }),
        (&plane, |plane, path, _| plane.post(path, "{")),
        (&plane, |plane, path, _| {
            plane.post(path, r#"{"path": "../x"}"#)
        }),
        (&plane, |plane, path, _| {
            plane.post(path, r#"{"path": "x", "workspace_root": ".."}"#)
        }),
        (&plane, |plane, path, _| {
            plane.post(path, r#"{"path": "nothing"}"#)
        }),
        (&plane, |plane, path, _| {
            plane.post(path, r#"{"path": "long"}"#)
        }),
        (&no_root, |plane, path, _| {
            plane.post(path, r#"{"path": "x"}"#)
        }),
    ];
    for (plane, provoke) in reads {
        check(plane, read, "POST", provoke);
    }
    assert_eq!(given, description.documented());
}

#[test]
fn a_description_refuses_what_it_does_not_say() {
    let description = Description::read(&root().join("docs/control-plane.openapi.json"));
    let health = |status| ("/detrix/health".to_owned(), "get".to_owned(), status);
    let json = Some("application/json");
    let good = br#"{"service": "detrix-client", "status": "ok"}"#;
    assert_eq!(description.check(&health(200), json, good), Ok(()));
    for (status, kind, body) in [
        (404, json, &good[..]),
        (200, None, good),
        (200, Some("text/plain"), good),
        (200, json, b"{}"),
        (200, json, b""),
        (
            200,
            json,
            br#"{"service": "detrix-client", "status": "bad"}"#,
        ),
        (
            200,
            json,
            br#"{"service": "detrix-client", "status": "ok", "more": 1}"#,
        ),
    ] {
        let checked = description.check(&health(status), kind, body);
        assert!(checked.is_err(), "{status} {kind:?} {body:?}");
    }
}
