//! How much one client may have set. What it sets is kept, also what is not in the code, so without an end to it a client
//! could fill the application's memory and keep its thread busy.

use std::collections::HashMap;

use dap::SourceMap;

use super::backend::{NamedFile, Wanted};

/// How many breakpoints one request may set; those behind them are answered, and not kept.
pub const IN_REQUEST: usize = 10_000;

/// From how many on a request is not answered one by one.
pub const IN_ANSWER: usize = 2 * IN_REQUEST;

/// How many a client may have in all its files.
pub const IN_SESSION: usize = 50_000;

/// How many bytes a client's paths, texts of breakpoints and source maps may have together.
pub const TEXT_BYTES: usize = 8 << 20;

/// How many bytes a path may have: `PATH_MAX` of Linux. It is in each breakpoint that is answered.
pub const PATH_BYTES: usize = 4096;

/// How many bytes of paths an answer may repeat. Escaped they are six times as many, and the last part of each is its name.
pub const ANSWERED_PATHS: usize = 1 << 20;

/// What a client has set.
#[derive(Debug, Default)]
pub struct Quota {
    files: HashMap<NamedFile, Used>,
    all: Used,
}

#[derive(Clone, Copy, Debug, Default)]
struct Used {
    breakpoints: usize,
    bytes: usize,
}

impl Quota {
    /// Decides which of a file's breakpoints there is room for; they take the place of those that it had. The others are
    /// given back as why there is none.
    pub fn admit(
        &mut self,
        file: &NamedFile,
        asked: impl Iterator<Item = Result<Wanted, String>>,
    ) -> Vec<Result<Wanted, String>> {
        let before = self.files.remove(file).unwrap_or_default();
        self.all.breakpoints -= before.breakpoints;
        self.all.bytes -= before.bytes;
        let mut used = Used::default();
        let admitted = asked
            .map(|asked| {
                let wanted = asked?;
                let more = match used.breakpoints {
                    0 => file_bytes(file) + text_bytes(&wanted),
                    _ => text_bytes(&wanted),
                };
                self.room(used, more)?;
                used.breakpoints += 1;
                used.bytes += more;
                Ok(wanted)
            })
            .collect();
        if used.breakpoints > 0 {
            self.all.breakpoints += used.breakpoints;
            self.all.bytes += used.bytes;
            self.files.insert(file.clone(), used);
        }
        admitted
    }

    /// Takes a source map into account, for as long as the session lasts: each file keeps the one that it was set with.
    ///
    /// # Errors
    ///
    /// Why there is no room for it.
    pub fn admit_map(&mut self, map: &SourceMap) -> Result<(), String> {
        let bytes = self.all.bytes + map.bytes();
        if bytes > TEXT_BYTES {
            return Err(format!(
                "the source map is too long: it, what this session has had before and the texts of its breakpoints have \
                 {bytes} bytes, and may have {TEXT_BYTES}; map fewer directories"
            ));
        }
        self.all.bytes = bytes;
        Ok(())
    }

    /// Whether there is room for one more, of `bytes`, beside what the request has `used`.
    fn room(&self, used: Used, bytes: usize) -> Result<(), String> {
        if used.breakpoints >= IN_REQUEST {
            return Err(format!(
                "not set: a request sets {IN_REQUEST} breakpoints in a file at most; remove others of this file"
            ));
        }
        if self.all.breakpoints + used.breakpoints >= IN_SESSION {
            return Err(format!(
                "not set: a client has {IN_SESSION} breakpoints at most; remove others"
            ));
        }
        if self.all.bytes + used.bytes + bytes > TEXT_BYTES {
            return Err(format!(
                "not set: the texts of a client's breakpoints, their paths and the source map have {TEXT_BYTES} bytes at \
                 most; shorten this one, or remove others"
            ));
        }
        Ok(())
    }
}

fn file_bytes(file: &NamedFile) -> usize {
    file.path.len() + file.name.as_ref().map_or(0, String::len)
}

fn text_bytes(wanted: &Wanted) -> usize {
    let texts = [
        &wanted.condition,
        &wanted.hit_condition,
        &wanted.log_message,
    ];
    texts.into_iter().flatten().map(String::len).sum()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(path: &str) -> NamedFile {
        NamedFile {
            path: path.to_owned(),
            name: None,
        }
    }

    /// Asks for `count` breakpoints with texts of `bytes`: how many are admitted, and why the last one is not.
    fn ask(quota: &mut Quota, path: &str, count: usize, bytes: usize) -> (usize, String) {
        let wanted = Wanted {
            line: 1,
            column: None,
            condition: None,
            hit_condition: None,
            log_message: Some("x".repeat(bytes)),
            limits: dap::Limits::default(),
        };
        let asked = std::iter::repeat_with(|| Ok(wanted.clone())).take(count);
        let admitted = quota.admit(&file(path), asked);
        assert_eq!(admitted.len(), count);
        let refused = admitted.iter().rev().find_map(|one| one.clone().err());
        let count = admitted.iter().flatten().count();
        (count, refused.unwrap_or_default())
    }

    #[test]
    fn a_request_sets_ten_thousand() {
        let mut quota = Quota::default();
        let (count, why) = ask(&mut quota, "a", IN_REQUEST + 2, 1);
        assert_eq!(count, IN_REQUEST);
        assert!(why.contains("10000 breakpoints in a file"), "{why}");
    }

    #[test]
    fn a_client_has_fifty_thousand_until_it_removes_some() {
        let mut quota = Quota::default();
        for number in 0..IN_SESSION / IN_REQUEST {
            let path = number.to_string();
            assert_eq!(ask(&mut quota, &path, IN_REQUEST, 1).0, IN_REQUEST);
        }
        let (count, why) = ask(&mut quota, "more", 5, 1);
        assert_eq!(count, 0);
        assert!(why.contains("50000 breakpoints at most"), "{why}");
        // Those of the file itself make room.
        assert_eq!(ask(&mut quota, "0", IN_REQUEST, 1).0, IN_REQUEST);
        ask(&mut quota, "0", IN_REQUEST - 3, 1);
        assert_eq!(ask(&mut quota, "more", 5, 1).0, 3);
    }

    #[test]
    fn texts_paths_and_maps_share_their_bytes() {
        let mut quota = Quota::default();
        assert_eq!(ask(&mut quota, "a", 9, TEXT_BYTES / 8).0, 7);
        let (count, why) = ask(&mut quota, "long", 1, TEXT_BYTES / 8 - 4);
        assert_eq!(count, 0);
        assert!(why.contains("8388608 bytes at most"), "{why}");
        assert_eq!(ask(&mut quota, "long", 1, TEXT_BYTES / 8 - 5).0, 1);
        let pair = ("p".to_owned(), "c".to_owned());
        let map = SourceMap::from_iter([pair]);
        let why = quota.admit_map(&map).unwrap_err();
        assert!(why.contains("the source map is too long"), "{why}");
        ask(&mut quota, "long", 0, 0);
        quota.admit_map(&map).unwrap();
        // A map stays.
        assert_eq!(ask(&mut quota, "long", 1, TEXT_BYTES / 8 - 5).0, 0);
    }

    #[test]
    fn a_file_without_any_is_forgotten() {
        let mut quota = Quota::default();
        ask(&mut quota, "a", 2, 5);
        ask(&mut quota, "a", 0, 0);
        ask(&mut quota, "b", 1, 2 * TEXT_BYTES);
        assert!(quota.files.is_empty());
        assert_eq!((quota.all.breakpoints, quota.all.bytes), (0, 0));
    }
}
