//! Values from types to text, over types and memory made by hand.

use super::world;

mod expressions;
mod own;
mod places;
mod robust;
mod tables;
mod thread_locals;
mod values;
mod views;
