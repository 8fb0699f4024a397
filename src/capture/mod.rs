//! From the expressions of a logpoint to the text of an event.
//!
//! A logpoint is compiled once per address into a [`program`], which the [`interp`]reter runs at each hit, in the
//! tracer: it copies the bytes that the expressions need into a [`record`]. Decoding and rendering happen later, on
//! detrix's own thread, from the record alone.

pub mod interp;
