//! The daemon's buffer between a link and its database.

use std::sync::Arc;
use std::sync::mpsc::{Receiver, RecvTimeoutError, SyncSender, TrySendError, sync_channel};
use std::thread;
use std::time::{Duration, Instant};

use crate::daemon::Shared;
use crate::database::Event;
use crate::link::{Ended, Handler, Report, lock};
use crate::reading::{Reading, read};
use crate::{now, thread_name};

/// How many events wait at most; what does not fit is dropped.
pub const BUFFERED: usize = 1_000;

/// How many events are written at once.
const BATCH: usize = 100;

/// How long an event waits for others to be written with.
const FLUSH: Duration = Duration::from_secs(1);

/// Gives events to the writer.
#[derive(Clone)]
pub(crate) struct Queue(SyncSender<Event>);

impl Queue {
    /// A queue, and its end for [`write`](fn@write).
    pub fn new() -> (Self, Receiver<Event>) {
        let (sender, receiver) = sync_channel(BUFFERED);
        (Self(sender), receiver)
    }
}

/// Writes events into the database until the last queue is gone.
pub(crate) fn write(events: &Receiver<Event>, shared: &Shared, write_time: Duration) {
    let mut open = true;
    while open {
        let Ok(first) = events.recv() else { return };
        let mut batch = vec![first];
        let due = Instant::now() + FLUSH;
        while open && batch.len() < BATCH {
            match events.recv_timeout(due.saturating_duration_since(Instant::now())) {
                Ok(event) => batch.push(event),
                Err(RecvTimeoutError::Timeout) => break,
                Err(RecvTimeoutError::Disconnected) => open = false,
            }
        }
        thread::sleep(write_time);
        lock(&shared.database).events.extend(batch);
        shared.written.notify_all();
    }
}

/// Reads the events of one link.
pub(crate) struct Feed {
    pub connection_id: String,
    pub shared: Arc<Shared>,
    pub queue: Queue,
}

impl Handler for Feed {
    fn output(&mut self, body: &serde_json::Value, report: &mut Report) -> Result<(), Ended> {
        let database = lock(&self.shared.database);
        let metrics = database.metrics_of(&self.connection_id);
        let mut event = Event {
            connection_id: self.connection_id.clone(),
            metric_id: 0,
            metric: String::new(),
            timestamp: now(),
            thread_id: None,
            thread_name: None,
            values: Vec::new(),
            error: None,
        };
        match read(body, &metrics) {
            Reading::Event {
                metric_id,
                metric,
                thread,
                values,
            } => {
                report.metric_events += 1;
                event.metric_id = metric_id;
                event.metric = metric;
                event.thread_id = thread;
                event.thread_name = thread.map(thread_name);
                event.values = values;
            }
            Reading::Error(text) => {
                report.errors += 1;
                // Without a metric there is nothing to put it down to.
                let Some(metric) = metrics.first() else {
                    return Ok(());
                };
                event.metric_id = metric.id;
                event.metric = metric.name.clone();
                event.error = Some(text);
            }
            Reading::Dropped => {
                report.dropped += 1;
                return Ok(());
            }
            Reading::UnknownMetric(_) | Reading::Noise => {
                report.noise.push(body["output"].to_string());
                return Ok(());
            }
            Reading::Crash(why) => return Err(Ended::Crashed(why)),
        }
        match self.queue.0.try_send(event) {
            Err(TrySendError::Full(_)) => report.overflowed += 1,
            Ok(()) | Err(TrySendError::Disconnected(_)) => {}
        }
        Ok(())
    }
}
