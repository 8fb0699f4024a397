//! SipHash-1-3, by which std's maps and sets find their keys unless they are given another hasher (`core/src/hash/sip.rs`).
//! Part of the interpreter: allocates nothing, panics never.

/// A hash under way.
pub struct Sip13 {
    state: [u64; 4],
    /// Bytes that do not fill a word yet.
    tail: u64,
    length: u64,
}

impl Sip13 {
    /// Begins with the two keys of a `RandomState`.
    pub fn new(k0: u64, k1: u64) -> Self {
        Self {
            state: [
                k0 ^ 0x736f_6d65_7073_6575,
                k1 ^ 0x646f_7261_6e64_6f6d,
                k0 ^ 0x6c79_6765_6e65_7261,
                k1 ^ 0x7465_6462_7974_6573,
            ],
            tail: 0,
            length: 0,
        }
    }

    /// Goes on with bytes; how they are divided makes no difference.
    pub fn write(&mut self, bytes: &[u8]) {
        for byte in bytes {
            let place = (self.length as u32 & 7).wrapping_mul(8);
            self.tail |= u64::from(*byte).wrapping_shl(place);
            self.length = self.length.wrapping_add(1);
            if self.length & 7 == 0 {
                self.word(self.tail);
                self.tail = 0;
            }
        }
    }

    /// The hash.
    pub fn finish(mut self) -> u64 {
        self.word(self.length.wrapping_shl(56) | self.tail);
        let [a, b, c, d] = self.state;
        self.state = [a, b, c ^ 0xff, d];
        for _ in 0..3 {
            self.round();
        }
        let [a, b, c, d] = self.state;
        a ^ b ^ c ^ d
    }

    fn word(&mut self, word: u64) {
        let [a, b, c, d] = self.state;
        self.state = [a, b, c, d ^ word];
        self.round();
        let [a, b, c, d] = self.state;
        self.state = [a ^ word, b, c, d];
    }

    fn round(&mut self) {
        let [mut a, mut b, mut c, mut d] = self.state;
        a = a.wrapping_add(b);
        c = c.wrapping_add(d);
        b = b.rotate_left(13) ^ a;
        d = d.rotate_left(16) ^ c;
        a = a.rotate_left(32);
        c = c.wrapping_add(b);
        a = a.wrapping_add(d);
        b = b.rotate_left(17) ^ c;
        d = d.rotate_left(21) ^ a;
        c = c.rotate_left(32);
        self.state = [a, b, c, d];
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;
    use std::hash::{BuildHasher, Hash, Hasher, RandomState};

    /// The two keys of a state; there is no other way to them.
    fn keys(state: &RandomState) -> (u64, u64) {
        // SAFETY: a `RandomState` is two `u64`, and any bytes are some.
        let [a, b] = unsafe { std::mem::transmute_copy::<RandomState, [u64; 2]>(state) };
        let mut sip = Sip13::new(a, b);
        sip.write(&[0]);
        // Their order is not laid down.
        if sip.finish() == state.hash_one(0u8) {
            (a, b)
        } else {
            (b, a)
        }
    }

    proptest! {
        #[test]
        fn hashes_are_those_of_the_standard_library(text: String, number: i64, cut in 0usize..9) {
            let state = RandomState::new();
            let (k0, k1) = keys(&state);
            let mut sip = Sip13::new(k0, k1);
            let (head, rest) = text.as_bytes().split_at(cut.min(text.len()));
            sip.write(head);
            sip.write(rest);
            sip.write(&[0xff]);
            prop_assert_eq!(sip.finish(), state.hash_one(&text));
            let mut sip = Sip13::new(k0, k1);
            sip.write(&number.to_le_bytes());
            prop_assert_eq!(sip.finish(), state.hash_one(number));
            let mut sip = Sip13::new(0, 0);
            sip.write(&number.to_le_bytes());
            let mut hasher = std::hash::DefaultHasher::new();
            number.hash(&mut hasher);
            prop_assert_eq!(sip.finish(), hasher.finish());
        }
    }
}
