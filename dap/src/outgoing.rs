//! What the adapter sends: responses and events, without their number, which the [`Outbox`](crate::Outbox) gives them.

use serde::Serialize;

use crate::Request;
use crate::types::{Breakpoint, BreakpointChange, Capabilities, Output, Thread};

/// An event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(tag = "event", content = "body", rename_all = "camelCase")]
#[non_exhaustive]
pub enum Event {
    /// The adapter is ready for the client's breakpoints.
    Initialized,
    /// Text to show: a logpoint's, or the debugger's own.
    Output(Output),
    /// A breakpoint is not what it was when it was answered.
    Breakpoint(BreakpointChange),
    /// Debugging is over.
    Terminated,
}

/// The answer to a request.
#[derive(Clone, Debug, PartialEq)]
pub struct Response {
    pub(crate) request_seq: i64,
    pub(crate) command: String,
    pub(crate) result: Result<Option<ResponseBody>, Failure>,
}

/// What a successful response carries.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
#[serde(untagged, rename_all_fields = "camelCase")]
#[non_exhaustive]
pub enum ResponseBody {
    /// Of `initialize`.
    Initialize(Capabilities),
    /// Of `setBreakpoints`: as many as were asked for, in that order.
    SetBreakpoints {
        /// What became of them.
        breakpoints: Vec<Breakpoint>,
    },
    /// Of `threads`.
    Threads {
        /// The program's threads.
        threads: Vec<Thread>,
    },
}

impl Response {
    /// The answer to `request`: a body, where its kind of response has one, or the reason of a refusal.
    pub fn new(request: &Request, result: Result<Option<ResponseBody>, Failure>) -> Self {
        Self {
            request_seq: request.seq,
            command: request.command.clone(),
            result,
        }
    }
}

/// Why a request was refused.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Failure {
    /// Which kind of refusal.
    pub id: FailureId,
    /// One line: what failed, why, and what to change.
    pub text: String,
}

/// The kinds of refusal, by the number that goes over the wire: never give one a new meaning.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
#[non_exhaustive]
pub enum FailureId {
    /// No such request, or none that this adapter serves.
    UnknownCommand = 1,
    /// The arguments do not fit the request.
    BadArguments = 2,
    /// The first request must be `initialize`.
    NotInitialized = 3,
    /// `initialize` may come once only.
    AlreadyInitialized = 4,
    /// The client wants a path format that does not exist, or a path breaks the one that it chose.
    BadPath = 5,
    /// The request needs a stopped thread.
    NotStopped = 6,
    /// No more clients can be served.
    TooManyClients = 7,
    /// The program's threads are never stopped.
    CannotStop = 8,
}

impl Failure {
    /// A refusal of a kind, and its reason in one line.
    pub fn new(id: FailureId, text: String) -> Self {
        Self { id, text }
    }

    /// The response's `message`: the protocol's own word where it has one, else the reason.
    fn message(&self) -> &str {
        match self.id {
            FailureId::NotStopped => "notStopped",
            _ => &self.text,
        }
    }

    /// Whether the user should see it. Clients ask for things that nobody needs to know were refused.
    fn show_user(&self) -> bool {
        !matches!(self.id, FailureId::UnknownCommand | FailureId::NotStopped)
    }
}

/// A message without its `seq`.
#[derive(Serialize)]
#[serde(tag = "type", rename_all = "camelCase")]
enum Unnumbered<'a> {
    Event(&'a Event),
    Response(WireResponse<'a>),
}

#[derive(Serialize)]
struct WireResponse<'a> {
    request_seq: i64,
    command: &'a str,
    success: bool,
    #[serde(skip_serializing_if = "Option::is_none")]
    message: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    body: Option<WireBody<'a>>,
}

#[derive(Serialize)]
#[serde(untagged)]
enum WireBody<'a> {
    Success(&'a ResponseBody),
    Failure { error: WireFailure<'a> },
}

#[derive(Serialize)]
#[serde(rename_all = "camelCase")]
struct WireFailure<'a> {
    id: u8,
    format: &'a str,
    show_user: bool,
}

impl Event {
    /// The JSON object without its number.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        json(&Unnumbered::Event(self))
    }
}

impl Response {
    /// The JSON object without its number.
    pub(crate) fn to_json(&self) -> Vec<u8> {
        let (message, body) = match &self.result {
            Ok(body) => (None, body.as_ref().map(WireBody::Success)),
            Err(failure) => {
                let error = WireFailure {
                    id: failure.id as u8,
                    format: &failure.text,
                    show_user: failure.show_user(),
                };
                (Some(failure.message()), Some(WireBody::Failure { error }))
            }
        };
        json(&Unnumbered::Response(WireResponse {
            request_seq: self.request_seq,
            command: &self.command,
            success: self.result.is_ok(),
            message,
            body,
        }))
    }
}

fn json(message: &Unnumbered<'_>) -> Vec<u8> {
    // Writing to memory cannot fail, and neither can structs of strings and numbers.
    serde_json::to_vec(message).expect("messages are always JSON")
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::{Value, json};

    fn request(command: &str) -> Request {
        Request {
            seq: 5,
            command: command.to_owned(),
            arguments: Value::Null,
        }
    }

    fn parsed(json: Vec<u8>) -> Value {
        serde_json::from_slice(&json).unwrap()
    }

    #[test]
    fn responses() {
        let done = Response::new(&request("attach"), Ok(None));
        let expected =
            json!({"type": "response", "request_seq": 5, "command": "attach", "success": true});
        assert_eq!(parsed(done.to_json()), expected);

        let breakpoints = vec![Breakpoint {
            verified: true,
            instruction_reference: Some("0x10".to_owned()),
            ..Breakpoint::default()
        }];
        let body = ResponseBody::SetBreakpoints { breakpoints };
        let response = Response::new(&request("setBreakpoints"), Ok(Some(body)));
        assert_eq!(
            parsed(response.to_json())["body"],
            json!({"breakpoints": [{"verified": true, "instructionReference": "0x10"}]})
        );
    }

    #[test]
    fn failures() {
        let failure = Failure::new(FailureId::BadArguments, "no {brace".to_owned());
        let response = parsed(Response::new(&request("x"), Err(failure)).to_json());
        assert_eq!(response["message"], "no {brace");
        assert_eq!(response["success"], false);
        assert_eq!(
            response["body"],
            json!({"error": {"id": 2, "format": "no {brace", "showUser": true}})
        );
        let failure = Failure::new(FailureId::NotStopped, "why".to_owned());
        let response = parsed(Response::new(&request("x"), Err(failure)).to_json());
        assert_eq!(response["message"], "notStopped");
        assert_eq!(response["body"]["error"]["format"], "why");
    }

    #[test]
    fn events() {
        let expected = json!({"type": "event", "event": "initialized"});
        assert_eq!(parsed(Event::Initialized.to_json()), expected);
        let output = Event::Output(Output::console("x".to_owned()));
        assert_eq!(
            parsed(output.to_json()),
            json!({"type": "event", "event": "output", "body": {"category": "console", "output": "x\n"}})
        );
    }
}
