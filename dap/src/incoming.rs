//! What clients send: decoded as leniently as its meaning allows. Members that are not read here are not looked at, so
//! that a wrong type in one of them harms nobody.

use std::num::NonZeroU64;

use serde::Deserialize;
use serde::de::DeserializeOwned;
use serde_json::Value;

use crate::outgoing::{Failure, FailureId};
use crate::{Limits, Seconds, Source, SourceMap};

/// A message from a client.
#[derive(Clone, Debug, PartialEq)]
pub enum Incoming {
    /// A request; it must be answered.
    Request(Request),
    /// A response or an event, which no adapter waits for that sends no requests.
    Other,
}

/// Why a message cannot be taken in: whatever is answered, the client could not tell what the answer belongs to, so the
/// connection ends.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum EnvelopeError {
    /// Not a JSON object.
    #[error("a message is not a JSON object")]
    NotAnObject,
    /// A request without an integer `seq`.
    #[error("a request has no seq")]
    NoSeq,
}

impl Incoming {
    /// Sorts a message. A `type` that is missing is taken for a request's.
    ///
    /// # Errors
    ///
    /// [`EnvelopeError`]: close the connection.
    pub fn from_value(message: Value) -> Result<Self, EnvelopeError> {
        let Value::Object(mut message) = message else {
            return Err(EnvelopeError::NotAnObject);
        };
        if let Some("response" | "event") = message.get("type").and_then(Value::as_str) {
            return Ok(Self::Other);
        }
        let command = message.get("command").and_then(Value::as_str);
        Ok(Self::Request(Request {
            seq: message
                .get("seq")
                .and_then(Value::as_i64)
                .ok_or(EnvelopeError::NoSeq)?,
            command: command.unwrap_or_default().to_owned(),
            arguments: message.remove("arguments").unwrap_or_default(),
        }))
    }
}

/// A request as it came.
#[derive(Clone, Debug, PartialEq)]
pub struct Request {
    /// Its number; the response repeats it.
    pub seq: i64,
    /// Its name; empty where it had none.
    pub command: String,
    /// Its arguments; null where it had none.
    pub arguments: Value,
}

/// A request with its arguments, for the requests that are known here.
#[derive(Clone, Debug, PartialEq)]
#[non_exhaustive]
pub enum Command {
    /// `initialize`.
    Initialize(InitializeArguments),
    /// `attach`, or `launch`, which for a program that runs already is the same.
    Attach(AttachArguments),
    /// `setBreakpoints`.
    SetBreakpoints(SetBreakpointsArguments),
    /// `configurationDone`.
    ConfigurationDone,
    /// `threads`.
    Threads,
    /// `cancel`.
    Cancel,
    /// `disconnect`.
    Disconnect,
    /// Stop a thread.
    Pause,
    /// One of the requests that make sense for a stopped thread only.
    NeedsStop,
}

impl Command {
    /// Gives the request's name and arguments their types. `arguments` that are missing, `null` and `{}` are the same.
    ///
    /// # Errors
    ///
    /// A [`Failure`] to answer with, where the name is unknown or the arguments do not fit; the connection lives.
    pub fn parse(request: &Request) -> Result<Self, Failure> {
        Ok(match request.command.as_str() {
            "initialize" => Self::Initialize(arguments(request)?),
            "attach" | "launch" => Self::Attach(AttachArguments {
                source_map: source_map(request)?,
                limits: limits(request)?,
            }),
            "setBreakpoints" => Self::SetBreakpoints(arguments(request)?),
            "configurationDone" => Self::ConfigurationDone,
            "threads" => Self::Threads,
            "cancel" => Self::Cancel,
            "disconnect" => Self::Disconnect,
            "pause" => Self::Pause,
            "continue" | "evaluate" | "next" | "scopes" | "stackTrace" | "stepIn" | "stepOut"
            | "variables" => Self::NeedsStop,
            "" => {
                let text = "the request has no command".to_owned();
                return Err(Failure::new(FailureId::UnknownCommand, text));
            }
            unknown => {
                let text = format!("the request `{unknown}` is not supported");
                return Err(Failure::new(FailureId::UnknownCommand, text));
            }
        })
    }
}

