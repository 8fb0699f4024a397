//! A value that one thread replaces as a whole while another one reads it, without a lock.

use std::ptr;
use std::sync::atomic::Ordering;

use super::sync::AtomicPtr;

/// A value, or none.
pub struct Published<T>(AtomicPtr<T>);

impl<T> Default for Published<T> {
    fn default() -> Self {
        Self(AtomicPtr::new(ptr::null_mut()))
    }
}

impl<T> Published<T> {
    /// The present value.
    ///
    /// # Safety
    ///
    /// Whoever replaces it keeps the old one until the caller has told that it looks no more.
    pub unsafe fn get(&self) -> Option<&T> {
        // SAFETY: null, or made by `Box::into_raw` in `replace`, which hands it out when it is replaced; the caller's promise.
        unsafe { self.0.load(Ordering::Acquire).as_ref() }
    }

    /// Publishes another value, and hands out the old one, which a reader may still be looking at.
    pub fn replace(&self, value: Option<Box<T>>) -> Option<Box<T>> {
        let new = value.map_or(ptr::null_mut(), Box::into_raw);
        let old = self.0.swap(new, Ordering::AcqRel);
        // SAFETY: made by `Box::into_raw` above, and taken out just now.
        (!old.is_null()).then(|| unsafe { Box::from_raw(old) })
    }
}

impl<T> Drop for Published<T> {
    fn drop(&mut self) {
        drop(self.replace(None));
    }
}

#[cfg(all(test, detrix_loom))]
mod models {
    use loom::sync::Arc;
    use loom::sync::atomic::AtomicBool;
    use loom::thread;

    use super::super::sync::Witness;
    use super::*;

    /// A list that tells when it is made, read and freed.
    struct List {
        number: u32,
        witness: Witness,
    }

    fn list(number: u32) -> Option<Box<List>> {
        let witness = Witness::new(1);
        witness.writes(0, 1);
        Some(Box::new(List { number, witness }))
    }

    impl Drop for List {
        fn drop(&mut self) {
            self.witness.writes(0, 1);
        }
    }

    /// # Safety
    ///
    /// As for [`Published::get`].
    unsafe fn read(lists: &Published<List>) -> u32 {
        // SAFETY: the caller's promise.
        let list = unsafe { lists.get() }.expect("there is always one");
        list.witness.reads(0, 1);
        list.number
    }

    /// The tracer never reads a list that is not whole or is freed: the old one is kept until it has answered the bell, or
    /// is gone.
    #[test]
    fn loom_a_replaced_list_lives_until_the_answer() {
        loom::model(|| {
            let lists = Arc::new(Published::default());
            drop(lists.replace(list(1)));
            let rung = Arc::new(AtomicBool::new(false));
            let answered = Arc::new(AtomicBool::new(false));
            let tracer = thread::spawn({
                let (lists, rung, answered) = (lists.clone(), rung.clone(), answered.clone());
                move || {
                    // SAFETY: it has not answered yet.
                    let before = unsafe { read(&lists) };
                    assert!(before == 1 || before == 2);
                    if rung.load(Ordering::Acquire) {
                        answered.store(true, Ordering::Release);
                        // SAFETY: what is replaced from here on waits for the end of this thread.
                        assert_eq!(unsafe { read(&lists) }, 2);
                    }
                }
            });
            let old = lists.replace(list(2));
            rung.store(true, Ordering::Release);
            if answered.load(Ordering::Acquire) {
                drop(old);
                tracer.join().unwrap();
            } else {
                tracer.join().unwrap();
                drop(old);
            }
        });
    }
}
