//! Orders to detrix's thread, and the way back of their answers.

use std::sync::mpsc as blocking;

use tokio::sync::{mpsc, oneshot};

use crate::error::{Error, Result};
use crate::responses::{SleepResponse, WakeResponse};

/// What detrix's thread is told. Orders are carried out one after the other.
pub enum Order {
    /// Wake.
    Wake(Where, Answer<Result<WakeResponse>>),
    /// Sleep.
    Sleep(Answer<SleepResponse>),
}

/// The daemon to register with.
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

/// Gives orders.
#[derive(Clone)]
pub struct Orders(mpsc::UnboundedSender<Order>);

impl Orders {
    /// And the end at which they arrive: there are no more orders when all of its senders are gone.
    pub fn channel() -> (Self, mpsc::UnboundedReceiver<Order>) {
        let (sender, receiver) = mpsc::unbounded_channel();
        (Self(sender), receiver)
    }

    /// Gives an order and blocks until it is carried out.
    pub fn ask<T: Send + 'static>(self, order: impl FnOnce(Answer<T>) -> Order) -> Result<T> {
        let (sender, answer) = blocking::sync_channel(1);
        self.send(order, move |given| drop(sender.send(given)))?;
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
        self.send(order, move |given| drop(sender.send(given)))?;
        answer.await.map_err(|_| Error::ThreadEnded)
    }

    fn send<T>(
        &self,
        order: impl FnOnce(Answer<T>) -> Order,
        give: impl FnOnce(T) + Send + 'static,
    ) -> Result<()> {
        let order = order(Answer(Box::new(give)));
        self.0.send(order).map_err(|_| Error::ThreadEnded)
    }
}
