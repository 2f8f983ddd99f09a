//! Changes to objects: JSON merge patches, and the field ownership that every write leaves behind.

use serde_json::{Map, Value};

/// Applies a JSON merge patch (RFC 7386): `null` removes, an object merges, anything else replaces.
pub(crate) fn merge(target: &mut Value, patch: &Value) {
    let Some(patch) = patch.as_object() else {
        *target = patch.clone();
        return;
    };
    if !target.is_object() {
        *target = Value::Object(Map::new());
    }
    let Some(object) = target.as_object_mut() else {
        return;
    };
    for (key, value) in patch {
        if value.is_null() {
            object.shift_remove(key);
        } else {
            merge(object.entry(key.clone()).or_insert(Value::Null), value);
        }
    }
}

/// The `fieldsV1` tree of what a write has set: every key becomes `f:KEY`, lists are leaves, and what
/// identifies the object is left out.
pub(crate) fn fields_v1(written: &Value) -> Value {
    const IDENTITY: [&str; 7] =
        ["name", "namespace", "uid", "resourceVersion", "generation", "creationTimestamp", "managedFields"];
    let mut written = written.clone();
    if let Some(object) = written.as_object_mut() {
        object.retain(|key, _| key != "apiVersion" && key != "kind");
        if let Some(metadata) = object.get_mut("metadata").and_then(Value::as_object_mut) {
            metadata.retain(|key, _| !IDENTITY.contains(&key.as_str()));
            if metadata.is_empty() {
                object.shift_remove("metadata");
            }
        }
    }
    owned(&written)
}

fn owned(value: &Value) -> Value {
    let fields = value.as_object().into_iter().flatten();
    Value::Object(fields.map(|(key, value)| (format!("f:{key}"), owned(value))).collect())
}
