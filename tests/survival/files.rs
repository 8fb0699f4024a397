//! Row 17: files that are replaced, deleted, cut off or damaged.

use std::fs;
use std::os::unix::fs::PermissionsExt;
use std::path::{Path, PathBuf};
use std::process::Command;

use detrix_test_support::{Profile, Running, Session, fixture, mark, plugin, source, until};
use object::{Object, ObjectSection};
use tempfile::TempDir;

use crate::world::{figure, slow_fire, times};

/// A copy of a program or library, in a directory of its own.
fn copy(original: &Path) -> (TempDir, PathBuf) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join(original.file_name().expect("a file"));
    fs::copy(original, &path).expect("it can be copied");
    (directory, path)
}

#[test]
fn row_17_the_program_is_replaced_or_deleted_on_disk() {
    let file = source("bin/ends.rs");
    for replace in [true, false] {
        let (directory, path) = copy(&fixture("ends", Profile::Release));
        let mut program = Running::program(&path, &[]);
        program.run("init");
        if replace {
            // As a package manager does: another file gets the name.
            let other = directory.path().join("new");
            fs::copy(fixture("threads", Profile::Release), &other).expect("it can be copied");
            fs::rename(&other, &path).expect("the same directory");
        } else {
            fs::remove_file(&path).expect("it is there");
        }
        let mut session = Session::attach(program.wake());
        session.logpoint(&file, mark(&file, "hot"), "index={index}");
        program.run("fire 2");
        until("it logs", || session.output().text == "index=1");
        assert_eq!(program.ask("hot 100", "hot"), "5050");
        drop(session);
        program.quit();
    }
}

#[test]
fn row_17_debug_information_that_is_elsewhere() {
    // As after `strip`, but for the bytes: the sections are not what their names say any more.
    let original = fs::read(fixture("ends", Profile::Release)).expect("just built");
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("stripped");
    let parsed = object::File::parse(&*original).expect("an ELF file");
    let table = parsed.section_by_name(".shstrtab");
    let (start, size) = table
        .and_then(|table| table.file_range())
        .expect("its sections have names");
    let names = usize::try_from(start).expect("fits")..usize::try_from(start + size).expect("fits");
    let mut bytes = original.clone();
    let text = String::from_utf8_lossy(&bytes[names.clone()]).replace(".debug_", ".xebug_");
    bytes[names].copy_from_slice(text.as_bytes());
    fs::write(&path, bytes).expect("it can be written");
    fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
    // What lies where debuggers look for it is another program's: it must not be taken for this one's.
    fs::copy(
        fixture("threads", Profile::Release),
        directory.path().join("stripped.debug"),
    )
    .expect("it can be copied");
    let mut program = Running::program(&path, &[]);
    program.run("init");
    program.run("fire 2");
    let mut session = Session::attach(program.wake());
    let file = source("bin/ends.rs");
    let refused = session
        .logpoints(&file, &[(mark(&file, "hot"), "hit")])
        .remove(0);
    assert!(!refused.verified, "{refused:?}");
    let why = &refused.message;
    assert!(why.contains("debug information"), "{why}");
    assert!(why.contains("build id") && why.contains("strip"), "{why}");
    assert_eq!(program.ask("hot 100", "hot"), "5050");
    program.quit();
}

/// The loader with a library of its own, woken, and the library's path.
fn loader() -> (Running, Session, TempDir, PathBuf) {
    let (directory, library) = copy(&plugin(Profile::Release));
    let mut program =
        Running::spawn(Command::new(fixture("modules", Profile::Release)).arg(&library));
    let mut session = Session::attach(program.port());
    slow_fire(&mut program, &mut session);
    (program, session, directory, library)
}

fn plugin_line() -> (PathBuf, u32) {
    let file = source("../plugin/src/lib.rs")
        .canonicalize()
        .expect("the plugin's source");
    let line = mark(&file, "plugin");
    (file, line)
}

#[test]
fn row_17_a_library_is_replaced_by_another_one() {
    let (mut program, mut session, directory, library) = loader();
    let (file, line) = plugin_line();
    // Between its loading and the first look at it, another build gets its name; the code that runs is the old one's.
    let other = directory.path().join("other");
    fs::write(&other, "no library at all").expect("it can be written");
    program.run("load");
    fs::rename(&other, &library).expect("the same directory");
    let refused = session
        .logpoints(&file, &[(line, "gross={gross}")])
        .remove(0);
    // It may have been looked at before; then its mapping is still the right file.
    if refused.verified {
        program.run("go 3");
        until("it logs", || session.output().text == "gross=200");
    }
    assert_eq!(program.run("go 3"), ["total 1", "total 101", "total 201"]);
    drop(session);
    program.quit();
}

