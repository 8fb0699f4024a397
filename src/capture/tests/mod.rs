//! Values from types to text, over types and memory made by hand.

mod own;
mod places;
mod robust;
mod values;
mod views;
mod world;
