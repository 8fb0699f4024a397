//! The layer as a whole, asked about the test program itself and about other programs' files.

use std::fmt::Write as _;

use super::error::LineError;
use super::lookup::{LineKind, LineMatch};
use super::place::{Missing, Source};
use super::scope::Variable;
use super::types::{TypeKind, TypeSource};
use super::*;

mod files;
mod frames;
mod sample;

impl Symbols {
    /// One line of one file.
    fn find_line(&self, path: &str, line: u64) -> Result<LineMatch, LineError> {
        self.file(path)?.line(line)
    }
}

const SAMPLE: &str = concat!("symbols/tests/", "sample.rs");

/// The line of the sample that contains a marker.
fn line_of(marker: &str) -> u64 {
    let found = include_str!("tests/sample.rs")
        .lines()
        .position(|line| line.contains(marker));
    found.expect("the marker is in the sample") as u64 + 1
}

/// A program that does not run, as if it were loaded at its own addresses.
fn of_file(path: &str) -> Symbols {
    Symbols::of_file(path.as_ref()).expect("an ELF file")
}

fn bias(symbols: &Symbols) -> u64 {
    symbols.modules[0]
        .as_ref()
        .expect("the executable is there")
        .bias
}

/// Asserts that addr2line knows each address of each line by that line, in one of its inlined frames.
fn agrees_with_addr2line(
    symbols: &Symbols,
    oracle: &addr2line::Loader,
    path: &str,
    lines: impl Iterator<Item = u64>,
) -> (usize, usize) {
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
                LineKind::Entry => {
                    symbols
                        .function_at(place.address)
                        .expect("it is in a function")
                        .range
                        .start
                }
                LineKind::Row | LineKind::Call => place.address,
            };
            let mut frames = oracle
                .find_frames(address - bias)
                .expect("addr2line can read this");
            let mut known = false;
            let mut first = true;
            let mut said = String::new();
            while let Ok(Some(frame)) = frames.next() {
                let Some(location) = frame.location else {
                    continue;
                };
                let same = location.file.is_some_and(|file| {
                    path::identity(&path::normal(file)) == path::identity(&places.path)
                }) && location.line.map(u64::from) == Some(places.line);
                // A row is the innermost frame's.
                known |= same && (first || place.kind == LineKind::Call);
                let _ = write!(
                    said,
                    " {}:{:?}",
                    location.file.unwrap_or("?"),
                    location.line
                );
                first = false;
            }
            if !known {
                let _ = writeln!(
                    wrong,
                    "{}:{} at {:#x} ({:?}):{said}",
                    places.path,
                    places.line,
                    place.address - bias,
                    place.kind
                );
            }
        }
    }
    assert!(wrong.is_empty(), "{wrong}");
    (found, addresses)
}

#[test]
fn addr2line_agrees_on_every_line() {
    let symbols = Symbols::load().unwrap();
    let oracle = addr2line::Loader::new("/proc/thread-self/exe").unwrap();
    sample::run();
    for (path, lines, least) in [
        (SAMPLE, 1..=100, 30),
        ("src/symbols/flow.rs", 60..=140, 40),
        ("src/symbols/location.rs", 100..=180, 40),
    ] {
        let (found, addresses) = agrees_with_addr2line(&symbols, &oracle, path, lines);
        println!("{path}: {found} lines, {addresses} addresses");
        assert!(found >= least, "{path}: only {found} lines");
    }
}

