//! Values from types to text, over types and memory made by hand.

use super::world::{self, World};

mod conditions;
mod defaults;
mod expressions;
mod own;
mod places;
mod refusals;
mod robust;
mod shared;
mod tables;
mod thread_locals;
mod values;
mod views;

fn world() -> World {
    World::of_many_types()
}

/// Shows each expression.
fn all(expected: &[(&str, &str)]) {
    let mut world = world();
    for (expression, text) in expected {
        assert_eq!(
            world.show(&format!("{{{expression}}}")),
            *text,
            "{expression}"
        );
    }
}