fn arguments<T: DeserializeOwned>(request: &Request) -> Result<T, Failure> {
    let result = match &request.arguments {
        Value::Null => T::deserialize(Value::Object(serde_json::Map::new())),
        arguments => T::deserialize(arguments),
    };
    result.map_err(|error| bad_arguments(request, error))
}

/// Every shape of `attach` is accepted, since clients put into it what their users wrote for other debuggers; the source
/// map and the limits alone are read, and broken ones are told rather than ignored.
fn source_map(request: &Request) -> Result<SourceMap, Failure> {
    match request.arguments.get("sourceMap") {
        None | Some(Value::Null) => Ok(SourceMap::default()),
        Some(map) => SourceMap::deserialize(map).map_err(|error| bad_arguments(request, error)),
    }
}

fn limits(request: &Request) -> Result<Limits, Failure> {
    match &request.arguments {
        arguments @ Value::Object(_) => {
            Limits::deserialize(arguments).map_err(|error| bad_arguments(request, error))
        }
        _ => Ok(Limits::default()),
    }
}

fn bad_arguments(request: &Request, error: impl std::fmt::Display) -> Failure {
    let command = &request.command;
    let text = format!("the arguments of `{command}` are not understood: {error}");
    Failure::new(FailureId::BadArguments, text)
}

/// The arguments of `initialize`.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct InitializeArguments {
    /// Who the client is.
    #[serde(rename = "clientID")]
    client_id: Option<String>,
    /// The same, in the spelling of the Detrix daemon. Not an alias: a client may send both.
    #[serde(rename = "clientId")]
    client_id_camel: Option<String>,
    /// Whether its first line is 1, which is the default.
    pub lines_start_at1: Option<bool>,
    /// Whether its first column is 1, which is the default.
    pub columns_start_at1: Option<bool>,
    /// `path`, which is the default, or `uri`.
    pub path_format: Option<String>,
}

impl InitializeArguments {
    /// Who the client is, where it says so.
    pub fn client_id(&self) -> Option<&str> {
        self.client_id
            .as_deref()
            .or(self.client_id_camel.as_deref())
    }
}

/// The arguments of `attach` and `launch`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AttachArguments {
    /// How the client's paths relate to those in the program's debug information.
    pub source_map: SourceMap,
    /// What its logpoints may cost, and how long they live.
    pub limits: Limits,
}

/// The arguments of `setBreakpoints`.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SetBreakpointsArguments {
    /// The file whose breakpoints are replaced.
    pub source: Source,
    breakpoints: Option<Vec<SourceBreakpoint>>,
    lines: Option<Vec<i64>>,
}

impl SetBreakpointsArguments {
    /// The new breakpoints: `breakpoints`, else the deprecated `lines`, else none.
    pub fn into_breakpoints(self) -> Vec<SourceBreakpoint> {
        self.breakpoints.unwrap_or_else(|| {
            let at = |line| SourceBreakpoint {
                line,
                ..SourceBreakpoint::default()
            };
            self.lines.into_iter().flatten().map(at).collect()
        })
    }
}

