//! The protocol's data types, as far as they are used here. Members that are absent are left out: `null` is no value in
//! this protocol.

use serde::{Deserialize, Serialize};

/// What the adapter can do; `false` is the protocol's default and is left out.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
#[serde(rename_all = "camelCase")]
pub struct Capabilities {
    /// `configurationDone` is served.
    #[serde(skip_serializing_if = "is_false")]
    pub supports_configuration_done_request: bool,
    /// A breakpoint's `condition` is honoured.
    #[serde(skip_serializing_if = "is_false")]
    pub supports_conditional_breakpoints: bool,
    /// A breakpoint's `hitCondition` is honoured.
    #[serde(skip_serializing_if = "is_false")]
    pub supports_hit_conditional_breakpoints: bool,
    /// A breakpoint's `logMessage` is honoured.
    #[serde(skip_serializing_if = "is_false")]
    pub supports_log_points: bool,
    /// `cancel` is served.
    #[serde(skip_serializing_if = "is_false")]
    pub supports_cancel_request: bool,
}

fn is_false(value: &bool) -> bool {
    !value
}

/// A source file.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Source {
    /// What to show for it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub name: Option<String>,
    /// In the format that the client asked for: a path, or a URI.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub path: Option<String>,
    /// Above 0 for a source that only the adapter has.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source_reference: Option<i64>,
}

/// What became of a breakpoint or logpoint.
#[derive(Clone, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "camelCase")]
pub struct Breakpoint {
    /// Names it in events.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub id: Option<i64>,
    /// Whether it is set.
    pub verified: bool,
    /// Why it is not, or what else there is to say.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub message: Option<String>,
    /// Where it is.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Where it is, as the client counts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
    /// The address, in hexadecimal with `0x`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub instruction_reference: Option<String>,
}

/// A thread of the program.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Thread {
    /// The operating system's number.
    pub id: i64,
    /// Its name.
    pub name: String,
}

/// The body of an `output` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Output {
    /// `console` for what the debugger has to say, logpoints included.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub category: Option<String>,
    /// The text, with its newline.
    pub output: String,
    /// Where it came from.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub source: Option<Source>,
    /// Where it came from, as the client counts.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub line: Option<i64>,
}

impl Output {
    /// Text of the category `console`; a newline is added where there is none, since clients put the next text
    /// on the same line otherwise.
    pub fn console(mut text: String) -> Self {
        if !text.ends_with('\n') {
            text.push('\n');
        }
        Self {
            category: Some("console".to_owned()),
            output: text,
            source: None,
            line: None,
        }
    }
}

/// The body of a `breakpoint` event.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct BreakpointChange {
    /// `changed`, `new` or `removed`.
    pub reason: String,
    /// Its present state; the id says which one.
    pub breakpoint: Breakpoint,
}
