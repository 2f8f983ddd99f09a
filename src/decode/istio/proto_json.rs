//! Whether a document is one that protobuf's older JSON decoder takes for a `MeshConfig`
//! (`github.com/golang/protobuf/jsonpb/decode.go`, with unknown fields allowed as `pkg/util/protomarshal` does).

use std::collections::HashMap;
use std::sync::OnceLock;

use serde_json::{Map, Value};

use super::duration::go_duration;

/// Messages and enums that a `MeshConfig` can hold, taken out of Istio's own descriptors.
const SCHEMA: &str = include_str!("mesh_config.schema");

const MESH_CONFIG: &str = "istio.mesh.v1alpha1.MeshConfig";

#[derive(Clone, Copy)]
enum Shape {
    One,
    List,
    Map,
}

struct Field {
    json: &'static str,
    proto: &'static str,
    shape: Shape,
    kind: &'static str,
}

#[derive(Default)]
struct Schema {
    messages: HashMap<&'static str, Vec<Field>>,
    enums: HashMap<&'static str, Vec<&'static str>>,
}

fn schema() -> &'static Schema {
    static READ: OnceLock<Schema> = OnceLock::new();
    READ.get_or_init(|| {
        let mut schema = Schema::default();
        let mut message = "";
        for line in SCHEMA.lines() {
            let words: Vec<&'static str> = line.split_whitespace().collect();
            match words.as_slice() {
                ["message", name] => {
                    message = name;
                    schema.messages.entry(name).or_default();
                }
                ["enum", name, values @ ..] => {
                    let names = values.iter().filter_map(|value| Some(value.split_once('=')?.0));
                    schema.enums.insert(name, names.collect());
                }
                [json, proto, rest @ ..] if line.starts_with("  ") => {
                    let (shape, kind) = match rest {
                        ["list", kind] => (Shape::List, *kind),
                        ["map", kind] => (Shape::Map, *kind),
                        [kind] => (Shape::One, *kind),
                        _ => continue,
                    };
                    schema.messages.entry(message).or_default().push(Field { json, proto, shape, kind });
                }
                _ => {}
            }
        }
        schema
    })
}

/// Says which field of a mesh configuration is refused, and why.
pub(super) fn check(document: &Value) -> Result<(), String> {
    match document.as_object() {
        Some(fields) => message(MESH_CONFIG, fields),
        None => Err("it is no mapping of keys to values".to_owned()),
    }
}

fn message(name: &str, fields: &Map<String, Value>) -> Result<(), String> {
    let Some(known) = schema().messages.get(name) else { return Ok(()) };
    for field in known {
        let Some(value) = fields.get(field.json).or_else(|| fields.get(field.proto)) else { continue };
        if value.is_null() {
            continue;
        }
        let checked = match (field.shape, value) {
            (Shape::One, value) => single(field.kind, value),
            (Shape::List, Value::Array(values)) => values.iter().try_for_each(|value| single(field.kind, value)),
            (Shape::Map, Value::Object(values)) => values.values().try_for_each(|value| single(field.kind, value)),
            (Shape::List, _) => Err("it is no list".to_owned()),
            (Shape::Map, _) => Err("it is no mapping".to_owned()),
        };
        checked
            .map_err(|error| match error.strip_prefix('.') {
                Some(inner) => format!(".{}.{inner}", field.json),
                None => format!(".{}: {error}", field.json),
            })
            .map_err(|error| if name == MESH_CONFIG { error.trim_start_matches('.').to_owned() } else { error })?;
    }
    Ok(())
}

fn single(kind: &str, value: &Value) -> Result<(), String> {
    let is = |right: bool, what: &str| if right { Ok(()) } else { Err(format!("this is no {what}")) };
    // Numbers may stand in quotes.
    let number = || match value {
        Value::String(text) => serde_json::from_str::<Value>(text).unwrap_or_default(),
        value => value.clone(),
    };
    match kind {
        "bool" | "google.protobuf.BoolValue" => is(value.is_boolean(), "boolean"),
        "string" | "google.protobuf.StringValue" => is(value.is_string(), "text"),
        "int32" | "google.protobuf.Int32Value" => {
            is(number().as_i64().is_some_and(|number| i32::try_from(number).is_ok()), "32-bit integer")
        }
        "uint32" | "google.protobuf.UInt32Value" => {
            is(number().as_u64().is_some_and(|number| u32::try_from(number).is_ok()), "32-bit unsigned integer")
        }
        "int64" | "google.protobuf.Int64Value" => is(number().as_i64().is_some(), "integer"),
        "uint64" | "google.protobuf.UInt64Value" => is(number().as_u64().is_some(), "unsigned integer"),
        "float" | "double" | "google.protobuf.FloatValue" | "google.protobuf.DoubleValue" => {
            is(number().is_number() || matches!(value.as_str(), Some("NaN" | "Infinity" | "-Infinity")), "number")
        }
        "google.protobuf.Duration" => match value.as_str().map(go_duration) {
            Some(Ok(_) | Err(crate::model::DurationError::Negative(_))) => Ok(()),
            Some(Err(error)) => Err(error.to_string()),
            None => Err("this is no duration (a text such as \"10s\")".to_owned()),
        },
        kind => match (schema().enums.get(kind), value) {
            (Some(names), Value::String(name)) => is(names.contains(&name.as_str()), "value that it can have"),
            (Some(_), value) => is(value.is_i64() || value.is_u64(), "value that it can have"),
            (None, value) if !schema().messages.contains_key(kind) => {
                // Bytes, structs and the like: nothing of them is looked at.
                let _ = value;
                Ok(())
            }
            (None, Value::Null) => Ok(()),
            (None, Value::Object(fields)) => message(kind, fields),
            (None, _) => Err("this is no mapping".to_owned()),
        },
    }
}
