//! What is known of the types of other crates; the versions are those that were looked at.

use super::Known::{
    ChronoDate, ChronoDateTime, ChronoFixed, ChronoOffset, ChronoTime, ChronoUtc, Uuid,
};
use super::Quoting;
use super::layout::Layout::{Bytes, Form, Known, Shared, Small};
use super::layout::{Layout, Piece, Style, What, When};
use super::table::{Entries, value};

/// Crates, in the order of their names.
pub const TABLE: Entries = &[
    // bytes 1
    (
        "bytes::bytes::Bytes",
        &[Bytes {
            data: "ptr",
            length: "len",
            quoting: Quoting::Literal,
        }],
    ),
    (
        "bytes::bytes_mut::BytesMut",
        &[Bytes {
            data: "ptr",
            length: "len",
            quoting: Quoting::Literal,
        }],
    ),
    // chrono 0.4.32 and later; before, the date's field had another name.
    (
        "chrono::naive::date::NaiveDate",
        &[Known {
            known: ChronoDate,
            fields: &["yof"],
        }],
    ),
    (
        "chrono::naive::time::NaiveTime",
        &[Known {
            known: ChronoTime,
            fields: &["secs", "frac"],
        }],
    ),
    (
        "chrono::naive::datetime::NaiveDateTime",
        &[Known {
            known: ChronoDateTime,
            fields: &["date.yof", "time.secs", "time.frac"],
        }],
    ),
    (
        "chrono::datetime::DateTime<chrono::offset::utc::Utc>",
        &[Known {
            known: ChronoUtc,
            fields: &[
                "datetime.date.yof",
                "datetime.time.secs",
                "datetime.time.frac",
            ],
        }],
    ),
    (
        "chrono::datetime::DateTime<chrono::offset::*>",
        &[Known {
            known: ChronoFixed,
            fields: &[
                "datetime.date.yof",
                "datetime.time.secs",
                "datetime.time.frac",
                "offset.local_minus_utc",
            ],
        }],
    ),
    (
        "chrono::offset::fixed::FixedOffset",
        &[Known {
            known: ChronoOffset,
            fields: &["local_minus_utc"],
        }],
    ),
    // lock_api 0.4 with the locks of parking_lot 0.12: bit 0 of a mutex is the lock, bit 3 of a read-write lock the
    // writer, the bits from 4 on count readers (its `raw_mutex.rs` and `raw_rwlock.rs`).
    (
        "lock_api::mutex::Mutex<parking_lot::raw_mutex::RawMutex,*",
        &[MUTEX],
    ),
    (
        "lock_api::rwlock::RwLock<parking_lot::raw_rwlock::RawRwLock,*",
        &[RW_LOCK],
    ),
    (
        "lock_api::mutex::MutexGuard<*",
        &[Shared {
            value: "mutex*data.value",
        }],
    ),
    (
        "lock_api::rwlock::RwLockReadGuard<*",
        &[Shared {
            value: "rwlock*data.value",
        }],
    ),
    (
        "lock_api::rwlock::RwLockWriteGuard<*",
        &[Shared {
            value: "rwlock*data.value",
        }],
    ),
    // smallvec 1, without and with its feature `union`.
    (
        "smallvec::SmallVec<*",
        &[
            Small {
                capacity: "capacity",
                inside: "data.Inline.__0",
                data: "data.Heap.ptr",
                length: "data.Heap.len",
                array: "A",
            },
            Small {
                capacity: "capacity",
                inside: "data.inline",
                data: "data.heap.__0",
                length: "data.heap.__1",
                array: "A",
            },
        ],
    ),
    // uuid 1
    (
        "uuid::Uuid",
        &[Known {
            known: Uuid,
            fields: &["__0"],
        }],
    ),
];

const MUTEX: Layout<'static> = Form {
    style: Style::Struct,
    parts: &[
        value("data", "data.value"),
        Piece {
            label: "locked",
            what: What::Words("true"),
            when: Some(When {
                path: "raw.state",
                mask: 1,
                first: 1,
                last: 1,
            }),
            otherwise: "",
        },
    ],
};

const RW_LOCK: Layout<'static> = Form {
    style: Style::Struct,
    parts: &[
        value("data", "data.value"),
        Piece {
            label: "readers",
            what: What::Bits("raw.state", !0xf, 4),
            when: Some(When {
                path: "raw.state",
                mask: !0x7,
                first: 0x10,
                last: !0xf,
            }),
            otherwise: "",
        },
        Piece {
            label: "locked",
            what: What::Words("true"),
            when: Some(When {
                path: "raw.state",
                mask: 0x8,
                first: 0x8,
                last: 0x8,
            }),
            otherwise: "",
        },
    ],
};
