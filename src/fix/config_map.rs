//! The patch of a mesh configuration's ConfigMap: its key `mesh`, whose text differs in one place.

use std::fmt::Write;

use serde_json::{Value, json};

use super::command::ShellCommand;
use super::manifest::diff;
use crate::decode::yaml_edit;
use crate::model::objects::{MeshConfigSource, ObjectMeta};
use crate::model::{format_duration, is_hostile};

/// What of the mesh configuration gives clusters a timeout.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum TimeoutKey {
    /// `connectTimeout`.
    ConnectTimeout,
    /// `defaultTrafficPolicy.connectionPool.tcp.connectTimeout` (Istio 1.31 and later).
    DefaultTrafficPolicy,
    /// Both, where either may be what counts.
    Both,
}

impl TimeoutKey {
    /// The single fields that it stands for.
    #[must_use]
    pub fn fields(self) -> &'static [Self] {
        match self {
            Self::ConnectTimeout => &[Self::ConnectTimeout],
            Self::DefaultTrafficPolicy => &[Self::DefaultTrafficPolicy],
            Self::Both => &[Self::ConnectTimeout, Self::DefaultTrafficPolicy],
        }
    }

    /// The fields on the way to a single one, each in the spellings that protobuf takes, the one that counts first.
    fn path(self) -> &'static [&'static [&'static str]] {
        match self {
            Self::ConnectTimeout | Self::Both => &[&["connectTimeout", "connect_timeout"]],
            Self::DefaultTrafficPolicy => &[
                &["defaultTrafficPolicy", "default_traffic_policy"],
                &["connectionPool", "connection_pool"],
                &["tcp"],
                &["connectTimeout", "connect_timeout"],
            ],
        }
    }

    /// The fields' names below `meshConfig`, with dots.
    pub fn dotted(self) -> impl Iterator<Item = String> {
        self.fields().iter().map(|field| field.path().iter().map(|names| names[0]).collect::<Vec<_>>().join("."))
    }

    /// Fields and value as YAML, so far in.
    pub(super) fn yaml(self, value: &str, indent: usize) -> String {
        let mut text = String::new();
        for path in self.fields().iter().map(|field| field.path()) {
            for (depth, names) in path.iter().enumerate() {
                let value = if depth + 1 == path.len() { format!(" {value}") } else { String::new() };
                let _ = writeln!(text, "{}{}:{value}", "  ".repeat(indent + depth), names[0]);
            }
        }
        text
    }

    /// The same as a JSON object.
    pub(super) fn json(self, value: &str) -> Value {
        let one =
            |field: &Self| field.path().iter().rev().fold(json!(value), |inner, names| json!({ names[0]: inner }));
        let fields = self.fields().iter().map(one);
        Value::Object(fields.filter_map(|field| field.as_object().cloned()).flatten().collect())
    }

    /// A text with the fields set. `None` where a field can't be set in one place.
    fn set(self, text: &str, value: &str) -> Option<String> {
        let fields = self.fields().iter();
        fields
            .map(|field| field.path())
            .try_fold(text.to_owned(), |text, path| Some(yaml_edit::set(&text, path, value)?.text))
    }
}

/// A change of a ConfigMap's key `mesh`.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshPatch {
    /// The ConfigMap.
    pub map: ObjectMeta,
    /// Its text afterwards; what it was stands in the snapshot.
    pub text: String,
    /// What makes the change.
    pub command: ShellCommand,
    /// The change, as a unified diff of the text.
    pub diff: String,
    /// The key and its text and nothing else, in YAML: a merge patch, which the API server refuses where somebody
    /// changed the ConfigMap meanwhile.
    pub manifest: String,
}

/// Sets a field in a ConfigMap that was read. `None` where its text can't be changed in one place.
pub(super) fn mesh_patch(source: &MeshConfigSource, key: TimeoutKey, value: std::time::Duration) -> Option<MeshPatch> {
    if source.is_withheld() {
        return None;
    }
    let text = key.set(&source.text, &format_duration(value))?;
    let map = &source.meta;
    // The API server refuses it where somebody changed the ConfigMap meanwhile.
    let (heading, guard) = match source.resource_version.as_str() {
        "" => ("", String::new()),
        version => ("metadata:\n", format!("  resourceVersion: {}\n", json!(version))),
    };
    let data = data(&text);
    let command = ShellCommand::patch("configmap", &map.name, &map.namespace, "merge", ["--patch-file", "/dev/stdin"]);
    Some(MeshPatch {
        command: command.reading(format!("{heading}{guard}{data}")),
        diff: diff(&format!("ConfigMap {map}, mesh"), &source.text, &text),
        manifest: format!(
            "apiVersion: v1\nkind: ConfigMap\nmetadata:\n  name: {}\n  namespace: {}\n{guard}{data}",
            map.name, map.namespace
        ),
        map: map.clone(),
        text,
    })
}

