//! From the expressions of a logpoint to the text of an event.
//!
//! A logpoint is compiled once per address into a [`program`], which the [`interp`]reter runs at each hit, in the
//! tracer: it copies the bytes that the expressions need into a [`record`]. Decoding and rendering happen later, on
//! detrix's own thread, from the record alone.
//!
//! In the order of a logpoint's life: [`template`], [`format`](mod@format), [`expr`], [`typing`] (which gives [`typed`]),
//! [`logpoint`], [`compile`] (with [`hits`], [`place`], [`chase`], [`builder`]), [`program`], [`check`], [`interp`] (with
//! [`arithmetic`], [`number`], [`floats`], [`fold`] and [`sip`]), [`record`], [`evaluate`], [`render`] (with [`views`] and
//! [`pretty`]).

pub mod arithmetic;
pub mod builder;
pub mod chase;
pub mod check;
pub mod compile;
pub mod error;
pub mod evaluate;
pub mod expr;
pub mod floats;
pub mod fold;
pub mod format;
#[cfg(any(test, fuzzing))]
pub mod fuzz;
pub mod hits;
pub mod interp;
pub mod logpoint;
pub mod number;
pub mod place;
pub mod pretty;
pub mod program;
pub mod record;
pub mod redact;
pub mod render;
pub mod sip;
pub mod template;
pub mod typed;
pub mod types;
pub mod typing;
pub mod views;
#[cfg(any(test, fuzzing))]
mod world;

#[cfg(test)]
mod tests;
