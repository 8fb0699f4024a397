//! The application does not notice: whatever it does, and whatever happens to the tracer, under fire.
//!
//! Each test is named by the row that it tests in `docs/survival.md`. `DETRIX_SURVIVAL=full` repeats everything as often
//! as that page says.

mod blocking;
mod budgets;
mod children;
mod churn;
mod clients;
mod ends;
mod everywhere;
mod files;
mod jobs;
mod libraries;
mod own_thread;
mod privileges;
mod refusals;
mod signals;
mod threads;
mod tracer_dies;
mod traps;
mod world;
