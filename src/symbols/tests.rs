//! The layer as a whole, asked about the test program itself and about other programs' files.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::hint::black_box;

use super::error::LineError;
use super::lookup::LineKind;
use super::place::{Missing, Source};
use super::scope::Variable;
use super::types::{TypeKind, TypeSource};
use super::*;

mod sample;

const SAMPLE: &str = concat!("symbols/tests/", "sample.rs");

/// The line of the sample that contains a marker.
fn line_of(marker: &str) -> u64 {
    let found = include_str!("tests/sample.rs").lines().position(|line| line.contains(marker));
    found.expect("the marker is in the sample") as u64 + 1
}

/// A program that does not run, as if it were loaded at its own addresses.
fn of_file(path: &str) -> Symbols {
    use object::{Object, ObjectSegment};
    let bytes = std::fs::read(path).expect("the file can be read");
    let file = object::read::elf::ElfFile64::<object::LittleEndian>::parse(&*bytes).expect("an ELF file");
    let text = file.segments().filter(|segment| segment.permissions().executable());
    let text = text.map(|segment| segment.address()..segment.address() + segment.size()).collect();
    let loaded = Loaded { path: path.into(), name: path.to_owned(), bias: 0, build_id: None, text };
    let mut symbols = Symbols { modules: Vec::new(), loaded: Vec::new(), generation: (0, 0) };
    symbols.add(loaded);
    symbols
}

fn bias(symbols: &Symbols) -> u64 {
    symbols.modules[0].as_ref().expect("the executable is there").bias
}

/// Asserts that addr2line knows each address of each line by that line, in one of its inlined frames.
fn agrees_with_addr2line(symbols: &Symbols, oracle: &addr2line::Loader, path: &str, lines: std::ops::RangeInclusive<u64>) -> (usize, usize) {
    let bias = bias(symbols);
    let (mut found, mut addresses) = (0, 0);
    let mut wrong = String::new();
    for line in lines {
        let places = match symbols.find_line(path, line) {
            Ok(places) => places,
            Err(LineError::NoCode { .. }) => continue,
            Err(error) => panic!("{path}:{line}: {error}"),
        };
        assert!(places.line >= line);
        found += 1;
        for place in &places.addresses {
            addresses += 1;
            // A place behind the prologue stands for the function's entry.
            let address = match place.kind {
                LineKind::Entry => symbols.function_at(place.address).expect("it is in a function").range.start,
                LineKind::Row | LineKind::Call => place.address,
            };
            let mut frames = oracle.find_frames(address - bias).expect("addr2line can read this");
            let mut known = false;
            let mut first = true;
            let mut said = String::new();
            while let Ok(Some(frame)) = frames.next() {
                let Some(location) = frame.location else { continue };
                let same = location.file.is_some_and(|file| path::identity(&path::normal(file)) == path::identity(&places.path))
                    && location.line.map(u64::from) == Some(places.line);
                // A row is the innermost frame's.
                known |= same && (first || place.kind == LineKind::Call);
                let _ = write!(said, " {}:{:?}", location.file.unwrap_or("?"), location.line);
                first = false;
            }
            if !known {
                let _ = writeln!(wrong, "{}:{} at {:#x} ({:?}):{said}", places.path, places.line, place.address - bias, place.kind);
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    (found, addresses)
}

#[test]
fn addr2line_agrees_on_every_line() {
    let symbols = Symbols::load().unwrap();
    let oracle = addr2line::Loader::new("/proc/self/exe").unwrap();
    sample::run();
    for (path, lines, least) in [
        (SAMPLE, 1..=100, 30),
        ("src/symbols/flow.rs", 60..=140, 40),
        ("src/symbols/location.rs", 100..=180, 40),
        ("alloc/src/string.rs", 440..=460, 1),
    ] {
        let (found, addresses) = agrees_with_addr2line(&symbols, &oracle, path, lines);
        println!("{path}: {found} lines, {addresses} addresses");
        assert!(found >= least, "{path}: only {found} lines");
    }
}

#[test]
fn explore() {
    let Ok(path) = std::env::var("EXPLORE") else { return };
    let start = std::time::Instant::now();
    let symbols = of_file(&path);
    println!("open {:?}", start.elapsed());
    let file = std::env::var("FILE").unwrap();
    for line in std::env::var("LINES").unwrap().split(',').map(|line| line.parse().unwrap()) {
        for _ in 0..3 {
            let start = std::time::Instant::now();
            let found = symbols.find_line(&file, line);
            let took = start.elapsed();
            match &found {
                Ok(found) => println!("{line}->{} {} places {took:?}", found.line, found.addresses.len()),
                Err(error) => println!("{line}: {error} {took:?}"),
            }
        }
        let Ok(found) = symbols.find_line(&file, line) else { continue };
        for place in found.addresses.iter().take(6) {
            let start = std::time::Instant::now();
            let scope = symbols.scope_at(place.address);
            println!("  {:#x} {:?} {} inlined={} scope {:?}", place.address, place.kind, place.function, place.inlined, start.elapsed());
            for v in scope.unwrap().variables.iter().filter(|v| v.depth < 2) {
                let ty = symbols.load(v.ty);
                println!("      {}{}: {} = {:?}", "  ".repeat(v.depth as usize), v.name, ty.map(|t| t.name).unwrap_or_default(), v.location.pieces);
            }
        }
    }
    let status = std::fs::read_to_string("/proc/self/status").unwrap();
    println!("{}", status.lines().filter(|l| l.starts_with("Rss")).collect::<Vec<_>>().join(" "));
}
