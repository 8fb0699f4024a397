//! Checks messages of the server against the official schema of the Debug Adapter Protocol, made stricter than it is
//! published: a property that the schema does not know is an error, and so is `null`.
//!
//! The schema is looked for beside the repository, or where `DETRIX_DAP_SCHEMA` points; where it is absent the check is
//! skipped, with a word, unless `DETRIX_DAP_SCHEMA_REQUIRED=1` demands it.

use std::collections::HashMap;
use std::path::PathBuf;
use std::sync::{Mutex, OnceLock, PoisonError};

use jsonschema::Validator;
use serde_json::{Map, Value, json};

/// Checks one message that a server sent.
///
/// # Panics
///
/// If the message is not what the schema allows, or the schema is demanded and absent.
pub fn assert_valid(message: &Value) {
    if let Some(schema) = Schema::official()
        && let Err(problems) = schema.check(message)
    {
        panic!("not a message of the protocol: {message:#}\n{problems}");
    }
}

/// The schema, made strict.
pub struct Schema {
    /// Closed definitions by name.
    definitions: Value,
    /// Definition of each event by the event's name.
    events: HashMap<String, String>,
    validators: Mutex<HashMap<String, Validator>>,
}

impl Schema {
    /// The official schema; `None` where it is absent, which is said once.
    pub fn official() -> Option<&'static Self> {
        static SCHEMA: OnceLock<Option<Schema>> = OnceLock::new();
        let load = || {
            let path = std::env::var_os("DETRIX_DAP_SCHEMA").map_or_else(
                || crate::root().join("../shared/dap/debugAdapterProtocol.json"),
                PathBuf::from,
            );
            match std::fs::read_to_string(&path) {
                Ok(text) => Some(Self::new(&serde_json::from_str(&text).unwrap())),
                Err(error) => {
                    let required =
                        std::env::var("DETRIX_DAP_SCHEMA_REQUIRED").is_ok_and(|it| it == "1");
                    assert!(!required, "{}: {error}", path.display());
                    eprintln!(
                        "skipped the check of messages against the official schema: {}: {error}",
                        path.display()
                    );
                    None
                }
            }
        };
        SCHEMA.get_or_init(load).as_ref()
    }

    fn new(schema: &Value) -> Self {
        let definitions = schema["definitions"].as_object().unwrap();
        let mut closed = Map::new();
        let mut events = HashMap::new();
        for (name, definition) in definitions {
            let definition = closed_definition(definition, definitions);
            if let Some(event) = definition["properties"]["event"]["enum"][0].as_str() {
                events.insert(event.to_owned(), name.clone());
            }
            closed.insert(name.clone(), definition);
        }
        Self {
            definitions: Value::Object(closed),
            events,
            validators: Mutex::default(),
        }
    }

    /// Checks one message that a server sent.
    ///
    /// # Errors
    ///
    /// What is wrong with it, a line each.
    pub fn check(&self, message: &Value) -> Result<(), String> {
        let definition = self.definition(message)?;
        let mut validators = self
            .validators
            .lock()
            .unwrap_or_else(PoisonError::into_inner);
        let validator = validators.entry(definition.clone()).or_insert_with(|| {
            let reference = format!("#/definitions/{definition}");
            jsonschema::validator_for(&json!({
                "$schema": "http://json-schema.org/draft-04/schema#",
                "definitions": self.definitions,
                "allOf": [{"$ref": reference}],
            }))
            .unwrap()
        });
        let mut problems: Vec<String> = validator
            .iter_errors(message)
            .map(|error| format!("{definition}{}: {error}", error.instance_path()))
            .collect();
        nulls(message, &definition, &mut problems);
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems.join("\n")),
        }
    }

    /// The name of the definition that a message has to fulfil.
    fn definition(&self, message: &Value) -> Result<String, String> {
        let text = |key: &str| message[key].as_str().ok_or(format!("no {key}"));
        match text("type")? {
            "event" => {
                let event = text("event")?;
                let definition = self.events.get(event);
                definition.cloned().ok_or(format!("no event `{event}`"))
            }
            "response" if message["success"] == false => Ok("ErrorResponse".to_owned()),
            "response" => {
                let command = text("command")?;
                let (first, rest) = command.split_at(command.len().min(1));
                let definition = format!("{}{rest}Response", first.to_uppercase());
                match self.definitions.get(&definition) {
                    Some(_) => Ok(definition),
                    None => Err(format!("no response to `{command}`")),
                }
            }
            other => Err(format!("a server sends no `{other}`")),
        }
    }
}

/// A definition with all that it is composed of in one object, and nothing else allowed in it.
fn closed_definition(definition: &Value, definitions: &Map<String, Value>) -> Value {
    if definition.get("allOf").is_none() {
        let mut definition = definition.clone();
        close(&mut definition);
        return definition;
    }
    let mut properties = Map::new();
    let mut required = Vec::new();
    compose(definition, definitions, &mut properties, &mut required);
    let mut closed = json!({"type": "object", "properties": properties});
    // Draft 4 has no empty `required`.
    if !required.is_empty() {
        closed["required"] = Value::Array(required);
    }
    close(&mut closed);
    closed
}