#[test]
fn addr2line_agrees_on_optimized_programs() {
    use detrix_test_support::{Profile, fixture, source};
    for (name, files) in [
        ("values", &["bin/values.rs"][..]),
        ("scope_sunk", &["bin/scope_sunk.rs"]),
        (
            "every_line",
            &[
                "bin/every_line/main.rs",
                "bin/every_line/deflate.rs",
                "bin/every_line/json.rs",
                "bin/every_line/net.rs",
                "bin/every_line/search.rs",
            ],
        ),
    ] {
        let program = fixture(name, Profile::Release);
        let symbols = of_file(program.to_str().unwrap());
        let oracle = addr2line::Loader::new(&program).unwrap();
        let started = std::time::Instant::now();
        for file in files {
            let path = source(file);
            let lines = std::fs::read_to_string(&path).unwrap().lines().count() as u64;
            let path = path.to_str().unwrap();
            // Each line takes its time in an unoptimized test.
            let step = if lines > 300 { 7 } else { 1 };
            let sample = (1..=lines).step_by(step);
            let (found, addresses) = agrees_with_addr2line(&symbols, &oracle, path, sample);
            println!("{file}: {found} of {lines} lines, {addresses} addresses");
            assert!(
                found * step * 3 >= lines as usize,
                "{file}: only {found} lines"
            );
        }
        if name == "every_line" {
            // std has a copy of the same crate.
            for name in ["inflate/core.rs", "deflate/core.rs"] {
                let files = match symbols.find_line(name, 100) {
                    Err(LineError::AmbiguousPath { files, .. }) => files,
                    Ok(LineMatch { path, .. }) | Err(LineError::NoCode { path, .. }) => vec![path],
                    Err(error) => panic!("{name}: {error}"),
                };
                let path = files
                    .iter()
                    .find(|file| file.contains("/registry/"))
                    .unwrap_or_else(|| panic!("{files:?}"));
                let lines = (1..2400).step_by(37);
                let (found, addresses) = agrees_with_addr2line(&symbols, &oracle, path, lines);
                println!("{path}: {found} lines, {addresses} addresses");
                assert!(found >= 30, "{path}: only {found} lines");
            }
        }
        println!("{name}: {:?}", started.elapsed());
    }
}

/// Where a variable of the line's own function is, with the type.
fn variable(symbols: &Symbols, marker: &str, name: &str) -> (Variable, Type) {
    let place = symbols
        .find_line(SAMPLE, line_of(marker))
        .expect("the line has code")
        .addresses
        .remove(0);
    let scope = symbols
        .scope_at(place.address)
        .expect("the address has a scope");
    let mut own = scope
        .variables
        .into_iter()
        .filter(|variable| variable.depth >= place.depth);
    let found = own
        .find(|variable| &*variable.name == name)
        .expect("the variable is listed");
    let ty = symbols.load(found.ty).expect("its type can be read");
    (found, ty)
}

/// The register of the second one is used for something else before that line, and nothing tells of it until the block ends.
#[test]
fn arguments_are_there_on_the_first_line_of_a_function() {
    let symbols = Symbols::load().unwrap();
    for name in ["first", "second", "count"] {
        let (variable, _) = variable(&symbols, "joined: text", name);
        assert!(!variable.is_missing(), "{variable:?}");
    }
}

#[test]
fn a_line_without_code_slides_within_its_function_only() {
    let symbols = Symbols::load().unwrap();
    let at = |marker| {
        symbols
            .find_line(SAMPLE, line_of(marker))
            .map(|found| found.line)
    };
    assert_eq!(at("total: comment").unwrap(), line_of("total: result"));
    assert_eq!(at("outer: comment").unwrap(), line_of("outer: last"));
    assert!(matches!(
        at("between functions"),
        Err(LineError::NoCode { .. })
    ));
}

#[test]
fn a_line_belongs_to_the_function_around_it() {
    let symbols = Symbols::load().unwrap();
    for (marker, path) in [
        ("total: value", "detrix::symbols::tests::sample::total"),
        (
            "branches: inside",
            "detrix::symbols::tests::sample::branches::{closure#0}",
        ),
        (
            "nested: body",
            "detrix::symbols::tests::sample::outer::nested",
        ),
    ] {
        let found = symbols.find_line(SAMPLE, line_of(marker)).unwrap();
        assert!(
            found.addresses.iter().all(|place| place.function == path),
            "{marker}: {found:?}"
        );
        let function = symbols.function_at(found.addresses[0].address).unwrap();
        assert!(function.range.contains(&found.addresses[0].address));
    }
    let scope = symbols.find_line(SAMPLE, line_of("total: value")).unwrap();
    assert_eq!(scope.addresses.len(), 1, "one pass, one place: {scope:?}");
}

