//! Whether a wake would work, before anyone needs it.

use crate::responses::{Check, InfoResponse, Preflight};

/// Looks whether a [`wake`](crate::wake) would work: debug information found (where, how complete), ptrace permitted,
/// build id known, each with the fix for what is missing. Works in any state, also before [`init`](crate::init).
///
/// Takes a few milliseconds, for the debug information has to be looked at, and a trial shows whether ptrace is
/// permitted; both leave nothing behind, but that with `kernel.yama.ptrace_scope` at 1 the trial takes back what the program
/// itself has set by `PR_SET_PTRACER`. A good thing to call at the end of a deployment, or in a test of the container:
///
/// ```
/// let preflight = detrix::preflight();
/// for check in [&preflight.debug_info, &preflight.ptrace, &preflight.build_id] {
///     println!("{} {} {}", check.ok, check.detail, check.fix.as_deref().unwrap_or_default());
/// }
/// ```
pub fn preflight() -> Preflight {
    look().0
}

impl InfoResponse {
    /// Of this process, a [`preflight`] included.
    pub fn of_this_process(
        name: String,
        build_commit: Option<String>,
        build_tag: Option<String>,
    ) -> Self {
        let (preflight, rust_version) = look();
        Self {
            name,
            pid: std::process::id(),
            rust_version,
            version: Some(crate::VERSION.to_owned()),
            build_commit,
            build_tag,
            preflight: Some(preflight),
        }
    }
}

/// The preflight, and the version of the compiler that made the executable.
#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
fn look() -> (Preflight, Option<String>) {
    supported::look()
}

#[cfg(not(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported))))]
fn look() -> (Preflight, Option<String>) {
    let check = || Check {
        ok: false,
        detail: crate::Error::Unsupported(std::env::consts::OS).to_string(),
        fix: Some("build for Linux on x86-64".to_owned()),
    };
    let preflight = Preflight {
        ready: false,
        debug_info: check(),
        ptrace: check(),
        build_id: check(),
    };
    (preflight, None)
}

impl Check {
    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
    fn passed(detail: String) -> Self {
        Self {
            ok: true,
            detail,
            fix: None,
        }
    }

    #[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
    fn failed(detail: String, fix: String) -> Self {
        Self {
            ok: false,
            detail,
            fix: Some(fix),
        }
    }
}

#[cfg(all(target_os = "linux", target_arch = "x86_64", not(detrix_unsupported)))]
mod supported {
    use super::{Check, Preflight};
    use crate::engine::{self, EngineError};
    use crate::symbols::Symbols;
    use crate::symbols::error::{MissingInfo, SymbolError};
    use crate::symbols::overview::{self, Overview};

    pub fn look() -> (Preflight, Option<String>) {
        let found = Symbols::load().map(|symbols| symbols.overview());
        let (debug_info, has_lines) = debug_info(&found);
        let ptrace = ptrace(engine::try_tracing());
        let preflight = Preflight {
            ready: has_lines && ptrace.ok,
            debug_info,
            ptrace,
            build_id: build_id(overview::build_id()),
        };
        (preflight, found.ok().and_then(|found| found.compiler))
    }

    /// And whether lines can be found.
    pub fn debug_info(found: &Result<Overview, SymbolError>) -> (Check, bool) {
        match found {
            Ok(found) => match &found.missing {
                None => {
                    let detail = format!(
                        "in the executable itself, {}: {} compilation units with lines and variables; {} of {} libraries \
                         have some as well",
                        found.executable, found.units, found.described_libraries, found.libraries
                    );
                    (Check::passed(detail), true)
                }
                Some(missing) => (
                    lacking(&found.executable, missing),
                    *missing == MissingInfo::LinesOnly,
                ),
            },
            Err(SymbolError::Missing { module, reason }) => (lacking(module, reason), false),
            Err(error) => {
                let fix = "build the program again, with another linker".to_owned();
                (Check::failed(error.to_string(), fix), false)
            }
        }
    }

    fn lacking(module: &str, missing: &MissingInfo) -> Check {
        Check::failed(format!("{module}: {}", missing.problem()), missing.fix())
    }

    pub fn ptrace(tried: Result<(), EngineError>) -> Check {
        match tried {
            Ok(()) => Check::passed("permitted, as a trial has shown".to_owned()),
            Err(EngineError::Refused { reason, fix }) => {
                let detail = format!("this process must not be traced: {reason}");
                Check::failed(detail, fix.to_owned())
            }
            Err(error) => Check::failed(error.to_string(), error.fix()),
        }
    }

    pub fn build_id(found: Option<String>) -> Check {
        match found {
            Some(id) => Check::passed(id),
            None => Check::failed(
                "the executable has none: it will not be noticed if its file is replaced while it runs".to_owned(),
                "link it with `-Clink-arg=-Wl,--build-id`".to_owned(),
            ),
        }
    }
}

#[cfg(all(
    test,
    target_os = "linux",
    target_arch = "x86_64",
    not(detrix_unsupported)
))]
mod tests {
    use super::supported::*;
    use crate::engine::EngineError;
    use crate::symbols::error::{MissingInfo, SymbolError};
    use crate::symbols::overview::Overview;

    fn overview(missing: Option<MissingInfo>) -> Overview {
        Overview {
            executable: "/app".to_owned(),
            units: 7,
            compiler: None,
            missing,
            libraries: 5,
            described_libraries: 2,
        }
    }

    #[test]
    fn debug_info_is_told_with_where_and_how_complete() {
        let (check, has_lines) = debug_info(&Ok(overview(None)));
        assert!(check.ok && has_lines && check.fix.is_none());
        for part in ["/app", "7 compilation units", "2 of 5 libraries"] {
            assert!(check.detail.contains(part), "{check:?}");
        }
    }

    #[test]
    fn what_is_missing_comes_with_its_fix() {
        let missing = MissingInfo::Stripped;
        let replaced = SymbolError::Missing {
            module: "/app".to_owned(),
            reason: MissingInfo::Replaced,
        };
        for (found, lines, problem, fix) in [
            (
                Ok(overview(Some(missing))),
                false,
                "/app: it has no debug",
                "strip = false",
            ),
            (
                Ok(overview(Some(MissingInfo::LinesOnly))),
                true,
                "line tables",
                "debug = true",
            ),
            (
                Err(replaced),
                false,
                "/app: the file was replaced",
                "restart",
            ),
        ] {
            let (check, has_lines) = debug_info(&found);
            assert_eq!((check.ok, has_lines), (false, lines), "{check:?}");
            assert!(check.detail.contains(problem), "{check:?}");
            assert!(check.fix.as_ref().unwrap().contains(fix), "{check:?}");
        }
        let refused = EngineError::Refused {
            reason: "no".to_owned(),
            fix: "allow it",
        };
        let check = ptrace(Err(refused));
        assert_eq!((check.ok, check.fix.as_deref()), (false, Some("allow it")));
        assert!(check.detail.ends_with("traced: no"), "{check:?}");
        assert!(build_id(None).fix.unwrap().contains("--build-id"));
        assert_eq!(build_id(Some("c0ffee".to_owned())).detail, "c0ffee");
    }
}
