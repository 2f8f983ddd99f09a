//! Changes to objects: JSON merge patches, JSON patches, and the field ownership that every write leaves behind.

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

/// Applies a JSON patch (RFC 6902) with the operations `test`, `add` and `replace`; the error names the
/// operation that does not fit, and nothing is changed then.
pub(crate) fn json_patch(target: &mut Value, patch: &Value) -> Result<(), String> {
    let mut changed = target.clone();
    for operation in patch.as_array().ok_or("a JSON patch is a list")? {
        let (op, path) = (operation["op"].as_str().unwrap_or_default(), operation["path"].as_str().unwrap_or_default());
        let refuse = || format!("the server rejected our request due to an error in our request: {op} {path}");
        let (parent, key) = path.rsplit_once('/').ok_or_else(refuse)?;
        if op == "test" {
            if changed.pointer(path) != Some(&operation["value"]) {
                return Err(format!("testing value {path} failed"));
            }
            continue;
        }
        let key = key.replace("~1", "/").replace("~0", "~");
        match changed.pointer_mut(parent).ok_or_else(refuse)? {
            Value::Object(fields) if matches!(op, "add" | "replace") => {
                fields.insert(key, operation["value"].clone());
            }
            Value::Array(items) => {
                let index: usize = key.parse().map_err(|_| refuse())?;
                match op {
                    "add" if index <= items.len() => items.insert(index, operation["value"].clone()),
                    "replace" if index < items.len() => items[index] = operation["value"].clone(),
                    _ => return Err(refuse()),
                }
            }
            _ => return Err(refuse()),
        }
    }
    *target = changed;
    Ok(())
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
