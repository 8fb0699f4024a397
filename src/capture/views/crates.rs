//! What is known of the types of other crates; the versions are those that were looked at.

use super::Known::{
    ChronoDate, ChronoDateTime, ChronoFixed, ChronoOffset, ChronoTime, ChronoUtc, TimeDate,
    TimeOffset, TimeTime, Uuid,
};
use super::layout::Layout::{Bytes, Form, Known, Shared, Small};
use super::layout::{Layout, Piece, Style, What, When};
use super::table::{Entries, value};
use super::{Quoting, View};
use std::ops::Range;

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
    // time 0.3. What a date's number means has changed from version to version: see `needs`.
    (
        "time::date::Date",
        &[Known {
            known: TimeDate,
            fields: &["value"],
        }],
    ),
    (
        "time::time::Time",
        &[Known {
            known: TimeTime,
            fields: &["hour", "minute", "second", "nanosecond"],
        }],
    ),
    (
        "time::utc_offset::UtcOffset",
        &[Known {
            known: TimeOffset,
            fields: &["hours", "minutes", "seconds"],
        }],
    ),
    (
        "time::plain_date_time::PlainDateTime",
        &[Form {
            style: Style::Joined,
            parts: &[value("", "date"), value(" ", "time")],
        }],
    ),
    (
        "time::primitive_date_time::PrimitiveDateTime",
        &[Form {
            style: Style::Joined,
            parts: &[value("", "date"), value(" ", "time")],
        }],
    ),
    (
        "time::offset_date_time::OffsetDateTime",
        &[Form {
            style: Style::Joined,
            parts: &[value("", "local_date_time"), value(" ", "offset")],
        }],
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

/// The package and its versions, where the fields alone do not tell what they mean.
pub fn needs(view: &View) -> Option<(&'static str, Range<[u32; 3]>)> {
    match view {
        View::Known {
            known: TimeDate, ..
        } => Some(("time", [0, 3, 55]..[0, 4, 0])),
        _ => None,
    }
}

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
