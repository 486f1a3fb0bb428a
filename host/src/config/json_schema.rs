//! The configuration as a JSON schema, for editors that complete and check TOML.

use serde_json::{Map, Value, json};

use super::schema::Key;
use super::value::parse_toml;

/// A schema of every section and key. Types are left to the descriptions where
/// a key takes several notations, such as numbers that may be strings.
#[must_use]
pub fn json_schema() -> Value {
    let mut root = table("Settings of Sandpaper");
    for key in super::keys() {
        let mut at = &mut root;
        for part in key.section.split('.') {
            let holder = if part == "NAME" { "additionalProperties" } else { "properties" };
            let next =
                if part == "NAME" { entry(at, holder) } else { entry(entry(at, holder), part) };
            if next.get("type").is_none() {
                *next = table("");
            }
            at = next;
        }
        *entry(entry(at, "properties"), key.name) = property(key);
    }
    if let Some(object) = root.as_object_mut() {
        object.insert("$schema".into(), "https://json-schema.org/draft/2020-12/schema".into());
    }
    root
}

fn table(title: &str) -> Value {
    let mut value = json!({ "type": "object", "properties": {}, "additionalProperties": false });
    if let (false, Some(object)) = (title.is_empty(), value.as_object_mut()) {
        object.insert("title".into(), title.into());
    }
    value
}

/// The member of that name, which becomes an object when it is none.
fn entry<'a>(value: &'a mut Value, name: &str) -> &'a mut Value {
    if !value.is_object() {
        *value = Value::Object(Map::new());
    }
    &mut value[name]
}

fn property(key: &Key) -> Value {
    let doc: Vec<&str> = key.doc.lines().map(str::trim).filter(|line| !line.is_empty()).collect();
    let description = format!("{} It is {}.", doc.join(" "), key.allowed());
    let mut property = json!({ "description": description });
    let default = parse_toml(key.default).and_then(|value| serde_json::to_value(value).ok());
    if let (Some(default), Some(object)) = (default, property.as_object_mut()) {
        object.insert("default".into(), default);
    }
    property
}
