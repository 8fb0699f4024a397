//! Orders to detrix's thread, and the way back of their answers.

use std::sync::mpsc as blocking;
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::responses::{SleepResponse, WakeResponse};

/// What detrix's thread is told. Orders are carried out one after the other.
pub enum Order {
    /// Wake.
    Wake(WaitingWake, Answer<Result<WakeResponse>>),
    /// Sleep.
    Sleep(Answer<SleepResponse>),
}

impl Order {
    /// Whether all others go first. A wake takes as long as a daemon does to answer, and another user of this machine may
    /// have named one that never does.
    pub fn may_wait(&self) -> bool {
        matches!(self, Self::Wake(waiting, _) if !waiting.place.trusted)
    }
}

/// The daemon to register with.
#[derive(Clone, PartialEq, Eq)]
pub struct Where {
    /// Its address, instead of the configured one.
    pub daemon_url: Option<String>,
    /// Whether who asked may choose who gets the token: a program of another user, which the control plane lets in
    /// because it is local, could have it sent to itself.
    pub trusted: bool,
}

/// The way back of an answer; whoever asked may be gone.
pub struct Answer<T>(Box<dyn FnOnce(T) + Send>);

impl<T> Answer<T> {
    /// Gives the answer.
    pub fn give(self, answer: T) {
        (self.0)(answer);
    }
}

/// How many wakes may wait for their turn. Many callers may ask at once; what a caller in a loop leaves behind that does not
/// wait for its answers must end somewhere.
const WAITING_WAKES: usize = 1024;

/// For how many daemons wakes of other users may wait. Each takes its own time; those for the same one end together.
const UNTRUSTED_PLACES: usize = 4;

/// How many they may be; the others are left to the application.
const UNTRUSTED_WAKES: usize = 64;

/// The wakes that wait for their turn, or are being carried out.
type Waiting = Arc<Mutex<Vec<Where>>>;

/// A wake's place among those that wait, until it is dropped.
pub struct WaitingWake {
    /// Where it is to register.
    pub place: Where,
    all: Waiting,
}

impl Drop for WaitingWake {
    fn drop(&mut self) {
        let mut all = lock(&self.all);
        if let Some(index) = all.iter().position(|place| *place == self.place) {
            all.swap_remove(index);
        }
    }
}

fn lock(all: &Waiting) -> MutexGuard<'_, Vec<Where>> {
    // Nothing in it is ever half done.
    all.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Gives orders.
#[derive(Clone)]
pub struct Orders {
    sender: mpsc::UnboundedSender<Order>,
    waiting: Waiting,
}

impl Orders {
    /// And the end at which they arrive: there are no more orders when all of its senders are gone.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let waiting = Waiting::default();
        (Self { sender, waiting }, receiver)
    }

    /// Gives an order and blocks until it is carried out.
    pub fn ask<T: Send + 'static>(
        self,
        order: impl FnOnce(&Self, Answer<T>) -> Result<Order>,
    ) -> Result<T> {
        let (sender, answer) = blocking::sync_channel(1);
        let answer_by = Answer(Box::new(move |given| drop(sender.send(given))));
        self.send(order(&self, answer_by)?)?;
        // While this thread waits, the orders must be able to end.
        drop(self);
        answer.recv().map_err(|_| Error::ThreadEnded)
    }

    /// Gives an order and waits until it is carried out.
    pub async fn request<T: Send + 'static>(
        &self,
        order: impl FnOnce(Answer<T>) -> Order,
    ) -> Result<T> {
        let (sender, answer) = oneshot::channel();
        self.send(order(Answer(Box::new(move |given| {
            drop(sender.send(given))
        }))))?;
        answer.await.map_err(|_| Error::ThreadEnded)
    }

    /// A place among the wakes that wait.
    ///
    /// # Errors
    ///
    /// [`Error::WakeInProgress`] where there is none.
    pub fn waiting_wake(&self, place: Where) -> Result<WaitingWake> {
        let mut all = lock(&self.waiting);
        if all.len() >= WAITING_WAKES || !place.trusted && !has_room(&all, &place) {
            return Err(Error::WakeInProgress);
        }
        all.push(place.clone());
        let all = self.waiting.clone();
        Ok(WaitingWake { place, all })
    }

    fn send(&self, order: Order) -> Result<()> {
        self.sender.send(order).map_err(|_| Error::ThreadEnded)
    }
}

/// Whether another user's wake may wait beside `all`.
fn has_room(all: &[Where], place: &Where) -> bool {
    if all.iter().filter(|other| !other.trusted).count() >= UNTRUSTED_WAKES {
        return false;
    }
    let mut places = Vec::new();
    for other in all {
        if !other.trusted && !places.contains(&other) {
            places.push(other);
        }
    }
    places.contains(&place) || places.len() < UNTRUSTED_PLACES
}

#[cfg(test)]
mod tests {
    use super::*;

    fn place(number: usize, trusted: bool) -> Where {
        Where {
            daemon_url: Some(format!("http://127.0.0.1:{number}")),
            trusted,
        }
    }

    #[test]
    fn wakes_of_other_users_wait_for_few_daemons() {
        let (orders, _receiver) = Orders::channel();
        let wait = |number, trusted| orders.waiting_wake(place(number, trusted));
        let mut waiting: Vec<WaitingWake> = (0..UNTRUSTED_PLACES)
            .map(|number| wait(number, false).unwrap())
            .collect();
        assert!(matches!(wait(5, false), Err(Error::WakeInProgress)));
        // The same one as another, and what the application itself asks for.
        let again = wait(0, false).unwrap();
        let _own: Vec<WaitingWake> = (0..64).map(|number| wait(number, true).unwrap()).collect();
        waiting.remove(0);
        assert!(wait(5, false).is_err());
        drop(again);
        assert!(wait(5, false).is_ok());
        let more = std::iter::from_fn(|| wait(1, false).ok());
        let more: Vec<WaitingWake> = more.take(WAITING_WAKES).collect();
        assert_eq!(waiting.len() + more.len(), UNTRUSTED_WAKES);
    }

    #[test]
    fn waiting_wakes_end_somewhere() {
        let (orders, _receiver) = Orders::channel();
        let wait = || orders.waiting_wake(place(0, true));
        let all: Vec<WaitingWake> = (0..WAITING_WAKES).map(|_| wait().unwrap()).collect();
        assert!(wait().is_err());
        drop(all);
        assert!(wait().is_ok());
    }
}
