//! What is known of the types of the standard library.
//!
//! Layouts are those of the standard libraries from Rust 1.88, the oldest that detrix itself compiles with, to 1.95;
//! where one has changed, the older one follows with the last version that had it.

use super::Known::{Bool, Duration, Ipv4, Ipv6};
use super::Quoting;
use super::layout::Layout::{
    Bytes, Dynamic, Form, Inner, Known, List, Name, Once, Payload, Ring, Run, Shared, Slice, Text,
    Tree, Vector, Weak, Wide,
};
use super::layout::{Layout, Piece, Style, What, When};

/// Layouts of types by name; a `*` stands for any text.
pub type Entries = &'static [(&'static str, &'static [Layout<'static>])];

/// The standard library.
pub const TABLE: Entries = &[
    // Pointers that are two words.
    ("&str", TEXT),
    ("&mut str", TEXT),
    ("alloc::boxed::Box<str,*", TEXT),
    (
        "alloc::rc::Rc<str,*",
        &[shared_bytes("ptr.pointer.data_ptr*value", Quoting::Text)],
    ),
    (
        "alloc::sync::Arc<str,*",
        &[shared_bytes("ptr.pointer.data_ptr*data", Quoting::Text)],
    ),
    ("&[*", SLICE),
    ("&mut [*", SLICE),
    ("alloc::boxed::Box<[*", SLICE),
    (
        "alloc::rc::Rc<[*",
        &[Run {
            data: "ptr.pointer.data_ptr*value",
            length: "ptr.pointer.length",
        }],
    ),
    (
        "alloc::sync::Arc<[*",
        &[Run {
            data: "ptr.pointer.data_ptr*data",
            length: "ptr.pointer.length",
        }],
    ),
    ("&dyn *", DYNAMIC),
    ("&mut dyn *", DYNAMIC),
    ("alloc::boxed::Box<dyn *", DYNAMIC),
    ("alloc::boxed::Box<(dyn *", DYNAMIC),
    ("&(dyn *", DYNAMIC),
    ("&mut (dyn *", DYNAMIC),
    (
        "alloc::rc::Rc<dyn *",
        &[shared_object("ptr.pointer.pointer*value")],
    ),
    (
        "alloc::sync::Arc<dyn *",
        &[shared_object("ptr.pointer.pointer*data")],
    ),
    (
        "alloc::rc::Rc<(dyn *",
        &[shared_object("ptr.pointer.pointer*value")],
    ),
    (
        "alloc::sync::Arc<(dyn *",
        &[shared_object("ptr.pointer.pointer*data")],
    ),
    // Text.
    (
        "alloc::string::String",
        &[Text {
            data: "vec.buf.inner.ptr",
            length: "vec.len",
        }],
    ),
    ("&std::path::Path", PATH),
    ("&mut std::path::Path", PATH),
    ("alloc::boxed::Box<std::path::Path,*", PATH),
    (
        "alloc::rc::Rc<std::path::Path,*",
        &[shared_bytes("ptr.pointer.data_ptr*value", Quoting::Os)],
    ),
    (
        "alloc::sync::Arc<std::path::Path,*",
        &[shared_bytes("ptr.pointer.data_ptr*data", Quoting::Os)],
    ),
    ("&std::ffi::os_str::OsStr", PATH),
    ("&mut std::ffi::os_str::OsStr", PATH),
    ("alloc::boxed::Box<std::ffi::os_str::OsStr,*", PATH),
    (
        "alloc::rc::Rc<std::ffi::os_str::OsStr,*",
        &[shared_bytes("ptr.pointer.data_ptr*value", Quoting::Os)],
    ),
    (
        "alloc::sync::Arc<std::ffi::os_str::OsStr,*",
        &[shared_bytes("ptr.pointer.data_ptr*data", Quoting::Os)],
    ),
    ("std::path::PathBuf", &[Inner { member: "inner" }]),
    (
        "std::ffi::os_str::OsString",
        &[Bytes {
            data: "inner.inner.buf.inner.ptr",
            length: "inner.inner.len",
            quoting: Quoting::Os,
        }],
    ),
    (
        "&core::ffi::c_str::CStr",
        &[Bytes {
            data: "data_ptr",
            length: "length",
            quoting: Quoting::C,
        }],
    ),
    (
        "alloc::boxed::Box<core::ffi::c_str::CStr,*",
        &[Bytes {
            data: "data_ptr",
            length: "length",
            quoting: Quoting::C,
        }],
    ),
    (
        "alloc::ffi::c_str::CString",
        &[Bytes {
            data: "inner.data_ptr",
            length: "inner.length",
            quoting: Quoting::C,
        }],
    ),
    ("alloc::borrow::Cow<*", &[Payload]),
    // Scalars.
    (
        "core::ptr::non_null::NonNull<*",
        &[Inner { member: "pointer" }],
    ),
    (
        "core::ptr::unique::Unique<*",
        &[Inner { member: "pointer" }],
    ),
    (
        "core::num::nonzero::NonZero<*",
        &[Inner { member: "__0.__0" }, Inner { member: "__0" }],
    ),
    ("core::num::niche_types::*", &[Inner { member: "__0" }]),
    (
        "core::num::wrapping::Wrapping<*",
        &[Inner { member: "__0" }],
    ),
    (
        "core::num::saturating::Saturating<*",
        &[Inner { member: "__0" }],
    ),
    (
        "core::sync::atomic::AtomicBool",
        &[Known {
            known: Bool,
            fields: &["v"],
        }],
    ),
    (
        "core::sync::atomic::AtomicPtr<*",
        &[Inner { member: "p.value" }],
    ),
    (
        "core::sync::atomic::Atomic*",
        &[Inner { member: "v.value" }],
    ),
    ("core::marker::PhantomData<*", &[Name]),
    ("core::mem::maybe_uninit::MaybeUninit<*", &[Name]),
    // Owners.
    (
        "core::pin::Pin<*",
        &[
            Inner { member: "pointer" },
            Inner {
                member: "__pointer",
            },
        ],
    ),
    (
        "alloc::rc::Rc<*",
        &[Shared {
            value: "ptr.pointer*value",
        }],
    ),
    (
        "alloc::sync::Arc<*",
        &[Shared {
            value: "ptr.pointer*data",
        }],
    ),
    (
        "alloc::rc::Weak<*",
        &[
            Weak {
                value: "ptr.pointer*value",
                strong: "ptr.pointer*strong",
            },
            WEAK_UNSIZED,
        ],
    ),
    (
        "alloc::sync::Weak<*",
        &[
            Weak {
                value: "ptr.pointer*data",
                strong: "ptr.pointer*strong",
            },
            WEAK_UNSIZED,
        ],
    ),
    // Cells.
    (
        "core::cell::Cell<*",
        &[Form {
            style: Style::Struct,
            parts: &[value("value", "value.value")],
        }],
    ),
    (
        "core::cell::RefCell<*",
        &[Form {
            style: Style::Struct,
            parts: &[Piece {
                // Negative while it is borrowed to be changed.
                when: Some(When {
                    path: "borrow",
                    mask: !0,
                    first: 0,
                    last: i64::MAX as u64,
                }),
                otherwise: "<borrowed>",
                ..value("value", "value.value")
            }],
        }],
    ),
    ("core::cell::Ref<*", &[Shared { value: "value*" }]),
    ("core::cell::RefMut<*", &[Shared { value: "value*" }]),
    (
        "core::cell::once::OnceCell<*",
        &[Form {
            style: Style::Tuple,
            parts: &[payload("inner.value", "Some")],
        }],
    ),
    (
        "core::cell::lazy::LazyCell<*",
        &[Form {
            style: Style::Tuple,
            parts: &[payload("state.value", "Init")],
        }],
    ),
    (
        "std::sync::once_lock::OnceLock<*",
        &[Once {
            state: ONCE,
            value: "value.value",
        }],
    ),
    (
        "std::sync::lazy_lock::LazyLock<*",
        &[Once {
            state: ONCE,
            value: "data.value.value",
        }],
    ),
    ("std::sync::*Mutex<*", &[MUTEX]),
    ("std::sync::*RwLock<*", &[RW_LOCK]),
    (
        "std::sync::*MutexGuard<*",
        &[Shared {
            value: "lock*data.value",
        }],
    ),
    (
        "std::sync::*RwLockReadGuard<*",
        &[Shared { value: "data*" }],
    ),
    (
        "std::sync::*RwLockWriteGuard<*",
        &[Shared {
            value: "lock*data.value",
        }],
    ),
    // Sequences.
    (
        "alloc::vec::Vec<*",
        &[Vector {
            data: "buf.inner.ptr",
            length: "len",
            element: "T",
        }],
    ),
    (
        "alloc::collections::vec_deque::VecDeque<*",
        &[Ring {
            data: "buf.inner.ptr",
            head: "head",
            length: "len",
            capacity: "buf.inner.cap",
            element: "T",
        }],
    ),
    (
        "alloc::collections::linked_list::LinkedList<*",
        &[List {
            head: "head.Some.__0",
            length: "len",
            next: "next.Some.__0",
            item: "element",
        }],
    ),
    (
        "alloc::collections::binary_heap::BinaryHeap<*",
        &[Inner { member: "data" }],
    ),
    // Maps and sets.
    (
        "std::collections::hash::map::HashMap<*",
        &[Inner { member: "base" }],
    ),
    (
        "std::collections::hash::set::HashSet<*",
        &[Inner { member: "base" }],
    ),
    (
        "hashbrown::map::HashMap<*",
        &[Layout::Table {
            table: "table",
            set: false,
        }],
    ),
    (
        "hashbrown::set::HashSet<*",
        &[Layout::Table {
            table: "map.table",
            set: true,
        }],
    ),
    (
        "alloc::collections::btree::map::BTreeMap<*",
        &[Tree {
            map: "",
            set: false,
        }],
    ),
    (
        "alloc::collections::btree::set::BTreeSet<*",
        &[Tree {
            map: "map",
            set: true,
        }],
    ),
    // Time and net.
    (
        "core::time::Duration",
        &[Known {
            known: Duration,
            fields: &["secs", "nanos"],
        }],
    ),
    ("std::time::Instant", TIMESPEC),
    ("std::time::SystemTime", TIMESPEC),
    (
        "core::net::ip_addr::Ipv4Addr",
        &[Known {
            known: Ipv4,
            fields: &["octets"],
        }],
    ),
    (
        "core::net::ip_addr::Ipv6Addr",
        &[Known {
            known: Ipv6,
            fields: &["octets"],
        }],
    ),
    ("core::net::ip_addr::IpAddr", &[Payload]),
    ("core::net::socket_addr::SocketAddr", &[Payload]),
    (
        "core::net::socket_addr::SocketAddrV4",
        &[Form {
            style: Style::Joined,
            parts: &[value("", "ip"), value(":", "port")],
        }],
    ),
    (
        "core::net::socket_addr::SocketAddrV6",
        &[Form {
            style: Style::Joined,
            parts: &[
                value("[", "ip"),
                Piece {
                    when: Some(When {
                        path: "scope_id",
                        mask: !0,
                        first: 1,
                        last: u64::MAX,
                    }),
                    ..value("%", "scope_id")
                },
                value("]:", "port"),
            ],
        }],
    ),
    (
        "core::ops::range::Range<*",
        &[Form {
            style: Style::Joined,
            parts: &[value("", "start"), value("..", "end")],
        }],
    ),
    (
        "core::ops::range::RangeInclusive<*",
        &[Form {
            style: Style::Joined,
            parts: &[
                value("", "start"),
                value("..=", "end"),
                Piece {
                    label: "",
                    what: What::Words(" (exhausted)"),
                    when: Some(When {
                        path: "exhausted",
                        mask: !0,
                        first: 1,
                        last: 1,
                    }),
                    otherwise: "",
                },
            ],
        }],
    ),
    (
        "core::ops::range::RangeFrom<*",
        &[Form {
            style: Style::Joined,
            parts: &[value("", "start"), words("..")],
        }],
    ),
    (
        "core::ops::range::RangeTo<*",
        &[Form {
            style: Style::Joined,
            parts: &[value("..", "end")],
        }],
    ),
    (
        "core::ops::range::RangeToInclusive<*",
        &[Form {
            style: Style::Joined,
            parts: &[value("..=", "end")],
        }],
    ),
    (
        "core::ops::range::RangeFull",
        &[Form {
            style: Style::Joined,
            parts: &[words("..")],
        }],
    ),
];

