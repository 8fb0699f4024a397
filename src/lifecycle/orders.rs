//! Orders to detrix's thread, and the way back of their answers.

use std::sync::Arc;
use std::sync::mpsc as blocking;

use tokio::sync::{OwnedSemaphorePermit, Semaphore, mpsc, oneshot};

use crate::error::{Error, Result};
use crate::responses::{SleepResponse, WakeResponse};

/// What detrix's thread is told. Orders are carried out one after the other.
pub enum Order {
    /// Wake.
    Wake(Where, OwnedSemaphorePermit, Answer<Result<WakeResponse>>),
    /// Sleep.
    Sleep(Answer<SleepResponse>),
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

/// Gives orders.
#[derive(Clone)]
pub struct Orders {
    sender: mpsc::UnboundedSender<Order>,
    wakes: Arc<Semaphore>,
}

impl Orders {
    /// And the end at which they arrive: there are no more orders when all of its senders are gone.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        let wakes = Arc::new(Semaphore::new(WAITING_WAKES));
        (Self { sender, wakes }, receiver)
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
    pub fn waiting_wake(&self) -> Result<OwnedSemaphorePermit> {
        let waiting = self.wakes.clone().try_acquire_owned();
        waiting.map_err(|_| Error::WakeInProgress)
    }

    fn send(&self, order: Order) -> Result<()> {
        self.sender.send(order).map_err(|_| Error::ThreadEnded)
    }
}
