//! Every message that a server sends to a [`Session`](crate::Session) is checked against the official schema of the protocol.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::{Value, json};

/// Validates a message of the server.
///
/// The schema is `../shared/dap/debugAdapterProtocol.json` beside the repository, or the file that `DETRIX_DAP_SCHEMA` names.
/// Where there is none, one line says that the check is skipped, unless `CI_SCHEMA_REQUIRED=1`.
///
/// # Panics
///
/// When the message is not what the schema says, has a member that the schema does not know, or has a null.
pub(crate) fn check(message: &Value) {
    static SCHEMA: OnceLock<Option<Schema>> = OnceLock::new();
    let Some(schema) = SCHEMA.get_or_init(Schema::load) else {
        return;
    };
    schema.check(message);
}

struct Schema {
    document: Value,
    validators: Mutex<HashMap<String, Validator>>,
}

impl Schema {
    fn load() -> Option<Self> {
        let path = std::env::var_os("DETRIX_DAP_SCHEMA").map_or_else(
            || crate::root().join("../shared/dap/debugAdapterProtocol.json"),
            PathBuf::from,
        );
        let text = match std::fs::read_to_string(&path) {
            Ok(text) => text,
            Err(error) => {
                assert!(
                    std::env::var_os("CI_SCHEMA_REQUIRED").is_none_or(|required| required != "1"),
                    "{}: {error}",
                    path.display()
                );
                eprintln!(
                    "skipped: messages are not checked against the DAP schema, {} is not there",
                    path.display()
                );
                return None;
            }
        };
        let mut document: Value = serde_json::from_str(&text).expect("the schema is JSON");
        close(&mut document);
        Some(Self {
            document,
            validators: Mutex::default(),
        })
    }

    fn check(&self, message: &Value) {
        assert!(!has_null(message), "a null in {message}");
        let name = self.definition(message);
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let validator = validators.entry(name.clone()).or_insert_with(|| {
            let mut document = self.document.clone();
            document["$ref"] = json!(format!("#/definitions/{name}"));
            jsonschema::validator_for(&document)
                .unwrap_or_else(|error| panic!("the schema of {name}: {error}"))
        });
        let errors: Vec<String> = validator
            .iter_errors(message)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        assert!(errors.is_empty(), "{name}: {errors:?}\n{message}");
    }

    /// The definition that describes the message, such as `OutputEvent`.
    fn definition(&self, message: &Value) -> String {
        let (member, suffix) = match message["type"].as_str() {
            Some("event") => ("event", "Event"),
            Some("response") if message["success"] == false => return "ErrorResponse".to_owned(),
            Some("response") => ("command", "Response"),
            Some("request") => ("command", "Request"),
            _ => panic!("no message of the protocol: {message}"),
        };
        let word = message[member]
            .as_str()
            .unwrap_or_else(|| panic!("no `{member}` in {message}"));
        let mut letters = word.chars();
        let first: String = letters
            .next()
            .map(|letter| letter.to_uppercase().collect())
            .unwrap_or_default();
        let name = format!("{first}{}{suffix}", letters.as_str());
        assert!(
            self.document["definitions"][&name].is_object(),
            "the schema has no {name}: {message}"
        );
        name
    }
}

/// Refuses members that the schema does not name. Its types are composed with `allOf`, so it is `unevaluatedProperties` of
/// the 2019-09 draft that sees the members of all parts; a part itself must stay open.
fn close(document: &mut Value) {
    document["$schema"] = json!("https://json-schema.org/draft/2019-09/schema");
    let bases: Vec<String> = bases(document);
    let Some(definitions) = document["definitions"].as_object_mut() else {
        panic!("the schema has no definitions");
    };
    for (name, definition) in definitions {
        if !bases.contains(name) {
            close_definition(definition);
        }
    }
}

/// The definitions that others extend.
fn bases(document: &Value) -> Vec<String> {
    let definitions = document["definitions"].as_object();
    definitions
        .into_iter()
        .flat_map(|definitions| definitions.values())
        .filter_map(|definition| definition["allOf"].as_array())
        .flatten()
        .filter_map(|part| part["$ref"].as_str())
        .filter_map(|reference| reference.strip_prefix("#/definitions/"))
        .map(str::to_owned)
        .collect()
}

fn close_definition(definition: &mut Value) {
    let composed = definition["allOf"].is_array();
    let described = definition["properties"].is_object();
    let open = definition.get("additionalProperties").is_some();
    if (composed || described) && !open {
        definition["unevaluatedProperties"] = json!(false);
    }
    // The body of a response or event is described in place.
    if let Some(parts) = definition.get_mut("allOf").and_then(Value::as_array_mut) {
        for part in parts {
            if let Some(body) = part.pointer_mut("/properties/body")
                && body["properties"].is_object()
                && body.get("additionalProperties").is_none()
            {
                body["unevaluatedProperties"] = json!(false);
            }
        }
    }
}

fn has_null(value: &Value) -> bool {
    match value {
        Value::Null => true,
        Value::Array(elements) => elements.iter().any(has_null),
        Value::Object(members) => members.values().any(has_null),
        _ => false,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn schema() -> Option<Schema> {
        Schema::load()
    }

    fn refused(message: Value) -> bool {
        let Some(schema) = schema() else { return true };
        std::panic::catch_unwind(move || schema.check(&message)).is_err()
    }

    #[test]
    fn takes_a_proper_output_event() {
        let Some(schema) = schema() else { return };
        schema.check(&json!({
            "seq": 3, "type": "event", "event": "output",
            "body": { "category": "console", "output": "x\n", "source": { "path": "/a" }, "line": 3 },
        }));
    }

    #[test]
    fn refuses_unknown_members_nulls_and_missing_ones() {
        let event =
            |body: Value| json!({ "seq": 3, "type": "event", "event": "output", "body": body });
        assert!(refused(event(
            json!({ "output": "x\n", "Category": "console" })
        )));
        assert!(refused(event(json!({ "output": "x\n", "line": null }))));
        assert!(refused(event(json!({ "category": "console" }))));
        assert!(refused(event(
            json!({ "output": "x", "source": { "pth": "/a" } })
        )));
        let mut wrong = event(json!({ "output": "x\n" }));
        wrong["extra"] = json!(1);
        assert!(refused(wrong));
    }
}
