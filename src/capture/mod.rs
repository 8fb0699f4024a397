//! From the expressions of a logpoint to the text of an event.
//!
//! A logpoint is compiled once per address into a [`program`], which the [`interp`]reter runs at each hit, in the
//! tracer: it copies the bytes that the expressions need into a [`record`]. Decoding and rendering happen later, on
//! detrix's own thread, from the record alone.
//!
//! In the order of a logpoint's life: [`template`], [`expr`], [`compile`] (with [`place`], [`chase`], [`builder`]),
//! [`program`], [`check`], [`interp`] (with [`arithmetic`]), [`record`], [`render`] (with [`views`]).

pub mod arithmetic;
pub mod builder;
pub mod chase;
pub mod check;
pub mod compile;
pub mod error;
pub mod expr;
pub mod interp;
pub mod place;
pub mod program;
pub mod record;
pub mod redact;
pub mod render;
pub mod template;
pub mod types;
pub mod views;

#[cfg(test)]
mod tests;
