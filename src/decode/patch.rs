//! Changes to objects: the patch that makes one, the difference it makes, and the object afterwards.

use std::fmt::Write;

use serde_json::{Map, Value, json};

use crate::model::objects::{ObjectMeta, Source};

/// A step of the way to a field.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Segment {
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
    pub fn key(name: &str) -> Self {
        Self::Key(name.to_owned())
    }
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

    fn resource(&self) -> String {
        self.kind.to_ascii_lowercase()
    }
}

/// A change of one object.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Patched {
    /// The line that makes it: `kubectl patch …`, for a POSIX shell.
    pub command: String,
    /// What it changes, as a unified diff of the object in YAML.
    pub diff: String,
    /// The whole object afterwards, in YAML, ready for `kubectl apply` or a repository.
    pub manifest: String,
    /// Its `spec` afterwards, as JSON.
    pub spec: String,
}

/// Sets a field of an object's `spec`, making what is missing on the way. The error says what does not fit.
pub fn set(identity: &Identity, source: &Source, path: &[Segment], value: &str) -> Result<Patched, String> {
    let spec: Value = serde_json::from_str(&source.spec)
        .map_err(|error| format!("{} {}/{}: {error}", identity.kind, identity.namespace, identity.name))?;
    let before = json!({ "spec": spec });
    let mut after = before.clone();
    let mut at = &mut after["spec"];
    let mut pointer = "/spec".to_owned();
    let mut tests: Vec<Value> = Vec::new();
    // Where the first missing field would be, and what is to be put there.
    let mut missing: Option<String> = None;
    let mut lists = false;
    for segment in path {
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
                lists = true;
                let _ = write!(pointer, "/{index}");
                at = at.get_mut(*index).ok_or_else(|| format!("there is no {pointer}"))?;
                let mut test = pointer.clone();
                let mut found: Option<&Value> = Some(at);
                for name in told_by {
                    let _ = write!(test, "/{}", escape(name));
                    found = found.and_then(|value| value.get(name));
                }
                if let Some(found) = found.filter(|found| !found.is_object()) {
                    tests.push(json!({ "op": "test", "path": test, "value": found }));
                }
            }
        }
    }
    *at = Value::String(value.to_owned());
    let patch = if lists {
        let place = missing.unwrap_or_else(|| pointer.clone());
        let put = after.pointer(&place).cloned().unwrap_or(Value::Null);
        // `add` sets a field that is there already, too.
        tests.push(json!({ "op": "add", "path": place, "value": put }));
        ("json", Value::Array(tests))
    } else {
        let mut nested = Value::String(value.to_owned());
        for segment in path.iter().rev() {
            if let Segment::Key(name) = segment {
                nested = json!({ name: nested });
            }
        }
        ("merge", json!({ "spec": nested }))
    };
    let command = format!(
        "kubectl patch {} {} -n {} --type {} -p {}",
        identity.resource(),
        quote(&identity.name),
        quote(&identity.namespace),
        patch.0,
        quote(&patch.1.to_string())
    );
    let diff = diff(identity, &yaml(&before)?, &yaml(&after)?);
    let manifest = manifest(identity, source, &after["spec"])?;
    Ok(Patched { command, diff, manifest, spec: after["spec"].to_string() })
}

/// A new DestinationRule for one host with a connect timeout. Where the host already has a rule under a wildcard, the
/// new one takes all of it over, since a more specific rule replaces a wider one whole.
pub fn rule_for_host(identity: &Identity, host: &str, base: Option<&Source>, value: &str) -> Result<Patched, String> {
    let mut spec: Value = match base {
        None => json!({}),
        Some(base) => serde_json::from_str(&base.spec).map_err(|error| error.to_string())?,
    };
    if let Some(fields) = spec.as_object_mut() {
        let mut ordered = Map::new();
        ordered.insert("host".to_owned(), Value::String(host.to_owned()));
        ordered.extend(std::mem::take(fields).into_iter().filter(|(key, _)| key != "host"));
        *fields = ordered;
    }
    let source = Source { spec: spec.to_string().into(), ..Source::default() };
    let path = ["trafficPolicy", "connectionPool", "tcp", "connectTimeout"].map(Segment::key);
    let mut created = set(identity, &source, &path, value)?;
    created.command = format!("kubectl apply -f {}.yaml", quote(&identity.name));
    created.diff = created.manifest.lines().fold(String::new(), |mut diff, line| {
        let _ = writeln!(diff, "+{line}");
        diff
    });
    Ok(created)
}