#[test]
fn row_17_a_library_is_cut_off_behind_its_code() {
    let (mut program, mut session, _directory, library) = loader();
    let (file, line) = plugin_line();
    program.run("load");
    session.logpoint(&file, line, "gross={gross}");
    program.run("go 3");
    until("it logs", || session.output().text == "gross=200");
    // As `strip` does in place: what was mapped of the debug information is not there any more.
    let bytes = fs::read(&library).expect("our copy");
    let parsed = object::File::parse(&*bytes).expect("an ELF file");
    let ranges = parsed
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug_")));
    let start = ranges
        .filter_map(|section| section.file_range())
        .map(|(start, _)| start)
        .min();
    let opened = fs::OpenOptions::new()
        .write(true)
        .open(&library)
        .expect("our copy");
    opened
        .set_len(start.expect("it has debug information"))
        .expect("it can be cut off");
    let message = "gross={gross} quantity={quantity}";
    let refused = session.logpoints(&file, &[(line, message)]).remove(0);
    assert!(!refused.verified, "{refused:?}");
    assert_eq!(program.run("go 3"), ["total 1", "total 101", "total 201"]);
    session.request("threads", serde_json::json!({}));
    drop(session);
    program.quit();
}

#[test]
fn row_17_damaged_debug_information() {
    let rounds = times(6, 200);
    let file = source("bin/ends.rs");
    let original = fs::read(fixture("ends", Profile::Release)).expect("just built");
    let (mut set, mut refused) = (0, 0);
    for seed in 1..=u64::from(rounds) {
        let directory = tempfile::tempdir().expect("a directory");
        let path = directory.path().join("damaged");
        fs::write(&path, damaged(&original, seed)).expect("it can be written");
        fs::set_permissions(&path, fs::Permissions::from_mode(0o755)).expect("our own file");
        let mut program = Running::program(&path, &[]);
        program.run("init");
        program.run("fire 2");
        program.send("wake");
        match program.outcome("wake") {
            Ok(printed) => {
                let port = printed[0]
                    .strip_prefix("port ")
                    .expect("the port comes first");
                let mut session = Session::attach(port.parse().expect("a port"));
                // Each line of the file: whatever is found there has to be code.
                let lines: Vec<(u32, &str)> = (1..=200)
                    .map(|line| (line, "count={count} sum={sum}"))
                    .collect();
                let placed = session.logpoints(&file, &lines);
                refused += placed.iter().filter(|placed| !placed.verified).count();
                assert!(
                    placed
                        .iter()
                        .all(|placed| placed.verified || !placed.message.is_empty())
                );
                set += placed.iter().filter(|placed| placed.verified).count();
                // Any of them may be hit now.
                assert_eq!(program.ask("hot 100", "hot"), "5050", "seed {seed}");
                program.run("barrier 5");
                drop(session);
            }
            Err(why) => assert!(why.contains("debug information"), "seed {seed}: {why}"),
        }
        assert_eq!(program.ask("hot 100", "hot"), "5050", "seed {seed}");
        program.run("sleep");
        program.quit();
    }
    assert!(set > 0 && refused > 0, "{set} set, {refused} refused");
    figure(17, "programs with damaged debug information", rounds);
    figure(17, "logpoints set in them", set);
}

/// A copy of a program with some of the bytes of its debug information changed, the same at each run.
fn damaged(original: &[u8], seed: u64) -> Vec<u8> {
    let mut bytes = original.to_vec();
    let parsed = object::File::parse(original).expect("an ELF file");
    let sections = parsed
        .sections()
        .filter(|section| section.name().is_ok_and(|name| name.starts_with(".debug_")));
    let ranges: Vec<(u64, u64)> = sections
        .filter_map(|section| section.file_range())
        .collect();
    // From a byte in each thousand to one in a few millions.
    let rarity = 1 << (10 + seed % 12);
    let mut random = seed.wrapping_mul(0x9E37_79B9_7F4A_7C15);
    for (start, size) in ranges {
        for _ in 0..(size / rarity).max(1) {
            random = random
                .wrapping_mul(6_364_136_223_846_793_005)
                .wrapping_add(1_442_695_040_888_963_407);
            let at = start + (random >> 20) % size.max(1);
            if let Some(byte) = usize::try_from(at).ok().and_then(|at| bytes.get_mut(at)) {
                *byte ^= (random >> 56) as u8;
            }
        }
    }
    bytes
}
