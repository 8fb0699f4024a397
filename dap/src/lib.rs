//! The [Debug Adapter Protocol](https://microsoft.github.io/debug-adapter-protocol/) without I/O, as a debug adapter
//! needs it, and a small blocking [`Client`].
//!
//! Bytes go in at [`Decoder::push`] and come out as JSON values; [`Incoming`] and [`Command`] give them types. Answers
//! and events go into an [`Outbox`], which numbers them, keeps the protocol's order and bounds what a client that does
//! not read can pile up; it gives bytes to write.
//!
//! ```
//! use dap::{Command, Decoder, Incoming, Outbox, Response, ResponseBody};
//!
//! let mut decoder = Decoder::default();
//! decoder.push(b"Content-Length: 46\r\n\r\n{\"seq\":1,\"type\":\"request\",\"command\":\"threads\"}");
//! let message = decoder.next_message().unwrap().unwrap();
//! let Incoming::Request(request) = Incoming::from_value(message).unwrap() else { panic!() };
//! assert!(matches!(Command::parse(&request), Ok(Command::Threads)));
//!
//! let mut outbox = Outbox::new(1 << 20);
//! outbox.push_response(&Response::new(&request, Ok(Some(ResponseBody::Threads { threads: vec![] }))));
//! let mut bytes = Vec::new();
//! outbox.take_batch(1 << 16, &mut bytes);
//! assert!(bytes.starts_with(b"Content-Length: "));
//! ```

mod client;
mod conventions;
mod framing;
mod incoming;
mod limits;
mod outbox;
mod outgoing;
mod source_map;
mod types;

pub use client::{Client, ClientError, Reply, Traffic};
pub use conventions::{Conventions, PathError};
pub use framing::{Decoder, FramingError, MAX_BODY, MAX_HEADER, frame};
pub use incoming::{
    AttachArguments, Command, EnvelopeError, Incoming, InitializeArguments, Request,
    SetBreakpointsArguments, SourceBreakpoint,
};
pub use limits::{Limits, Seconds, Share};
pub use outbox::Outbox;
pub use outgoing::{Event, Failure, FailureId, Response, ResponseBody};
pub use source_map::SourceMap;
pub use types::{Breakpoint, BreakpointChange, Capabilities, Output, Source, Thread};

// Tests the examples of the README.
#[cfg(doctest)]
#[doc = include_str!("../README.md")]
struct Readme;
