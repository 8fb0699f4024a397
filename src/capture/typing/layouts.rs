//! What is known of the standard library's types beyond how they are shown: paths of members by the type's name.

/// A way from a value of some types to something within or behind it.
#[derive(Clone, Copy, Debug)]
pub(super) struct Way {
    /// The type's name; a `*` at the end stands for anything.
    pattern: &'static str,
    /// Members separated by dots, `*` for what a pointer points to; one line for each layout that a toolchain has had.
    pub(super) fields: &'static [&'static str],
}

impl Way {
    pub(super) fn fits(&self, name: &str) -> bool {
        match self.pattern.strip_suffix('*') {
            Some(prefix) => name.starts_with(prefix),
            None => name == self.pattern,
        }
    }
}

const fn way(pattern: &'static str, fields: &'static [&'static str]) -> Way {
    Way { pattern, fields }
}

/// What dereferences to something else.
pub(super) const OWNERS: &[Way] = &[
    way("alloc::sync::Arc<*", &["ptr.pointer.*.data"]),
    way("alloc::rc::Rc<*", &["ptr.pointer.*.value"]),
    way("core::pin::Pin<*", &["pointer", "__pointer"]),
    way(
        "core::mem::manually_drop::ManuallyDrop<*",
        &["value.value", "value.__0", "value"],
    ),
    way("lock_api::mutex::MutexGuard<*", &["mutex.*.data.value"]),
    way(
        "lock_api::rwlock::RwLockReadGuard<*",
        &["rwlock.*.data.value"],
    ),
    way(
        "lock_api::rwlock::RwLockWriteGuard<*",
        &["rwlock.*.data.value"],
    ),
    way("core::cell::Ref<*", &["value.pointer.*"]),
    way("core::cell::RefMut<*", &["value.pointer.*"]),
    way(
        "std::sync::poison::mutex::MutexGuard<*",
        &["lock.*.data.value"],
    ),
    way("std::sync::mutex::MutexGuard<*", &["lock.*.data.value"]),
    way(
        "std::sync::poison::rwlock::RwLockReadGuard<*",
        &["data.pointer.*"],
    ),
    way(
        "std::sync::poison::rwlock::RwLockWriteGuard<*",
        &["lock.*.data.value"],
    ),
    way("std::sync::rwlock::RwLockReadGuard<*", &["data.pointer.*"]),
    way(
        "std::sync::rwlock::RwLockWriteGuard<*",
        &["lock.*.data.value"],
    ),
];

/// The values of what is made when it is first used, beside a `Once`.
pub(super) const LAZIES: &[Way] = &[way(
    "std::sync::lazy_lock::LazyLock<*",
    &["data.value.value"],
)];
/// Of what is made when somebody has a value.
pub(super) const ONCES: &[Way] = &[way("std::sync::once_lock::OnceLock<*", &["value.value"])];
/// The state of the `Once` of both.
pub(super) const ONCE_STATES: &[Way] = &[
    way("std::sync::lazy_lock::LazyLock<*", ONCE),
    way("std::sync::once_lock::OnceLock<*", ONCE),
];
const ONCE: &[&str] = &[
    "once.inner.state_and_queued.v.value",
    "once.inner.state_and_queued.v.value.__0",
];
/// An enum that has the value, in a cell.
pub(super) const LAZY_STATES: &[Way] = &[way("core::cell::lazy::LazyCell<*", &["state.value"])];
/// An `Option` of the value, in a cell.
pub(super) const OPTIONS: &[Way] = &[way("core::cell::once::OnceCell<*", &["inner.value"])];

/// What a lock or a cell guards.
pub(super) const GUARDED: &[Way] = &[
    way("std::sync::poison::mutex::Mutex<*", &["data.value"]),
    way("std::sync::mutex::Mutex<*", &["data.value"]),
    way("std::sync::poison::rwlock::RwLock<*", &["data.value"]),
    way("std::sync::rwlock::RwLock<*", &["data.value"]),
];

/// As [`GUARDED`], where the guard is no `Result`.
pub(super) const CELLS: &[Way] = &[
    way("core::cell::RefCell<*", &["value.value"]),
    way("core::cell::Cell<*", &["value.value"]),
    way("lock_api::mutex::Mutex<*", &["data.value"]),
    way("lock_api::rwlock::RwLock<*", &["data.value"]),
];

/// A number that tells whether somebody may be changing what is guarded.
pub(super) struct Held {
    /// Where it is.
    pub(super) way: Way,
    /// The bits that count.
    pub(super) mask: u64,
    /// What they are while it is held, or, `negated`, while it is not.
    pub(super) bits: u64,
    pub(super) negated: bool,
}

const fn held(way: Way, mask: u64, bits: u64) -> Held {
    Held {
        way,
        mask,
        bits,
        negated: false,
    }
}

const fn unless_zero(way: Way) -> Held {
    Held {
        way,
        mask: u64::MAX,
        bits: 0,
        negated: true,
    }
}

/// What all readers of std's `RwLock` together are; a writer has all these bits (library/std/src/sys/sync/rwlock/futex.rs).
const WRITER: u64 = (1 << 30) - 1;

/// See [`Held`].
pub(super) const HELD: &[Held] = &[
    unless_zero(way(
        "std::sync::poison::mutex::Mutex<*",
        &["inner.futex.v.value"],
    )),
    unless_zero(way("std::sync::mutex::Mutex<*", &["inner.futex.v.value"])),
    held(
        way(
            "std::sync::poison::rwlock::RwLock<*",
            &["inner.state.v.value"],
        ),
        WRITER,
        WRITER,
    ),
    held(
        way("std::sync::rwlock::RwLock<*", &["inner.state.v.value"]),
        WRITER,
        WRITER,
    ),
    held(
        way(
            "lock_api::mutex::Mutex<parking_lot::*",
            &["raw.state.v.value"],
        ),
        1,
        1,
    ),
    held(
        way(
            "lock_api::rwlock::RwLock<parking_lot::*",
            &["raw.state.v.value"],
        ),
        8,
        8,
    ),
    // Negative while it is borrowed mutably.
    held(
        way("core::cell::RefCell<*", &["borrow.value.value"]),
        1 << 63,
        1 << 63,
    ),
];

/// Whether a thread panicked while it held a lock.
pub(super) const POISONED: &[Way] = &[
    way("std::sync::poison::mutex::Mutex<*", POISON),
    way("std::sync::mutex::Mutex<*", POISON),
    way("std::sync::poison::rwlock::RwLock<*", POISON),
    way("std::sync::rwlock::RwLock<*", POISON),
];
const POISON: &[&str] = &["poison.failed.v.value", "poison.failed.v.value.__0"];

/// What wraps one number.
pub(super) const NUMBERS: &[Way] = &[
    way("core::sync::atomic::Atomic*", &["v.value", "v.value.__0"]),
    way("core::num::nonzero::NonZero<*", &["__0.__0", "__0"]),
    way("core::num::wrapping::Wrapping<*", &["__0"]),
    way("core::num::saturating::Saturating<*", &["__0"]),
];

/// How many elements fit before memory has to be found for more.
pub(super) const CAPACITIES: &[Way] = &[
    way(
        "alloc::vec::Vec<*",
        &[
            "buf.inner.cap.__0",
            "buf.inner.cap",
            "buf.cap.__0",
            "buf.cap",
        ],
    ),
    way(
        "alloc::string::String",
        &[
            "vec.buf.inner.cap.__0",
            "vec.buf.inner.cap",
            "vec.buf.cap.__0",
            "vec.buf.cap",
        ],
    ),
    way(
        "alloc::collections::vec_deque::VecDeque<*",
        &["buf.inner.cap.__0", "buf.cap.__0"],
    ),
];

/// How many elements there are, in what is no sequence of one piece.
pub(super) const LENGTHS: &[Way] = &[
    way("alloc::collections::linked_list::LinkedList<*", &["len"]),
    way(
        "alloc::collections::binary_heap::BinaryHeap<*",
        &["data.len"],
    ),
    way("alloc::collections::btree::map::BTreeMap<*", &["length"]),
    way(
        "alloc::collections::btree::set::BTreeSet<*",
        &["map.length"],
    ),
    way(
        "std::collections::hash::map::HashMap<*",
        &["base.table.table.items"],
    ),
    way(
        "std::collections::hash::set::HashSet<*",
        &["base.map.table.table.items"],
    ),
    way("hashbrown::map::HashMap<*", &["table.table.items"]),
    way("hashbrown::set::HashSet<*", &["map.table.table.items"]),
];

/// What a hash map or set hashes its keys by.
pub(super) const HASHERS: &[Way] = &[
    way("hashbrown::map::HashMap<*", &["hash_builder"]),
    way("hashbrown::set::HashSet<*", &["map.hash_builder"]),
];
/// The keys of the one of them that is known: SipHash-1-3.
pub(super) const FIRST_KEY: &[Way] = &[way("std::hash::random::RandomState", &["k0"])];
/// See [`FIRST_KEY`].
pub(super) const SECOND_KEY: &[Way] = &[way("std::hash::random::RandomState", &["k1"])];

/// The bytes of a text that owns them.
pub(super) const STRINGS: &[Way] = &[way("alloc::string::String", &["vec"])];

/// As [`STRINGS`], behind the counters of those who share them.
pub(super) const SHARED_TEXTS: &[Way] = &[
    way("alloc::sync::Arc<str,*", &["ptr.pointer.data_ptr.*.data"]),
    way("alloc::rc::Rc<str,*", &["ptr.pointer.data_ptr.*.value"]),
];

/// Seconds and nanoseconds of a `Duration`.
pub(super) const SECONDS: &[Way] = &[way("core::time::Duration", &["secs"])];
/// See [`SECONDS`].
pub(super) const NANOSECONDS: &[Way] = &[way("core::time::Duration", &["nanos.__0", "nanos"])];

/// Whether a thread-local has its value.
pub(super) const THREAD_LOCAL_STATES: &[Way] = &[
    way(
        "std::sys::thread_local::native::eager::Storage<*",
        &["state.value.value"],
    ),
    way(
        "std::sys::thread_local::native::lazy::Storage<*",
        // The second one up to Rust 1.89.
        &["state.value.value", "state.value"],
    ),
];
/// The value of one whose state stands beside it.
pub(super) const THREAD_LOCAL_VALUES: &[Way] = &[
    way("std::sys::thread_local::native::eager::Storage<*", &["val"]),
    way(
        "std::sys::thread_local::native::lazy::Storage<*",
        &["value"],
    ),
];