const TEXT: &[Layout<'static>] = &[Text {
    data: "data_ptr",
    length: "length",
}];
const SLICE: &[Layout<'static>] = &[Slice {
    data: "data_ptr",
    length: "length",
}];
/// A raw pointer to a slice or text, and to an object.
pub const WIDE: &[Layout<'static>] = &[
    Wide {
        data: "data_ptr",
        metadata: "length",
    },
    Wide {
        data: "pointer",
        metadata: "vtable",
    },
];
const DYNAMIC: &[Layout<'static>] = &[Dynamic {
    data: "pointer",
    vtable: "vtable",
}];
const PATH: &[Layout<'static>] = &[Bytes {
    data: "data_ptr",
    length: "length",
    quoting: Quoting::Os,
}];
const TIMESPEC: &[Layout<'static>] = &[Form {
    style: Style::Struct,
    parts: &[
        value("tv_sec", "__0.t.tv_sec"),
        value("tv_nsec", "__0.t.tv_nsec"),
    ],
}];

/// Unlocked, as `Debug` shows it. A lock that is held shows its data all the same, and says so.
const MUTEX: Layout<'static> = Form {
    style: Style::Open,
    parts: &[
        value("data", "data.value"),
        value("poisoned", "poison.failed"),
        Piece {
            label: "locked",
            what: What::Words("true"),
            // 0 is unlocked, 1 locked, 2 locked with threads that wait (std's `sys/sync/mutex/futex.rs`).
            when: Some(When {
                path: "inner.futex",
                mask: !0,
                first: 1,
                last: 2,
            }),
            otherwise: "",
        },
    ],
};

