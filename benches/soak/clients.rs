//! Debug clients that know what they may be told.

use std::collections::BTreeMap;
use std::path::PathBuf;
use std::time::Duration;

use detrix_test_support::{Random, Session, mark, source};
use serde_json::{Value, json};

use crate::figures::Figures;

/// A line of the program, what is asked for there, and whether an answer is right.
struct Place {
    file: &'static str,
    mark: &'static str,
    message: &'static str,
    /// Of the words that the message shows.
    holds: fn(&[&str]) -> bool,
    /// Whether the file is loaded all the time.
    lasting: bool,
}

/// What the compiler does not keep is shown as such, and may not be anything else.
fn number(word: &str) -> Option<u64> {
    match word {
        "<optimized" => None,
        word => Some(
            word.parse()
                .unwrap_or_else(|_| panic!("no number: {word:?}")),
        ),
    }
}

const PLACES: &[Place] = &[
    Place {
        file: "hot.rs",
        mark: "hot",
        message: "{index} {sum}",
        holds: |words| match (words.first(), words.get(1)) {
            (Some(index), Some(sum)) => number(index)
                .zip(number(sum))
                .is_none_or(|(index, sum)| sum == index * (index + 1) / 2),
            _ => false,
        },
        lasting: true,
    },
    Place {
        file: "bin/soak/orders.rs",
        mark: "order",
        message: "{order.id} {order.cents} {order.name}",
        holds: |words| match words {
            [id, cents, name] => {
                let id: u64 = id.parse().unwrap_or(u64::MAX);
                *cents == (id.wrapping_mul(7) + 3).to_string() && *name == format!("\"order-{id}\"")
            }
            _ => false,
        },
        lasting: true,
    },
    Place {
        file: "bin/soak/orders.rs",
        mark: "inlined",
        message: "{cents}",
        holds: |words| match words {
            [cents, ..] => number(cents).is_none_or(|cents| cents % 7 == 3),
            _ => false,
        },
        lasting: true,
    },
    Place {
        file: "bin/soak/signals.rs",
        mark: "handler",
        message: "{value}",
        holds: |words| match words {
            [value, ..] => number(value).is_none_or(|value| value < 8),
            _ => false,
        },
        lasting: true,
    },
    Place {
        file: "../plugin/src/lib.rs",
        mark: "plugin",
        message: "{quantity} {gross}",
        holds: |words| match words {
            [quantity, gross] => {
                let quantity: u64 = quantity.parse().unwrap_or(u64::MAX);
                *gross == quantity.wrapping_mul(100).to_string()
            }
            _ => false,
        },
        lasting: false,
    },
];

/// How hits are chosen.
const CONDITIONS: &[&str] = &["", "", "% 7", "% 100", "> 10"];

/// A logpoint that is set.
#[derive(Clone, Copy)]
struct Logpoint {
    place: &'static Place,
    /// Whether it is surely armed: it does not expire, its file is always loaded, and no tracer was lost since.
    sure: bool,
}

/// A debug client.
pub struct Client {
    session: Session,
    /// Its logpoints, by what they say first.
    set: BTreeMap<String, Logpoint>,
    /// Those that were removed since everything was read last.
    leaving: BTreeMap<String, Logpoint>,
    last: u32,
}

impl Client {
    /// Attaches.
    pub fn attach(port: u16) -> Self {
        Self {
            session: Session::attach(port),
            set: BTreeMap::new(),
            leaving: BTreeMap::new(),
            last: 0,
        }
    }

    /// Sets some of the logpoints of one file, or none, in place of those that were there.
    pub fn set(&mut self, random: &mut Random, figures: &mut Figures) {
        let file = random.choose(PLACES).file;
        let old = std::mem::take(&mut self.set);
        for (tag, logpoint) in old {
            if logpoint.place.file == file {
                self.leaving.insert(tag, logpoint);
                figures.count("logpoints removed");
            } else {
                self.set.insert(tag, logpoint);
            }
        }
        let (path, mut breakpoints, mut lasting) = (path(file), Vec::new(), Vec::new());
        for place in PLACES.iter().filter(|place| place.file == file) {
            if random.below(4) == 0 {
                continue;
            }
            self.last += 1;
            let tag = format!("#{}", self.last);
            let mut breakpoint = json!({
                "line": mark(&path, place.mark),
                "logMessage": format!("{tag} {}", place.message),
            });
            let condition = random.choose(CONDITIONS);
            if !condition.is_empty() {
                breakpoint["hitCondition"] = json!(condition);
            }
            let expires = random.below(4) == 0;
            let sure = place.lasting && !expires;
            if expires {
                breakpoint["hitLimit"] = json!(1 + random.below(100));
            }
            breakpoints.push(breakpoint);
            lasting.push(place.lasting);
            self.set.insert(tag, Logpoint { place, sure });
            figures.count("logpoints set");
        }
        let placed = self.session.breakpoints(&path, &Value::Array(breakpoints));
        for (placed, lasting) in placed.iter().zip(lasting) {
            assert!(placed.verified || !lasting, "{file}: {placed:?}");
        }
    }

    /// Reads what was logged until now. A logpoint that was removed before the last reading may not log any more.
    pub fn read(&mut self, figures: &mut Figures) {
        for output in self.session.drain() {
            let (tag, shown) = output.text.split_once(' ').unwrap_or_default();
            let logpoint = self.set.get(tag).or_else(|| self.leaving.get(tag));
            let Some(logpoint) = logpoint else {
                panic!("nobody set it, or it was removed long ago: {output:?}");
            };
            let words: Vec<&str> = shown.split(' ').collect();
            assert!((logpoint.place.holds)(&words), "a wrong value: {output:?}");
            figures.count("hits told");
        }
        self.leaving.clear();
    }

    /// Whether it has a logpoint that surely is armed; none is any more once the tracer is killed.
    pub fn loses(&mut self) -> bool {
        let mut had = false;
        for logpoint in self.set.values_mut() {
            had |= std::mem::take(&mut logpoint.sure);
        }
        had
    }

    /// Whether it has been told that a logpoint is not armed any more.
    pub fn is_told(&mut self) -> bool {
        let event = self
            .session
            .try_event("breakpoint", Duration::from_millis(10));
        event.is_some_and(|event| event["breakpoint"]["verified"] == json!(false))
    }

    /// Whether the server closes the connection.
    pub fn closes(&mut self) -> bool {
        self.session.closes()
    }

    /// Disconnects as it should.
    pub fn disconnect(self) {
        self.session.disconnect();
    }
}

fn path(file: &str) -> PathBuf {
    let path = source(file);
    path.canonicalize()
        .unwrap_or_else(|error| panic!("{}: {error}", path.display()))
}
