//! Changes to objects: the patch that makes one, the difference it makes, and what of the object it names.

use std::collections::BTreeSet;
use std::fmt::Write;

use serde_json::{Map, Value, json};
use similar::TextDiff;

use super::command::ShellCommand;
use crate::model::objects::{ObjectMeta, Source};

/// A step of the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Segment {
    /// Into a field, made if it is not there.
    Key(String),
    /// Into an element of a list, which a patch makes sure is still the one meant.
    Element {
        /// Its position.
        index: usize,
        /// The fields that lead to what tells it apart (`name`, `port` and `number`).
        told_by: Vec<&'static str>,
    },
}

impl Segment {
    /// Into a field.
    #[must_use]
    pub(super) fn key(name: &str) -> Self {
        Self::Key(name.to_owned())
    }
}

/// A field below `spec` and what it is to be.
#[derive(Debug, Clone, PartialEq)]
pub(super) struct Put {
    /// The way there.
    pub(super) path: Vec<Segment>,
    /// What to put there.
    pub(super) value: Value,
}

/// What an object is called and is.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// Its kind: `DestinationRule`.
    pub kind: &'static str,
    /// `networking.istio.io/v1`.
    pub api_version: String,
    /// Its namespace.
    pub namespace: String,
    /// Its name.
    pub name: String,
}

impl Identity {
    /// Of an object that was read.
    #[must_use]
    pub fn of(kind: &'static str, meta: &ObjectMeta, source: &Source) -> Self {
        Self {
            kind,
            api_version: source.api_version.clone(),
            namespace: meta.namespace.clone(),
            name: meta.name.clone(),
        }
    }

    /// `destinationrules.networking.istio.io`: the plural with its group, since short names may mean another's.
    #[must_use]
    pub fn resource(&self) -> String {
        let plural = format!("{}s", self.kind.to_ascii_lowercase());
        match self.api_version.split_once('/') {
            Some((group, _)) => format!("{plural}.{group}"),
            None => plural,
        }
    }

    /// The object's head, as YAML documents begin.
    fn head(&self) -> Map<String, Value> {
        let mut head = Map::new();
        head.insert("apiVersion".to_owned(), json!(self.api_version));
        head.insert("kind".to_owned(), json!(self.kind));
        head.insert("metadata".to_owned(), json!({ "name": self.name, "namespace": self.namespace }));
        head
    }
}

/// A change of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) struct Patched {
    /// What makes it.
    pub(super) command: ShellCommand,
    /// What it changes, as a unified diff of the object in YAML.
    pub(super) diff: String,
    /// The fields that it sets and nothing else, in YAML: a merge patch, in which a list is whole. Empty where it
    /// would name a list of which not all is known.
    pub(super) manifest: String,
    /// The whole `spec` afterwards, as JSON.
    pub(super) spec: String,
}

/// Sets fields of an object's `spec`, all in one patch. The error says what does not fit.
pub(super) fn patch(identity: &Identity, source: &Source, puts: &[Put]) -> Result<Patched, String> {
    let spec: Value = serde_json::from_str(&source.spec)
        .map_err(|error| format!("{} {}/{}: {error}", identity.kind, identity.namespace, identity.name))?;
    let before = json!({ "spec": spec });
    let mut after = before.clone();
    let mut operations = Operations::default();
    for put in puts {
        operations.put(&mut after, put)?;
    }
    let in_a_list = puts.iter().any(|put| put.path.iter().any(|at| matches!(at, Segment::Element { .. })));
    let (kind, body) = if in_a_list {
        ("json", Value::Array(operations.list))
    } else {
        let mut merged = json!({});
        puts.iter().for_each(|put| nest(&mut merged, &put.path, &put.value));
        ("merge", json!({ "spec": merged }))
    };
    let (resource, body) = (identity.resource(), body.to_string());
    let command = ShellCommand::patch(&resource, &identity.name, &identity.namespace, kind, ["-p", &body]);
    let name = format!("{} {}/{}", identity.kind, identity.namespace, identity.name);
    // A merge patch has lists whole.
    let manifest = if source.partial && in_a_list {
        String::new()
    } else {
        let mut named = identity.head();
        named.insert("spec".to_owned(), only(&after["spec"], puts));
        yaml(&Value::Object(named))?
    };
    Ok(Patched {
        command,
        diff: diff(&name, &yaml(&before)?, &yaml(&after)?),
        manifest,
        spec: after["spec"].to_string(),
    })
}

