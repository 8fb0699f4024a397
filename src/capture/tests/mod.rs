//! Values from types to text, over types and memory made by hand.

mod expressions;
mod own;
mod places;
mod robust;
mod values;
mod world;