/// An object in YAML.
fn manifest(identity: &Identity, source: &Source, spec: &Value) -> Result<String, String> {
    let mut metadata = json!({ "name": identity.name, "namespace": identity.namespace });
    for (key, values) in [("labels", &source.labels), ("annotations", &source.annotations)] {
        if !values.is_empty() {
            metadata[key] = json!(values);
        }
    }
    yaml(&json!({
        "apiVersion": identity.api_version,
        "kind": identity.kind,
        "metadata": metadata,
        "spec": spec,
    }))
}

fn yaml(value: &Value) -> Result<String, String> {
    serde_saphyr::to_string(value).map_err(|error| error.to_string())
}

/// The key as a part of a JSON pointer (RFC 6901).
fn escape(key: &str) -> String {
    key.replace('~', "~0").replace('/', "~1")
}

/// A word as a POSIX shell takes it whole.
#[must_use]
pub fn quote(word: &str) -> String {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',' | '@' | '+');
    if !word.is_empty() && word.chars().all(plain) {
        return word.to_owned();
    }
    format!("'{}'", word.replace('\'', r"'\''"))
}

/// A change in one place, as a unified diff with three lines around it.
fn diff(identity: &Identity, before: &str, after: &str) -> String {
    let name = format!("{} {}/{}", identity.kind, identity.namespace, identity.name);
    diff_texts(&name, before, after)
}

/// The difference of two texts that differ in one place.
#[must_use]
pub fn diff_texts(name: &str, before: &str, after: &str) -> String {
    const AROUND: usize = 3;
    let (old, new): (Vec<&str>, Vec<&str>) = (before.lines().collect(), after.lines().collect());
    let same = old.iter().zip(&new).take_while(|(a, b)| a == b).count();
    let rest = old.len().min(new.len()) - same;
    let tail = old.iter().rev().zip(new.iter().rev()).take(rest).take_while(|(a, b)| a == b).count();
    let start = same.saturating_sub(AROUND);
    let end = |lines: &[&str]| (lines.len() - tail + AROUND).min(lines.len());
    let mut text = format!("--- live/{name}\n+++ fixed/{name}\n");
    let (old_end, new_end) = (end(&old), end(&new));
    let _ = writeln!(text, "@@ -{},{} +{},{} @@", start + 1, old_end - start, start + 1, new_end - start);
    let mut put = |sign: char, lines: &[&str]| {
        for line in lines {
            let _ = writeln!(text, "{sign}{line}");
        }
    };
    put(' ', &old[start..same]);
    put('-', &old[same..old.len() - tail]);
    put('+', &new[same..new.len() - tail]);
    put(' ', &old[old.len() - tail..old_end]);
    text
}