/// Adds the properties of all parts; a later part's wins, because parts refine what they build on.
fn compose(
    part: &Value,
    definitions: &Map<String, Value>,
    properties: &mut Map<String, Value>,
    required: &mut Vec<Value>,
) {
    if let Some(reference) = part["$ref"].as_str() {
        let name = reference.rsplit('/').next().unwrap();
        compose(&definitions[name], definitions, properties, required);
    }
    for part in part["allOf"].as_array().into_iter().flatten() {
        compose(part, definitions, properties, required);
    }
    properties.extend(part["properties"].as_object().cloned().unwrap_or_default());
    for name in part["required"].as_array().into_iter().flatten() {
        if !required.contains(name) {
            required.push(name.clone());
        }
    }
}

/// Forbids unknown properties in all objects that list theirs, and numbers beyond their `format`.
pub(crate) fn close(schema: &mut Value) {
    let Some(object) = schema.as_object_mut() else {
        return;
    };
    if object.get("properties").is_some_and(Value::is_object) {
        object.entry("additionalProperties").or_insert(json!(false));
        let properties = object["properties"].as_object_mut().unwrap();
        properties.values_mut().for_each(close);
    }
    if let Some(items) = object.get_mut("items") {
        close(items);
    }
    if object.get("format") == Some(&json!("int32")) {
        object.entry("minimum").or_insert(json!(i32::MIN));
        object.entry("maximum").or_insert(json!(i32::MAX));
    }
}

fn nulls(value: &Value, path: &str, problems: &mut Vec<String>) {
    match value {
        Value::Null => problems.push(format!("{path}: null")),
        Value::Array(items) => {
            for (index, item) in items.iter().enumerate() {
                nulls(item, &format!("{path}/{index}"), problems);
            }
        }
        Value::Object(members) => {
            for (name, member) in members {
                nulls(member, &format!("{path}/{name}"), problems);
            }
        }
        _ => {}
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_messages_of_the_protocol() {
        let Some(schema) = Schema::official() else {
            return;
        };
        for message in [
            json!({"seq": 1, "type": "event", "event": "initialized"}),
            json!({"seq": 2, "type": "response", "request_seq": 1, "command": "attach", "success": true}),
            json!({"seq": 3, "type": "response", "request_seq": 1, "command": "nonsense", "success": false,
                "message": "no", "body": {"error": {"id": 1, "format": "no", "showUser": true}}}),
            json!({"seq": 4, "type": "response", "request_seq": 1, "command": "setBreakpoints", "success": true,
                "body": {"breakpoints": [{"verified": true, "source": {"sources": [{"name": "a"}]}}]}}),
        ] {
            assert_eq!(schema.check(&message), Ok(()), "{message}");
        }
    }

    #[test]
    fn refuses_everything_else() {
        let Some(schema) = Schema::official() else {
            return;
        };
        for (message, problem) in [
            (
                json!({"seq": 1, "type": "event", "event": "nonsense"}),
                "no event",
            ),
            (
                json!({"seq": 0, "type": "event", "event": "initialized"}),
                "seq",
            ),
            (
                json!({"seq": 1, "type": "event", "event": "initialized", "reason": "x"}),
                "reason",
            ),
            (
                json!({"seq": 1, "type": "event", "event": "initialized", "body": null}),
                "null",
            ),
            (
                json!({"seq": 1, "type": "event", "event": "output", "body": {"output": "x", "source": {"pat": "x"}}}),
                "pat",
            ),
            (
                json!({"seq": 1, "type": "event", "event": "output", "body": {"category": "console"}}),
                "output",
            ),
            (
                json!({"seq": 1, "type": "request", "command": "threads"}),
                "sends no",
            ),
            (
                json!({"seq": 1, "type": "response", "request_seq": 1, "command": "attach"}),
                "success",
            ),
            (
                json!({"seq": 1, "type": "response", "request_seq": 1, "command": "threads", "success": true}),
                "body",
            ),
            (
                json!({"seq": 1, "type": "response", "request_seq": 1, "command": "nonsense", "success": true}),
                "no response",
            ),
            (
                json!({"seq": 1, "type": "response", "request_seq": 1, "command": "threads", "success": false,
                "error": "x", "body": {"error": {"id": 1, "format": "x"}}}),
                "error",
            ),
            (
                json!({"seq": 1, "type": "response", "request_seq": 1, "command": "threads", "success": true,
                "body": {"threads": [{"id": 1_i64 << 40, "name": "x"}]}}),
                "id",
            ),
            (
                json!({"seq": 1, "type": "response", "request_seq": 1, "command": "setBreakpoints", "success": true,
                "body": {"breakpoints": [{"verified": true, "source": {"sources": [{"nam": "a"}]}}]}}),
                "nam",
            ),
        ] {
            let problems = schema.check(&message).expect_err(&message.to_string());
            assert!(problems.contains(problem), "{message}: {problems}");
        }
    }
}
