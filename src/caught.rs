//! A panic of detrix's own code, as an outcome: it may end what it happened in, but not the thread that serves everything
//! else, and somebody has to be told.

use std::any::Any;
use std::future::poll_fn;
use std::panic::{AssertUnwindSafe, catch_unwind};
use std::pin::pin;
use std::task::Poll;

/// What `future` comes to.
///
/// # Errors
///
/// The message of its panic; the future has been dropped then.
pub async fn caught<F: Future>(future: F) -> Result<F::Output, String> {
    let mut future = pin!(future);
    poll_fn(
        // Whatever the future left half done is dropped with it, or guarded by cells that are unlocked by unwinding.
        |context| match catch_unwind(AssertUnwindSafe(|| future.as_mut().poll(context))) {
            Ok(Poll::Pending) => Poll::Pending,
            Ok(Poll::Ready(output)) => Poll::Ready(Ok(output)),
            Err(payload) => Poll::Ready(Err(message(&*payload))),
        },
    )
    .await
}

/// What `action` comes to, as [`caught`] has it.
///
/// # Errors
///
/// The message of its panic.
pub fn attempted<T>(action: impl FnOnce() -> T) -> Result<T, String> {
    catch_unwind(AssertUnwindSafe(action)).map_err(|payload| message(&*payload))
}

/// What `panic!` was given.
fn message(payload: &(dyn Any + Send)) -> String {
    let text = payload.downcast_ref::<&str>().copied();
    let text = text.or_else(|| payload.downcast_ref::<String>().map(String::as_str));
    text.unwrap_or("a panic without a message").to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[tokio::test]
    async fn a_panic_is_an_outcome_at_every_poll() {
        assert_eq!(caught(async { 1 }).await, Ok(1));
        let after_a_while = async {
            tokio::task::yield_now().await;
            panic!("number {}", 7)
        };
        let outcome: Result<(), String> = caught(after_a_while).await;
        assert_eq!(outcome, Err("number 7".to_owned()));
        assert_eq!(attempted(|| 1), Ok(1));
        let outcome: Result<(), String> = attempted(|| panic!("number {}", 8));
        assert_eq!(outcome, Err("number 8".to_owned()));
        let unnamed = caught(async { std::panic::panic_any(3) }).await;
        assert_eq!(unnamed, Err("a panic without a message".to_owned()));
    }
}