/// A new object. The error says why it can't be written.
pub(super) fn create(identity: &Identity, spec: &Value) -> Result<Patched, String> {
    let mut object = identity.head();
    object.insert("spec".to_owned(), spec.clone());
    let manifest = yaml(&Value::Object(object))?;
    let diff = manifest.lines().fold(String::new(), |mut diff, line| {
        let _ = writeln!(diff, "+{line}");
        diff
    });
    // `create` and not `apply`: an object of this name that was made meanwhile stays as it is.
    let command = ShellCommand::kubectl(["create", "-f", "-"]).reading(manifest.clone());
    Ok(Patched { command, diff, manifest, spec: spec.to_string() })
}

/// The operations of a JSON patch (RFC 6902).
#[derive(Default)]
struct Operations {
    list: Vec<Value>,
    tested: BTreeSet<String>,
}

impl Operations {
    /// Makes a change to `object`, with what is missing on the way, and writes it down.
    fn put(&mut self, object: &mut Value, put: &Put) -> Result<(), String> {
        let mut at = &mut object["spec"];
        let mut pointer = "/spec".to_owned();
        // Where the first missing field would be.
        let mut missing: Option<String> = None;
        for segment in &put.path {
            match segment {
                Segment::Key(name) => {
                    let _ = write!(pointer, "/{}", escape(name));
                    if at.is_null() {
                        *at = Value::Object(Map::new());
                    }
                    let fields = at.as_object_mut().ok_or_else(|| format!("{pointer} is not in an object"))?;
                    if missing.is_none() && fields.get(name).is_none_or(Value::is_null) {
                        missing = Some(pointer.clone());
                    }
                    at = fields.entry(name.clone()).or_insert(Value::Null);
                }
                Segment::Element { index, told_by } => {
                    let _ = write!(pointer, "/{index}");
                    at = at.get_mut(*index).ok_or_else(|| format!("there is no {pointer}"))?;
                    let mut test = pointer.clone();
                    let mut found: Option<&Value> = Some(at);
                    for name in told_by {
                        let _ = write!(test, "/{}", escape(name));
                        found = found.and_then(|value| value.get(name));
                    }
                    if let Some(found) = found.filter(|found| !found.is_object())
                        && self.tested.insert(test.clone())
                    {
                        self.list.push(json!({ "op": "test", "path": test, "value": found }));
                    }
                }
            }
        }
        *at = put.value.clone();
        let place = missing.unwrap_or(pointer);
        let value = object.pointer(&place).cloned().unwrap_or(Value::Null);
        // `add` sets a field that is there already, too.
        self.list.push(json!({ "op": "add", "path": place, "value": value }));
        Ok(())
    }
}

/// Puts a value into nested objects.
fn nest(at: &mut Value, path: &[Segment], value: &Value) {
    match path {
        [Segment::Key(name), rest @ ..] => {
            if at.is_null() {
                *at = json!({});
            }
            nest(&mut at[name], rest, value);
        }
        _ => *at = value.clone(),
    }
}

/// Of a `spec`, what some changes name: the fields on the way, and lists whole.
fn only(spec: &Value, puts: &[Put]) -> Value {
    let mut named = json!({});
    for put in puts {
        let (mut from, mut to) = (spec, &mut named);
        for (depth, segment) in put.path.iter().enumerate() {
            let Segment::Key(name) = segment else { break };
            from = &from[name];
            let whole = matches!(put.path.get(depth + 1), None | Some(Segment::Element { .. }));
            let next = &mut to[name];
            if whole {
                *next = from.clone();
            } else if next.is_null() {
                *next = json!({});
            }
            to = next;
        }
    }
    named
}

