//! Keys of hash tables, over tables whose hashes are right, and over some whose are not.

use super::world::{World, members, words};
use crate::capture::sip::Sip13;
use crate::symbols::types::{TypeKind, TypeRef};

const BUCKETS: u64 = 64;

/// Where hashbrown finds and puts keys: control bytes, of which the first ones follow once more, and what is in the buckets.
struct Table {
    controls: Vec<u8>,
    buckets: Vec<Option<(u64, u64)>>,
}

impl Table {
    fn new(entries: &[(u64, u64)], hash: impl Fn(u64) -> u64) -> Self {
        let mut table = Self {
            controls: vec![0xff; BUCKETS as usize + 16],
            buckets: vec![None; BUCKETS as usize],
        };
        for (key, value) in entries {
            let hash = hash(*key);
            let (mut position, mut stride) = (hash % BUCKETS, 0);
            let free = loop {
                let group = (0..16).map(|index| (position + index) % BUCKETS);
                if let Some(free) = group
                    .into_iter()
                    .find(|index| table.buckets[*index as usize].is_none())
                {
                    break free;
                }
                stride += 16;
                position = (position + stride) % BUCKETS;
            };
            table.buckets[free as usize] = Some((*key, *value));
            table.controls[free as usize] = (hash >> 57) as u8;
        }
        let first = table.controls[..16].to_vec();
        table.controls[BUCKETS as usize..].copy_from_slice(&first);
        table
    }

    /// In memory the buckets stand before the control bytes, the last one first.
    fn bytes(&self) -> Vec<u8> {
        let entries = self.buckets.iter().rev();
        let mut bytes: Vec<u8> = entries
            .flat_map(|entry| {
                let (key, value) = entry.unwrap_or((1 << 40, 1 << 40));
                words(&[key, value])
            })
            .collect();
        bytes.extend(&self.controls);
        bytes
    }
}

/// `hashbrown::map::HashMap<K, u64, std::hash::random::RandomState>`
fn map_type(world: &mut World, key: TypeRef, hasher: &str) -> TypeRef {
    let types = &mut world.types;
    let name = types.get(key).name.clone();
    let value = types.get(key).size;
    let (word, byte) = (types.base("u64"), types.base("u8"));
    let raw = types.pointer("*const u8", byte);
    let ctrl = types.structure(
        "core::ptr::non_null::NonNull<u8>",
        8,
        &[("pointer", 0, raw)],
    );
    let inner = types.structure(
        "hashbrown::raw::RawTableInner",
        32,
        &[
            ("bucket_mask", 0, word),
            ("ctrl", 8, ctrl),
            ("growth_left", 16, word),
            ("items", 24, word),
        ],
    );
    let pair = types.structure(
        &format!("({name}, u64)"),
        value + 8,
        &[("__0", 0, key), ("__1", value, word)],
    );
    let kind = TypeKind::Struct {
        members: members(&[("table", 0, inner)]),
        parameters: vec![("T".into(), pair)],
    };
    let table = types.add(
        &format!("hashbrown::raw::RawTable<({name}, u64)>"),
        32,
        kind,
    );
    let state = types.structure(hasher, 16, &[("k0", 0, word), ("k1", 8, word)]);
    types.structure(
        &format!("hashbrown::map::HashMap<{name}, u64, {hasher}>"),
        48,
        &[("table", 0, table), ("hash_builder", 32, state)],
    )
}

const KEYS: (u64, u64) = (0x0123_4567_89ab_cdef, 42);

fn sip(key: u64) -> u64 {
    let mut hash = Sip13::new(KEYS.0, KEYS.1);
    hash.write(&key.to_le_bytes());
    hash.finish()
}

/// A map of 40 keys, 7 apart, to their squares; how often memory was read to find one that is there, and one that is not.
fn reads(hasher: &str, hash: impl Fn(u64) -> u64) -> (usize, usize) {
    let mut world = World::new();
    let entries: Vec<(u64, u64)> = (0..40).map(|n| (n * 7, n * n * 49)).collect();
    let table = Table::new(&entries, hash);
    let key = world.types.base("u64");
    let ty = map_type(&mut world, key, hasher);
    let control = world.heap(&table.bytes()) + BUCKETS * 16;
    let map = words(&[BUCKETS - 1, control, 16, 40, KEYS.0, KEYS.1]);
    world.variable("map", ty, &map);
    for (key, value) in entries {
        assert_eq!(world.show(&format!("{{map[&{key}]}}")), value.to_string());
    }
    for missing in [1, 6, 8, 280, u64::MAX] {
        assert_eq!(world.show(&format!("{{map.get(&{missing})}}")), "None");
    }
    assert_eq!(world.show("{map[&5]}"), "<no such key>");
    let mut reads = |message: &str| {
        let before = world.memory.reads;
        world.show(message);
        world.memory.reads - before
    };
    (
        reads("{map.contains_key(&70)}"),
        reads("{map.contains_key(&71)}"),
    )
}

#[test]
fn a_key_is_found_by_its_hash() {
    let (there, missing) = reads("std::hash::random::RandomState", sip);
    assert!(there < 10 && missing < 14, "{there}, {missing}");
}

#[test]
fn shared_text_is_a_key() {
    let names = ["BTC", "ETH", "SOL"];
    let hash = |at: u64| {
        let mut hash = Sip13::new(KEYS.0, KEYS.1);
        hash.write(names[at as usize].as_bytes());
        hash.write(&[0xff]);
        hash.finish()
    };
    for hasher in ["std::hash::random::RandomState", "shop::RandomState"] {
        for owner in ["alloc::sync::Arc", "alloc::rc::Rc"] {
            let mut world = World::new();
            let byte = world.types.base("u8");
            let key = world.types.shared(owner, "str", byte);
            let ty = map_type(&mut world, key, hasher);
            let table = Table::new(&[(0, 10), (1, 11), (2, 12)], hash);
            let mut bytes = Vec::new();
            for bucket in table.buckets.iter().rev() {
                bytes.extend(match bucket {
                    Some((at, _)) => world.counted(names[*at as usize].as_bytes(), 3),
                    None => words(&[0, 0]),
                });
                bytes.extend(words(&[bucket.map_or(0, |(_, value)| value)]));
            }
            bytes.extend(&table.controls);
            let control = world.heap(&bytes) + BUCKETS * 24;
            let map = words(&[BUCKETS - 1, control, 16, 3, KEYS.0, KEYS.1]);
            world.variable("map", ty, &map);
            let bytes = world.counted(b"ETH", 3);
            world.variable("symbol", key, &bytes);
            for (expression, expected) in [
                ("map[\"BTC\"]", "10"),
                ("map.get(\"SOL\")", "Some(12)"),
                ("map.get(\"XRP\")", "None"),
                ("map.contains_key(\"ETH\")", "true"),
                ("map[&symbol]", "11"),
                ("map[\"\"]", "<no such key>"),
            ] {
                let shown = world.show(&format!("{{{expression}}}"));
                assert_eq!(shown, expected, "{hasher} {owner} {expression}");
            }
        }
    }
}

#[test]
fn a_table_with_another_hasher_is_looked_through() {
    let (_, missing) = reads("shop::RandomState", |key| key.rotate_left(60));
    assert!(missing > 4, "{missing}");
}

#[test]
fn a_hasher_that_is_not_what_its_name_says_is_not_believed() {
    reads("std::hash::random::RandomState", |key| {
        key.wrapping_mul(0x9e37_79b9_7f4a_7c15)
    });
    // All in one bucket's chain.
    reads("std::hash::random::RandomState", |_| 0);
}