/// A source's `defaultTrafficPolicy`, in either spelling and whatever is in it.
pub(super) fn default_policy(source: &MeshConfigSource) -> Option<Value> {
    let [names, ..] = TimeoutKey::DefaultTrafficPolicy.path() else { return None };
    let mesh = serde_saphyr::from_str::<Value>(&source.text).ok()?;
    names.iter().filter_map(|name| mesh.get(name)).find(|policy| !policy.is_null()).cloned()
}

/// `data: {mesh: TEXT}` as YAML that reads back to the byte.
fn data(text: &str) -> String {
    let literal = literal(text);
    let reads_back = |yaml: &str| {
        serde_saphyr::from_str::<Value>(yaml).is_ok_and(|read| read["data"]["mesh"].as_str() == Some(text))
    };
    match literal.filter(|yaml| reads_back(yaml)) {
        Some(yaml) => yaml,
        None => format!("data:\n  mesh: {}\n", quoted(text)),
    }
}

/// The text as a JSON string, which is YAML too, with every character that can't be seen written as a number.
fn quoted(text: &str) -> String {
    let mut quoted = String::new();
    for c in Value::String(text.to_owned()).to_string().chars() {
        if is_hostile(c) {
            for unit in c.encode_utf16(&mut [0; 2]) {
                let _ = write!(quoted, "\\u{unit:04x}");
            }
        } else {
            quoted.push(c);
        }
    }
    quoted
}

/// The text as a block, line by line. `None` where a block can't hold it as it is.
fn literal(text: &str) -> Option<String> {
    if text.trim().is_empty() || text.chars().any(|c| c != '\n' && is_hostile(c)) {
        return None;
    }
    let body = text.trim_end_matches('\n');
    let keep = match text.len() - body.len() {
        0 => "-",
        1 => "",
        _ => "+",
    };
    // A first line that begins with a blank would be taken for the indentation.
    let indent = if text.starts_with([' ', '\n']) { "4" } else { "" };
    let mut yaml = format!("data:\n  mesh: |{indent}{keep}\n");
    for line in text[..text.len().min(body.len() + 1)].lines() {
        let _ = if line.is_empty() { writeln!(yaml) } else { writeln!(yaml, "    {line}") };
    }
    yaml.extend(std::iter::repeat_n('\n', (text.len() - body.len()).saturating_sub(1)));
    Some(yaml)
}

#[cfg(test)]
#[expect(clippy::unwrap_used, reason = "tests stop at the first surprise")]
mod tests {
    use std::sync::Arc;
    use std::time::Duration;

    use super::*;
    use crate::model::Scope;
    use crate::model::objects::MeshConfigKind;
    use proptest::prelude::*;

    fn source(text: &str) -> MeshConfigSource {
        MeshConfigSource {
            kind: MeshConfigKind::Own,
            meta: ObjectMeta { namespace: "istio-system".into(), name: "istio".into(), created: None },
            config: crate::decode::mesh_config::parse(text).unwrap_or_default(),
            text: Arc::from(text),
            resource_version: "77".into(),
            error: None,
            evidence: Default::default(),
        }
    }

    #[test]
    fn names_the_key_and_nothing_else() {
        let text = "# ours\nconnectTimeout: 1s  # since the migration\nrootNamespace: istio-system\n";
        let patch = mesh_patch(&source(text), TimeoutKey::ConnectTimeout, Duration::from_secs(10)).unwrap();
        assert_eq!(
            patch.command.line(&Scope::default(), ""),
            "kubectl patch configmap istio -n istio-system --type merge --patch-file /dev/stdin <<'EOF'\nmetadata:\n  \
             resourceVersion: \"77\"\ndata:\n  mesh: |\n    # ours\n    connectTimeout: 10s  # since the migration\n    \
             rootNamespace: istio-system\nEOF"
        );
        assert_eq!(
            patch.diff,
            "--- live/ConfigMap istio-system/istio, mesh\n+++ fixed/ConfigMap istio-system/istio, mesh\n@@ -1,3 +1,3 @@\n \
             # ours\n-connectTimeout: 1s  # since the migration\n+connectTimeout: 10s  # since the migration\n \
             rootNamespace: istio-system\n"
        );
        assert!(patch.manifest.contains("resourceVersion: \"77\"\ndata:\n  mesh: |\n    # ours"), "{}", patch.manifest);
    }

    #[test]
    fn carries_the_text_to_the_byte() {
        for text in
            ["a", "a\n", "a\n\n\n", "  a: b\nc", "\na", "a\r\nb\r\n", "a\tb\n", "a: |\n  x\n\n  y\n", "\u{7f}", "EOF\n"]
        {
            let read: Value = serde_saphyr::from_str(&data(text)).unwrap();
            assert_eq!(read["data"]["mesh"], text, "{}", data(text));
        }
    }

    proptest! {
        #[test]
        fn carries_any_text(text in "[ -~\n\t\r#:{}äÿ]{0,60}") {
            let read: Value = serde_saphyr::from_str(&data(&text)).unwrap();
            prop_assert_eq!(&read["data"]["mesh"], &text);
        }
    }
}
