//! Checks a server's answers against its OpenAPI 3.1 description, made stricter than it is published: a property that
//! the description does not know is an error.

use std::collections::BTreeSet;
use std::path::Path;

use jsonschema::Validator;
use serde_json::{Value, json};

use crate::schema::close;

/// One answer that a description knows: path, method in lower case, status.
pub type Documented = (String, String, u16);

/// An OpenAPI description.
pub struct Description {
    document: Value,
}

impl Description {
    /// The description in a JSON file.
    ///
    /// # Panics
    ///
    /// If the file is no description of OpenAPI 3.1, or one of its references leads nowhere.
    pub fn read(path: &Path) -> Self {
        let text = std::fs::read_to_string(path)
            .unwrap_or_else(|error| panic!("{}: {error}", path.display()));
        let mut document: Value = serde_json::from_str(&text).unwrap();
        assert!(document["openapi"].as_str().unwrap().starts_with("3.1."));
        each_reference(&document, &mut |reference| {
            assert!(find(&document, reference).is_some(), "{reference}");
        });
        for schema in document["components"]["schemas"]
            .as_object_mut()
            .unwrap()
            .values_mut()
        {
            close(schema);
        }
        Self { document }
    }

    /// All answers that it describes.
    pub fn documented(&self) -> BTreeSet<Documented> {
        let mut all = BTreeSet::new();
        for (path, methods) in self.document["paths"].as_object().unwrap() {
            for (method, operation) in methods.as_object().unwrap() {
                for status in operation["responses"].as_object().unwrap().keys() {
                    all.insert((path.clone(), method.clone(), status.parse().unwrap()));
                }
            }
        }
        all
    }

    /// Checks one answer.
    ///
    /// # Errors
    ///
    /// If it is not described, or not as it is described.
    pub fn check(
        &self,
        (path, method, status): &Documented,
        content_type: Option<&str>,
        body: &[u8],
    ) -> Result<(), String> {
        let operation = &self.document["paths"][path][method];
        let response = operation["responses"]
            .get(status.to_string())
            .ok_or("is not described")?;
        let response = match response["$ref"].as_str() {
            Some(reference) => find(&self.document, reference).ok_or("leads nowhere")?,
            None => response,
        };
        let Some(contents) = response["content"].as_object() else {
            return if body.is_empty() {
                Ok(())
            } else {
                Err("has a body".to_owned())
            };
        };
        let content_type = content_type.ok_or("has no content type")?;
        let content = contents
            .get(content_type)
            .ok_or(format!("is not described as {content_type}"))?;
        if !content_type.contains("json") {
            return Ok(());
        }
        let body: Value = serde_json::from_slice(body).map_err(|error| error.to_string())?;
        let problems: Vec<String> = self
            .validator(&content["schema"])
            .iter_errors(&body)
            .map(|error| format!("{}: {error}", error.instance_path()))
            .collect();
        match problems.is_empty() {
            true => Ok(()),
            false => Err(problems.join("\n")),
        }
    }

    fn validator(&self, schema: &Value) -> Validator {
        jsonschema::validator_for(&json!({
            "$schema": "https://json-schema.org/draft/2020-12/schema",
            "components": self.document["components"],
            "allOf": [schema],
        }))
        .unwrap()
    }
}

/// What a reference within a document leads to.
fn find<'a>(document: &'a Value, reference: &str) -> Option<&'a Value> {
    document.pointer(reference.strip_prefix('#')?)
}

fn each_reference(value: &Value, visit: &mut impl FnMut(&str)) {
    match value {
        Value::Array(items) => items.iter().for_each(|item| each_reference(item, visit)),
        Value::Object(members) => {
            if let Some(reference) = members.get("$ref").and_then(Value::as_str) {
                visit(reference);
            }
            members
                .values()
                .for_each(|member| each_reference(member, visit));
        }
        _ => {}
    }
}
