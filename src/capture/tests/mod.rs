//! Values from types to text, over types and memory made by hand.

use super::compile::Compiled;
use super::render::Part;

mod expressions;
mod own;
mod places;
mod robust;
mod tables;
mod thread_locals;
mod values;
mod views;
mod world;

impl Compiled {
    /// The whole message of one hit.
    pub fn render(&self, record: &[u8]) -> String {
        let mut message = String::new();
        self.render_parts(record, &(), |part| match part {
            Part::Text(text) => message.push_str(text),
            Part::Value(value) => message.push_str(&value),
        });
        message
    }
}