#[test]
fn a_file_is_found_by_its_tail() {
    let symbols = Symbols::load().unwrap();
    let line = line_of("total: zero");
    let file = symbols.find_line(SAMPLE, line).unwrap().path;
    assert!(file.starts_with('/') && file.ends_with(SAMPLE));
    for spelling in [
        "./symbols/tests/sample.rs",
        "/somewhere/else/tests/sample.rs",
        "tests/../tests/./sample.rs",
    ] {
        assert_eq!(
            symbols.find_line(spelling, line).unwrap().path,
            file,
            "{spelling}"
        );
    }
    assert!(matches!(
        symbols.find_line("no_such_file.rs", 1),
        Err(LineError::NoSuchFile { .. })
    ));
    assert!(matches!(
        symbols.find_line("", 1),
        Err(LineError::NoSuchFile { .. })
    ));
    let Err(LineError::AmbiguousPath { files, .. }) = symbols.find_line("mod.rs", 1) else {
        panic!("many are mod.rs")
    };
    assert!(files.len() > 2);
    let Err(LineError::NoSuchFile { similar, .. }) = symbols.find_line("/elsewhere/x/sample.rs", 1)
    else {
        panic!("a name alone is no match");
    };
    assert!(similar.contains(&file));
}

#[test]
fn types_are_read_level_by_level() {
    let symbols = Symbols::load().unwrap();
    let (_, result) = variable(&symbols, "total: result", "orders");
    assert_eq!(&*result.name, "&[detrix::symbols::tests::sample::Order]");
    let TypeKind::Struct { members, .. } = &result.kind else {
        panic!("{result:?}")
    };
    assert_eq!(
        members
            .iter()
            .map(|member| &*member.name)
            .collect::<Vec<_>>(),
        ["data_ptr", "length"]
    );
    let pointer = symbols.load(members[0].ty).unwrap();
    let TypeKind::Pointer { target } = pointer.kind else {
        panic!("{pointer:?}")
    };
    let order = symbols.load(target).unwrap();
    assert_eq!(
        (&*order.name, order.size),
        ("detrix::symbols::tests::sample::Order", 40)
    );
    let TypeKind::Struct { members, .. } = &order.kind else {
        panic!("{order:?}")
    };
    let types: Vec<_> = members
        .iter()
        .map(|m| {
            (
                m.name.to_string(),
                symbols.load(m.ty).unwrap().name.to_string(),
            )
        })
        .collect();
    assert!(
        types.contains(&("name".into(), "alloc::string::String".into())),
        "{types:?}"
    );
    assert!(
        types.contains(&("quantity".into(), "u32".into())),
        "{types:?}"
    );
}

#[test]
fn an_argument_passed_by_a_pointer_on_the_stack_is_not_shown() {
    // Unoptimized code copies it and describes the copy.
    let symbols = Symbols::load().unwrap();
    let (text, _) = variable(&symbols, "many: sum", "s");
    let missing = matches!(
        text.location.pieces[0].source,
        Source::Missing(Missing::Unsupported)
    );
    assert!(
        text.argument && (cfg!(debug_assertions) || missing),
        "{text:?}"
    );
}

/// Held by tests that count on the list of libraries, or change it.
static LIBRARIES: std::sync::Mutex<()> = std::sync::Mutex::new(());