/// Sets `connectTimeout` at the top level of a mesh configuration's YAML, and keeps every other line as it is.
/// `None` where the text is not in block style and can't be edited line by line.
#[must_use]
pub fn set_mesh_timeout(text: &str, value: &str) -> Option<String> {
    if text.trim_start().starts_with(['{', '[']) {
        return None;
    }
    let line = format!("connectTimeout: {value}");
    let mut lines: Vec<&str> = text.lines().collect();
    match lines.iter().position(|known| known.starts_with("connectTimeout:")) {
        Some(at) => lines[at] = &line,
        None => lines.insert(0, &line),
    }
    let mut edited = lines.join("\n");
    edited.push('\n');
    // Only what still means what is meant may be handed out.
    let config = super::mesh_config::parse(&edited).ok()?;
    (config.connect_timeout == crate::model::parse_duration(value).ok()).then_some(edited)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use super::*;

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

    fn timeout() -> [Segment; 4] {
        ["trafficPolicy", "connectionPool", "tcp", "connectTimeout"].map(Segment::key)
    }

    #[test]
    fn changes_a_field() {
        let spec = source(
            r#"{"host":"web","trafficPolicy":{"connectionPool":{"tcp":{"connectTimeout":"1s"}},"tls":{"mode":"DISABLE"}}}"#,
        );
        let patched = set(&identity(), &spec, &timeout(), "10s").unwrap();
        assert_eq!(
            patched.command,
            r#"kubectl patch destinationrule web -n shop --type merge -p '{"spec":{"trafficPolicy":{"connectionPool":{"tcp":{"connectTimeout":"10s"}}}}}'"#
        );
        assert_eq!(
            patched.diff,
            "--- live/DestinationRule shop/web\n+++ fixed/DestinationRule shop/web\n@@ -3,6 +3,6 @@\n   \
             trafficPolicy:\n     connectionPool:\n       tcp:\n-        connectTimeout: 1s\n+        connectTimeout: \
             10s\n     tls:\n       mode: DISABLE\n"
        );
        assert!(patched.manifest.starts_with("apiVersion: networking.istio.io/v1\nkind: DestinationRule\n"));
    }

    #[test]
    fn makes_what_is_missing() {
        let patched = set(&identity(), &source(r#"{"host":"web"}"#), &timeout(), "10s").unwrap();
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
    fn makes_sure_of_list_elements() {
        let spec = source(
            r#"{"host":"web","trafficPolicy":{"portLevelSettings":[{"port":{"number":80}},{"port":{"number":443},"connectionPool":{"http":{"maxRetries":1}}}]}}"#,
        );
        let mut path = vec![
            Segment::key("trafficPolicy"),
            Segment::key("portLevelSettings"),
            Segment::Element { index: 1, told_by: vec!["port", "number"] },
        ];
        path.extend(timeout().into_iter().skip(1));
        let patched = set(&identity(), &spec, &path, "10s").unwrap();
        assert_eq!(
            patched.command,
            r#"kubectl patch destinationrule web -n shop --type json -p '[{"op":"test","path":"/spec/trafficPolicy/portLevelSettings/1/port/number","value":443},{"op":"add","path":"/spec/trafficPolicy/portLevelSettings/1/connectionPool/tcp","value":{"connectTimeout":"10s"}}]'"#
        );
        path[2] = Segment::Element { index: 7, told_by: vec![] };
        assert!(set(&identity(), &spec, &path, "10s").is_err());
    }

    #[test]
    fn a_new_rule_takes_the_wider_one_over() {
        let base = source(r#"{"host":"*.example.com","trafficPolicy":{"tls":{"mode":"SIMPLE"}}}"#);
        let created = rule_for_host(&identity(), "api.example.com", Some(&base), "15s").unwrap();
        assert_eq!(
            created.spec,
            r#"{"host":"api.example.com","trafficPolicy":{"tls":{"mode":"SIMPLE"},"connectionPool":{"tcp":{"connectTimeout":"15s"}}}}"#
        );
    }

    #[test]
    fn edits_a_mesh_configuration() {
        let text = "# ours\naccessLogFile: /dev/stdout\nconnectTimeout: 1s\ndefaultConfig:\n  connectTimeout: 9s\n";
        assert_eq!(set_mesh_timeout(text, "10s").unwrap(), text.replace("connectTimeout: 1s", "connectTimeout: 10s"));
        assert_eq!(set_mesh_timeout("a: b", "10s").unwrap(), "connectTimeout: 10s\na: b\n");
        assert_eq!(set_mesh_timeout("", "10s").unwrap(), "connectTimeout: 10s\n");
        assert_eq!(set_mesh_timeout("{a: b}", "10s"), None);
    }

    #[test]
    fn quotes_for_a_shell() {
        assert_eq!(quote("web-1.x"), "web-1.x");
        assert_eq!(quote("it's"), r"'it'\''s'");
        assert_eq!(quote("$(x)"), "'$(x)'");
    }
}
