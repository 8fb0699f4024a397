//! What waits to be written to one client: numbered, in order, and bounded.

use std::collections::VecDeque;

use crate::framing::frame;
use crate::outgoing::{Event, Response};
use crate::types::Output;

/// The messages to one client, from the moment they are due until they are written.
///
/// - Messages leave in the order in which they were put in, numbered from 1 without a gap.
/// - No event leaves before the successful response to `initialize`.
/// - Responses are never dropped: take no more requests while [`response_bytes`](Self::response_bytes) is high.
/// - Events are dropped where a client does not read them, and the client is told how many once it does.
#[derive(Debug)]
pub struct Outbox {
    last_seq: i64,
    open: bool,
    /// Events that are due before the response to `initialize`.
    early: VecDeque<Message>,
    queue: VecDeque<Message>,
    event_bytes: usize,
    response_bytes: usize,
    max_event_bytes: usize,
    /// The sum of [`Message::outputs`].
    outputs: u64,
    dropped: u64,
    drop_report: fn(u64) -> Event,
}

/// A message's JSON without its number.
#[derive(Debug)]
struct Message {
    json: Vec<u8>,
    event: bool,
    /// How many `output` events are lost with it: itself, or those that it tells were dropped.
    outputs: u64,
}

impl Outbox {
    /// An outbox that keeps at most `max_event_bytes` of `output` events; all other events may take as much again,
    /// because a flood of output must not cost the client what it cannot do without.
    pub fn new(max_event_bytes: usize) -> Self {
        Self {
            last_seq: 0,
            open: false,
            early: VecDeque::new(),
            queue: VecDeque::new(),
            event_bytes: 0,
            response_bytes: 0,
            max_event_bytes,
            outputs: 0,
            dropped: 0,
            drop_report: console_report,
        }
    }

    /// Keeps more or fewer bytes of events from now on; what waits already stays.
    pub fn set_max_event_bytes(&mut self, max_event_bytes: usize) {
        self.max_event_bytes = max_event_bytes;
    }

    /// Has the number of dropped events told by another event than `output`, to a client that takes all output for the
    /// program's.
    pub fn set_drop_report(&mut self, report: fn(u64) -> Event) {
        self.drop_report = report;
    }

    /// Puts a response in.
    pub fn push_response(&mut self, response: &Response) {
        let json = response.to_json();
        self.response_bytes += json.len();
        self.queue.push_back(Message {
            json,
            event: false,
            outputs: 0,
        });
        if response.command == "initialize" && response.result.is_ok() {
            self.open = true;
            self.queue.append(&mut self.early);
        }
    }

    /// Puts an event in, or counts it as dropped.
    pub fn push_event(&mut self, event: &Event) {
        let json = event.to_json();
        let bound = match event {
            Event::Output(_) => self.max_event_bytes,
            _ => self.max_event_bytes.saturating_mul(2),
        };
        if self.event_bytes > 0 && self.event_bytes + json.len() > bound {
            self.dropped += 1;
            return;
        }
        self.report_dropped();
        let outputs = u64::from(matches!(event, Event::Output(_)));
        self.push_event_json(json, outputs);
    }

    /// Appends whole messages to `out` while it stays within `max_bytes` (but at least one), and says whether there
    /// were any. What it takes is gone from the outbox.
    pub fn take_batch(&mut self, max_bytes: usize, out: &mut Vec<u8>) -> bool {
        let mut any = false;
        loop {
            if self.queue.is_empty() && self.open {
                self.report_dropped();
            }
            let Some(message) = self.queue.front() else {
                break;
            };
            if any && out.len() + message.json.len() > max_bytes {
                break;
            }
            self.last_seq += 1;
            let seq = format!("{{\"seq\":{},", self.last_seq);
            // An object with a member, so it begins with a brace.
            frame(&[seq.as_bytes(), &message.json[1..]], out);
            let bytes = match message.event {
                true => &mut self.event_bytes,
                false => &mut self.response_bytes,
            };
            *bytes -= message.json.len();
            self.outputs -= message.outputs;
            self.queue.pop_front();
            any = true;
        }
        any
    }