/// The lower 30 bits count the readers; all of them set is a writer (std's `sys/sync/rwlock/futex.rs`).
const READERS: u64 = (1 << 30) - 1;

const RW_LOCK: Layout<'static> = Form {
    style: Style::Open,
    parts: &[
        value("data", "data.value"),
        value("poisoned", "poison.failed"),
        Piece {
            label: "readers",
            what: What::Bits("inner.state", READERS, 0),
            when: Some(When {
                path: "inner.state",
                mask: READERS,
                first: 1,
                last: READERS - 1,
            }),
            otherwise: "",
        },
        Piece {
            label: "locked",
            what: What::Words("true"),
            when: Some(When {
                path: "inner.state",
                mask: READERS,
                first: READERS,
                last: READERS,
            }),
            otherwise: "",
        },
    ],
};

const WEAK_UNSIZED: Layout<'static> = Form {
    style: Style::Joined,
    parts: &[words("(Weak)")],
};

/// A value that is always there.
pub const fn value<'a>(label: &'a str, path: &'a str) -> Piece<'a> {
    Piece {
        label,
        what: What::Value(path),
        when: None,
        otherwise: "",
    }
}

/// Text that is always there.
pub const fn words(text: &str) -> Piece<'_> {
    Piece {
        label: "",
        what: What::Words(text),
        when: None,
        otherwise: "",
    }
}

const fn payload<'a>(path: &'a str, variant: &'a str) -> Piece<'a> {
    Piece {
        label: "",
        what: What::Payload(path, variant),
        when: None,
        otherwise: "<uninit>",
    }
}

/// The state of a cell that is filled once; 0 says that it is (`COMPLETE` in std's `sys/sync/once/futex.rs`, since
/// 1.84).
const ONCE: &str = "once.inner.state_and_queued";

const fn shared_bytes(data: &str, quoting: Quoting) -> Layout<'_> {
    Bytes {
        data,
        length: "ptr.pointer.length",
        quoting,
    }
}

const fn shared_object(data: &str) -> Layout<'_> {
    Dynamic {
        data,
        vtable: "ptr.pointer.vtable",
    }
}
