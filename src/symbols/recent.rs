//! A small cache of what was used last.

use std::collections::VecDeque;
use std::sync::{Arc, Mutex, PoisonError};

/// The most recently used values of some key, up to a number of them.
pub struct Recent<K, V> {
    kept: Mutex<VecDeque<(K, Arc<V>)>>,
    most: usize,
}

impl<K: Clone + PartialEq, V> Recent<K, V> {
    /// `most` is how many are kept.
    pub fn new(most: usize) -> Self {
        Self {
            kept: Mutex::default(),
            most,
        }
    }

    /// The value of a key, made where it is not kept.
    ///
    /// # Errors
    ///
    /// Those of `make`.
    pub fn get_or_try<E>(&self, key: K, make: impl FnOnce() -> Result<V, E>) -> Result<Arc<V>, E> {
        if let Some(value) = self.take(|(kept, _)| *kept == key) {
            return Ok(value.1);
        }
        let value = Arc::new(make()?);
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        kept.truncate(self.most.saturating_sub(1));
        kept.push_front((key, Arc::clone(&value)));
        Ok(value)
    }

    /// The key of a value that passes a test.
    pub fn find(&self, test: impl Fn(&V) -> bool) -> Option<K> {
        self.take(|(_, value)| test(value)).map(|(key, _)| key)
    }

    /// Looks for an element, and makes it the most recent one.
    fn take(&self, test: impl Fn(&(K, Arc<V>)) -> bool) -> Option<(K, Arc<V>)> {
        let mut kept = self.kept.lock().unwrap_or_else(PoisonError::into_inner);
        let at = kept.iter().position(test)?;
        let element = kept.remove(at)?;
        kept.push_front(element.clone());
        Some(element)
    }
}