    /// How many bytes of responses wait: requests should not be taken while this is high.
    pub fn response_bytes(&self) -> usize {
        self.response_bytes
    }

    /// Whether nothing waits.
    pub fn is_empty(&self) -> bool {
        self.queue.is_empty()
    }

    /// How many `output` events the client would miss without a word if nothing more were written: those that wait, and
    /// those that were dropped, as long as that was not told.
    pub fn unsent(&self) -> u64 {
        self.outputs + self.dropped
    }

    /// Says how many events were dropped, at the place in the order where they are missing.
    fn report_dropped(&mut self) {
        let dropped = std::mem::take(&mut self.dropped);
        if dropped > 0 {
            let report = (self.drop_report)(dropped);
            self.push_event_json(report.to_json(), dropped);
        }
    }

    fn push_event_json(&mut self, json: Vec<u8>, outputs: u64) {
        self.event_bytes += json.len();
        self.outputs += outputs;
        let queue = if self.open {
            &mut self.queue
        } else {
            &mut self.early
        };
        queue.push_back(Message {
            json,
            event: true,
            outputs,
        });
    }
}

fn console_report(dropped: u64) -> Event {
    let text = format!("{dropped} events were dropped, because this client reads too slowly");
    Event::Output(Output::console(text))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::{Breakpoint, BreakpointChange, Capabilities, Decoder, Request, ResponseBody};
    use serde_json::Value;

    fn request(seq: i64, command: &str) -> Request {
        Request {
            seq,
            command: command.to_owned(),
            arguments: Value::Null,
        }
    }

    fn initialize(outbox: &mut Outbox) {
        let body = ResponseBody::Initialize(Capabilities::default());
        outbox.push_response(&Response::new(&request(1, "initialize"), Ok(Some(body))));
    }

    fn output(text: &str) -> Event {
        Event::Output(Output::console(text.to_owned()))
    }

    fn take(outbox: &mut Outbox, max_bytes: usize) -> Vec<Value> {
        let mut decoder = Decoder::default();
        let mut bytes = Vec::new();
        outbox.take_batch(max_bytes, &mut bytes);
        decoder.push(&bytes);
        let mut messages = Vec::new();
        while let Some(message) = decoder.next_message().unwrap() {
            messages.push(message);
        }
        messages
    }

    fn names(messages: &[Value]) -> Vec<&str> {
        let name = |message: &Value| {
            ["command", "event"]
                .into_iter()
                .find(|key| message[key].is_string())
        };
        messages
            .iter()
            .map(|message| message[name(message).unwrap()].as_str().unwrap())
            .collect()
    }

    #[test]
    fn numbers_rise_from_one() {
        let mut outbox = Outbox::new(1000);
        initialize(&mut outbox);
        outbox.push_event(&Event::Initialized);
        let mut seqs: Vec<Value> = take(&mut outbox, 1)
            .iter()
            .map(|m| m["seq"].clone())
            .collect();
        outbox.push_response(&Response::new(&request(2, "attach"), Ok(None)));
        seqs.extend(take(&mut outbox, 1000).iter().map(|m| m["seq"].clone()));
        assert_eq!(seqs, [1, 2, 3]);
    }

    #[test]
    fn events_wait_for_initialize() {
        let mut outbox = Outbox::new(1000);
        outbox.push_event(&Event::Terminated);
        assert_eq!(take(&mut outbox, 1000), [] as [Value; 0]);
        let failure = crate::Failure::new(crate::FailureId::BadPath, String::new());
        outbox.push_response(&Response::new(&request(1, "initialize"), Err(failure)));
        assert_eq!(names(&take(&mut outbox, 1000)), ["initialize"]);
        initialize(&mut outbox);
        outbox.push_event(&Event::Initialized);
        assert_eq!(
            names(&take(&mut outbox, 1000)),
            ["initialize", "terminated", "initialized"]
        );
    }

    #[test]
    fn a_batch_is_bounded_but_never_empty() {
        let mut outbox = Outbox::new(1000);
        initialize(&mut outbox);
        outbox.push_event(&Event::Initialized);
        assert_eq!(take(&mut outbox, 1).len(), 1);
        assert_eq!(take(&mut outbox, 1).len(), 1);
        assert!(!outbox.take_batch(1, &mut Vec::new()));
    }

    #[test]
    fn floods_are_dropped_counted_and_told_in_their_place() {
        let mut outbox = Outbox::new(300);
        initialize(&mut outbox);
        for _ in 0..10 {
            outbox.push_event(&output("old"));
        }
        outbox.push_response(&Response::new(&request(2, "attach"), Ok(None)));
        outbox.push_event(&Event::Terminated);
        assert_eq!(names(&take(&mut outbox, 1)), ["initialize"]);
        for _ in 0..3 {
            assert_eq!(names(&take(&mut outbox, 1)), ["output"]);
        }
        outbox.push_event(&output("new"));
        let rest = take(&mut outbox, 100_000);
        let texts: Vec<&str> = rest
            .iter()
            .filter_map(|m| m["body"]["output"].as_str())
            .collect();
        assert_eq!(names(&rest), ["attach", "output", "terminated", "output"]);
        assert!(texts[0].starts_with("7 events were dropped"), "{texts:?}");
        assert_eq!(texts[1], "new\n");
        assert_eq!((outbox.event_bytes, outbox.response_bytes), (0, 0));
    }

    #[test]
    fn what_was_dropped_last_is_told_when_all_is_read() {
        let mut outbox = Outbox::new(100);
        initialize(&mut outbox);
        for _ in 0..5 {
            outbox.push_event(&output(&"x".repeat(60)));
        }
        let last = take(&mut outbox, 100_000).pop().unwrap();
        let text = last["body"]["output"].as_str().unwrap();
        assert!(text.starts_with("4 events were dropped"), "{text}");
        assert!(!outbox.take_batch(1, &mut Vec::new()));
    }

    #[test]
    fn dropped_events_are_told_as_the_client_wants_it() {
        let mut outbox = Outbox::new(100);
        outbox.set_drop_report(|dropped| {
            let breakpoint = Breakpoint {
                message: Some(format!("{dropped} lost")),
                ..Breakpoint::default()
            };
            Event::Breakpoint(BreakpointChange {
                reason: "changed".to_owned(),
                breakpoint,
            })
        });
        initialize(&mut outbox);
        for _ in 0..5 {
            outbox.push_event(&output(&"x".repeat(60)));
        }
        assert_eq!(outbox.unsent(), 5);
        outbox.push_event(&Event::Terminated);
        assert_eq!(outbox.unsent(), 5, "the report waits as well");
        let messages = take(&mut outbox, 100_000);
        assert_eq!(
            names(&messages),
            ["initialize", "output", "breakpoint", "terminated"]
        );
        assert_eq!(messages[2]["body"]["breakpoint"]["message"], "4 lost");
        assert_eq!((outbox.unsent(), outbox.is_empty()), (0, true));
    }

    #[test]
    fn a_higher_bound_holds_from_then_on() {
        let mut outbox = Outbox::new(100);
        initialize(&mut outbox);
        let long = output(&"x".repeat(60));
        outbox.push_event(&long);
        outbox.push_event(&long);
        outbox.set_max_event_bytes(1000);
        outbox.push_event(&long);
        let messages = take(&mut outbox, 100_000);
        assert_eq!(messages.len(), 4, "one of three was dropped and told");
    }

    #[test]
    fn one_event_always_fits() {
        let mut outbox = Outbox::new(1);
        initialize(&mut outbox);
        outbox.push_event(&output("long"));
        assert_eq!(take(&mut outbox, 1000).len(), 2);
    }
}