/// A value in YAML. The error says why it can't be written.
pub(super) fn yaml(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

/// The key as a part of a JSON pointer (RFC 6901).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// The difference of two texts, with three lines around each change.
pub(super) fn diff(name: &str, before: &str, after: &str) -> String {
    TextDiff::from_lines(before, after)
        .unified_diff()
        .context_radius(3)
        .header(&format!("live/{name}"), &format!("fixed/{name}"))
        .missing_newline_hint(false)
        .to_string()
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::*;
    use crate::model::Scope;

    fn identity() -> Identity {
        Identity {
            kind: "DestinationRule",
            api_version: "networking.istio.io/v1".into(),
            namespace: "shop".into(),
            name: "web".into(),
        }
    }

    fn source(spec: &str) -> Source {
        Source { spec: spec.into(), ..Source::default() }
    }

    fn pool() -> Vec<Segment> {
        ["connectionPool", "tcp", "connectTimeout"].map(Segment::key).to_vec()
    }

    fn top() -> Put {
        let mut path = vec![Segment::key("trafficPolicy")];
        path.extend(pool());
        Put { path, value: json!("10s") }
    }

    fn port(index: usize) -> Put {
        let mut path = vec![
            Segment::key("trafficPolicy"),
            Segment::key("portLevelSettings"),
            Segment::Element { index, told_by: vec!["port", "number"] },
        ];
        path.extend(pool());
        Put { path, value: json!("10s") }
    }

    #[test]
    fn changes_a_field() {
        let spec = source(
            r#"{"host":"web","trafficPolicy":{"connectionPool":{"tcp":{"connectTimeout":"1s","maxConnections":7}},"tls":{"mode":"DISABLE"}}}"#,
        );
        let patched = patch(&identity(), &spec, &[top()]).unwrap();
        assert_eq!(
            patched.command.line(&Scope::default(), ""),
            r#"kubectl patch destinationrules.networking.istio.io web -n shop --type merge -p '{"spec":{"trafficPolicy":{"connectionPool":{"tcp":{"connectTimeout":"10s"}}}}}'"#
        );
        assert_eq!(
            patched.diff,
            "--- live/DestinationRule shop/web\n+++ fixed/DestinationRule shop/web\n@@ -3,7 +3,7 @@\n   \
             trafficPolicy:\n     connectionPool:\n       tcp:\n-        connectTimeout: 1s\n+        connectTimeout: \
             10s\n         maxConnections: 7\n     tls:\n       mode: DISABLE\n"
        );
        assert_eq!(
            patched.manifest,
            "apiVersion: networking.istio.io/v1\nkind: DestinationRule\nmetadata:\n  name: web\n  namespace: shop\nspec:\n  \
             trafficPolicy:\n    connectionPool:\n      tcp:\n        connectTimeout: 10s\n"
        );
    }

    #[test]
    fn makes_what_is_missing() {
        let patched = patch(&identity(), &source(r#"{"host":"web"}"#), &[top()]).unwrap();
        assert!(
            patched
                .diff
                .contains("\n+  trafficPolicy:\n+    connectionPool:\n+      tcp:\n+        connectTimeout: 10s\n")
        );
        assert_eq!(
            patched.spec,
            r#"{"host":"web","trafficPolicy":{"connectionPool":{"tcp":{"connectTimeout":"10s"}}}}"#
        );
    }

    #[test]
    fn makes_sure_of_list_elements_and_changes_all_at_once() {
        let spec = source(
            r#"{"host":"web","trafficPolicy":{"portLevelSettings":[{"port":{"number":80}},{"port":{"number":443},"connectionPool":{"http":{"maxRetries":1}}}]}}"#,
        );
        let patched = patch(&identity(), &spec, &[port(1), port(0), top()]).unwrap();
        assert_eq!(
            patched.command.args.last().unwrap(),
            r#"[{"op":"test","path":"/spec/trafficPolicy/portLevelSettings/1/port/number","value":443},{"op":"add","path":"/spec/trafficPolicy/portLevelSettings/1/connectionPool/tcp","value":{"connectTimeout":"10s"}},{"op":"test","path":"/spec/trafficPolicy/portLevelSettings/0/port/number","value":80},{"op":"add","path":"/spec/trafficPolicy/portLevelSettings/0/connectionPool","value":{"tcp":{"connectTimeout":"10s"}}},{"op":"add","path":"/spec/trafficPolicy/connectionPool","value":{"tcp":{"connectTimeout":"10s"}}}]"#
        );
        // The list is there whole, with what was in it.
        assert!(
            patched.manifest.contains("maxRetries: 1") && !patched.manifest.contains("host:"),
            "{}",
            patched.manifest
        );
        assert!(patch(&identity(), &spec, &[port(7)]).is_err());
    }

    #[test]
    fn makes_an_object() {
        let made = create(&identity(), &json!({"host": "web"})).unwrap();
        assert!(
            made.command.line(&Scope::default(), "").starts_with("kubectl create -f - <<'EOF'\napiVersion: networking")
        );
        assert!(made.diff.ends_with("+spec:\n+  host: web\n"), "{}", made.diff);
    }
}