#[test]
fn a_library_comes_and_goes() {
    use detrix_test_support::{Profile, mark, plugin, root};
    let guard = LIBRARIES.lock();
    let source = root().join("fixtures/plugin/src/lib.rs");
    let line = mark(&source, "plugin").into();
    let source = source.to_str().unwrap();
    let library = plugin(Profile::Release);
    let library = std::ffi::CString::new(library.to_str().unwrap()).unwrap();

    let mut symbols = Symbols::load().unwrap();
    let count = symbols.text().count();
    assert!(symbols.find_line(source, line).is_err());
    let mut last = None;
    for round in 0..2 {
        // SAFETY: dlopen(3) of a library whose initializers are Rust's own.
        let handle = unsafe { libc::dlopen(library.as_ptr(), libc::RTLD_NOW) };
        assert!(!handle.is_null());
        assert!(!symbols.are_current());
        assert!(symbols.refresh() && !symbols.refresh(), "round {round}");
        assert!(symbols.are_current());
        let found = symbols.find_line(source, line).unwrap();
        let address = found.addresses[0].address;
        assert!(symbols.text_at(address).is_some());
        assert!(!symbols.is_in_executable(address));
        let scope = symbols.scope_at(address).unwrap();
        assert_eq!(found.addresses[0].function, "detrix_fixture_plugin::settle");
        let mut all = scope.variables.iter();
        let ty = all
            .find(|variable| &*variable.name == "quantity")
            .unwrap()
            .ty;
        assert_eq!(&*symbols.load(ty).unwrap().name, "u32");
        assert_ne!(last, Some(ty), "a type of the library before");

        // SAFETY: nothing of the library is in use.
        assert_eq!(unsafe { libc::dlclose(handle) }, 0);
        assert!(!symbols.are_current());
        assert!(symbols.refresh() && !symbols.refresh(), "round {round}");
        assert!(symbols.find_line(source, line).is_err());
        assert!(symbols.text_at(address).is_none());
        assert!(symbols.scope_at(address).is_err());
        assert!(symbols.load(ty).is_err());
        assert_eq!(symbols.text().count(), count);
        last = Some(ty);
    }
    drop(guard);
}

#[test]
fn nothing_changes_between_two_looks() {
    let guard = LIBRARIES.lock();
    let mut symbols = Symbols::load().unwrap();
    assert!(!symbols.refresh());
    let here = nothing_changes_between_two_looks as fn() as usize as u64;
    assert!(symbols.text().any(|text| text.range.contains(&here)));
    assert!(symbols.is_in_executable(here));
    drop(guard);
}

/// A copy of this program with damage in its debug information, the same at each run.
fn damaged(seed: u64, path: &std::path::Path) {
    use object::{Object, ObjectSection};
    let mut bytes = std::fs::read("/proc/thread-self/exe").unwrap();
    let file = object::read::elf::ElfFile64::<object::LittleEndian>::parse(&*bytes).unwrap();
    let names = [
        ".debug_info",
        ".debug_line",
        ".debug_loc",
        ".debug_abbrev",
        ".debug_ranges",
        ".eh_frame",
    ];
    let ranges: Vec<_> = names
        .iter()
        .filter_map(|name| file.section_by_name(name)?.file_range())
        .collect();
    let mut random = seed;
    for (start, size) in ranges {
        for _ in 0..size / 512 {
            random = random
                .wrapping_mul(6364136223846793005)
                .wrapping_add(1442695040888963407);
            let at = (start + (random >> 20) % size) as usize;
            bytes[at] ^= (random >> 56) as u8;
        }
    }
    std::fs::write(path, bytes).unwrap();
}

#[test]
fn damage_is_an_error_and_no_panic() {
    let path = std::env::temp_dir().join(format!("detrix-damaged-{}", std::process::id()));
    for seed in 1..4 {
        damaged(seed, &path);
        let symbols = of_file(path.to_str().unwrap());
        for line in 1..60 {
            let Ok(found) = symbols.find_line(SAMPLE, line) else {
                continue;
            };
            for place in found.addresses {
                let Ok(scope) = symbols.scope_at(place.address) else {
                    continue;
                };
                for variable in scope.variables {
                    symbols.load(variable.ty).ok();
                }
            }
        }
        let module = symbols.modules[0].as_ref().unwrap();
        for entry in (0..module.section(".debug_info").len() as u64).step_by(9973) {
            symbols.load(types::TypeRef { module: 0, entry }).ok();
        }
        for address in module.text[0].clone().step_by(40_009) {
            symbols.scope_at(address).ok();
        }
    }
    std::fs::remove_file(&path).ok();
}