/// A breakpoint or logpoint that a client asks for.
#[derive(Clone, Debug, Default, PartialEq, Eq, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct SourceBreakpoint {
    /// As the client counts.
    pub line: i64,
    /// As the client counts, in UTF-16 code units.
    pub column: Option<i64>,
    /// Only where this is true.
    pub condition: Option<String>,
    /// Only for some of the hits.
    pub hit_condition: Option<String>,
    /// Do not stop, log this.
    pub log_message: Option<String>,
    /// Not in the protocol: how many hits it logs until it expires.
    pub hit_limit: Option<NonZeroU64>,
    /// Not in the protocol: after how many seconds it expires.
    pub ttl: Option<Seconds>,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn request(message: Value) -> Request {
        match Incoming::from_value(message).unwrap() {
            Incoming::Request(request) => request,
            Incoming::Other => panic!("not a request"),
        }
    }

    fn command(name: &str, arguments: Value) -> Result<Command, Failure> {
        Command::parse(&request(
            json!({"seq": 1, "type": "request", "command": name, "arguments": arguments}),
        ))
    }

    #[test]
    fn envelopes() {
        let lenient = request(json!({"seq": 0, "command": "threads", "more": [1]}));
        assert_eq!((lenient.seq, lenient.command.as_str()), (0, "threads"));
        assert_eq!(request(json!({"seq": 7, "command": 5})).command, "");
        assert_eq!(
            Incoming::from_value(json!({"seq": 1, "type": "response"})),
            Ok(Incoming::Other)
        );
        assert_eq!(
            Incoming::from_value(json!([])),
            Err(EnvelopeError::NotAnObject)
        );
        for seq in [json!(null), json!("1"), json!(1.5)] {
            let message = json!({"type": "request", "command": "threads", "seq": seq});
            assert_eq!(Incoming::from_value(message), Err(EnvelopeError::NoSeq));
        }
    }

    #[test]
    fn arguments_missing_null_or_empty() {
        let missing = Command::parse(&request(json!({"seq": 1, "command": "initialize"})));
        assert_eq!(missing, Ok(Command::Initialize(Default::default())));
        for none in [json!(null), json!({})] {
            assert_eq!(missing, command("initialize", none.clone()));
            assert_eq!(
                command("attach", none.clone()),
                Ok(Command::Attach(Default::default()))
            );
            for name in ["threads", "configurationDone", "disconnect", "cancel"] {
                assert!(command(name, none.clone()).is_ok());
            }
        }
    }

    #[test]
    fn client_id_in_both_spellings() {
        for (arguments, id) in [
            (json!({"clientID": "a"}), Some("a")),
            (json!({"clientId": "b"}), Some("b")),
            (json!({"clientId": "b", "clientID": "a"}), Some("a")),
            (
                json!({"clientID": null, "locale": 5, "adapterID": null}),
                None,
            ),
        ] {
            let Ok(Command::Initialize(initialize)) = command("initialize", arguments) else {
                panic!()
            };
            assert_eq!(initialize.client_id(), id);
        }
    }

    #[test]
    fn every_shape_of_attach() {
        for arguments in [
            json!({"stopOnEntry": false, "pid": 5, "initCommands": ["x"]}),
            json!({"justMyCode": false, "subProcess": true}),
            json!({"sourceMap": null}),
            json!({"sourceMap": {}}),
            json!({"sourceMap": []}),
            json!([1]),
            json!("x"),
        ] {
            assert_eq!(
                command("attach", arguments.clone()),
                Ok(Command::Attach(Default::default())),
                "{arguments}"
            );
        }
        for broken in [json!({"sourceMap": 5}), json!({"ttl": "a minute"})] {
            let failure = command("launch", broken).unwrap_err();
            assert_eq!(failure.id, FailureId::BadArguments);
            assert!(failure.text.contains("`launch`"), "{}", failure.text);
        }
    }

    #[test]
    fn breakpoints_or_lines_or_nothing() {
        let parse = |arguments| match command("setBreakpoints", arguments).unwrap() {
            Command::SetBreakpoints(arguments) => arguments.into_breakpoints(),
            other => panic!("{other:?}"),
        };
        let source = json!({"path": "/a.rs"});
        let breakpoints = parse(json!({"source": source, "lines": [1], "breakpoints": [
            {"line": 3, "logMessage": "x", "column": null, "mode": 5}]}));
        assert_eq!(breakpoints.len(), 1);
        assert_eq!(breakpoints[0].log_message.as_deref(), Some("x"));
        assert_eq!(parse(json!({"source": source, "lines": [4, 5]}))[1].line, 5);
        assert!(parse(json!({"source": source})).is_empty());
        assert!(parse(json!({"source": source, "breakpoints": null})).is_empty());
        for arguments in [
            json!({}),
            json!({"source": source, "breakpoints": [{"line": "3"}]}),
        ] {
            let failure = command("setBreakpoints", arguments).unwrap_err();
            assert_eq!(failure.id, FailureId::BadArguments);
        }
    }

    #[test]
    fn unknown_commands() {
        for name in ["", "frobnicate", "Threads"] {
            let failure = command(name, json!({})).unwrap_err();
            assert_eq!(failure.id, FailureId::UnknownCommand);
        }
    }
}
