//! Which field of a store's records is what: told by the names that shippers give, found in a sample.
//!
//! Fluent Bit and Fluentd (`kubernetes.pod_name`), Vector (`kubernetes.pod_namespace`), Filebeat (`kubernetes.pod.name`),
//! Promtail and Alloy (`pod`), OpenTelemetry (`k8s.pod.name`, as it is, below `resource.attributes`, with `_`, or behind
//! `Resource.`, as its Elasticsearch exporter had it before it had a mapping of its own).

use serde_json::{Map, Value};

use super::StoreError;
use super::record::{Record, Source};

/// Fields that the user names.
#[derive(Debug, Clone, Default)]
pub struct FieldsGiven {
    /// The text.
    pub text: Option<String>,
    /// The time.
    pub time: Option<String>,
    /// The service.
    pub service: Option<String>,
}

/// Which field is what; empty where there is none.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Fields {
    /// The line.
    pub text: String,
    /// When.
    pub time: String,
    /// The pod's namespace.
    pub namespace: String,
    /// The pod.
    pub pod: String,
    /// The container.
    pub container: String,
    /// stdout or stderr.
    pub stream: String,
    /// The service, where no pod is named, or the user says so.
    pub service: String,
    /// What stands before a pod's label, and how labels are written.
    pub labels: Option<Shipped>,
    /// The place in a file that a shipper read it from: the file and the offset.
    pub place: Option<(String, String)>,
    /// Whether records have more to them than the text: then all of each is read.
    pub structured: bool,
    /// Texts of such records, beyond what the shipper adds.
    pub texts: Vec<String>,
}

/// How a shipper writes pods' labels.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Shipped {
    /// Before the label's name.
    pub prefix: String,
    /// Whether `.`, `/` and `-` in it became `_`.
    pub underscores: bool,
}

const TEXTS: [&str; 15] = [
    "_msg",
    "_raw",
    "line",
    "log",
    "message",
    "body.stringValue",
    "body.text",
    "body",
    "event.original",
    "msg",
    "MESSAGE",
    "log.message",
    "textPayload",
    "content",
    "Body",
];
pub(super) const NAMESPACES: [&str; 17] = [
    "kubernetes.namespace_name",
    "kubernetes.namespace",
    "kubernetes.pod_namespace",
    "namespace",
    "namespace_name",
    "k8s.namespace.name",
    "resource.attributes.k8s.namespace.name",
    "resource.k8s.namespace.name",
    "resource_attributes.k8s.namespace.name",
    "attributes.k8s.namespace.name",
    "k8s_namespace_name",
    "kubernetes_namespace_name",
    "kubernetes_namespace",
    "labels.namespace",
    "kubernetes.namespace.name",
    "k8s_namespace",
    "Resource.k8s.namespace.name",
];
const PODS: [&str; 16] = [
    "kubernetes.pod_name",
    "kubernetes.pod.name",
    "pod",
    "pod_name",
    "k8s.pod.name",
    "resource.attributes.k8s.pod.name",
    "resource.k8s.pod.name",
    "resource_attributes.k8s.pod.name",
    "attributes.k8s.pod.name",
    "k8s_pod_name",
    "kubernetes_pod_name",
    "kubernetes.pod",
    "labels.pod",
    "podName",
    "k8s_pod",
    "Resource.k8s.pod.name",
];
const CONTAINERS: [&str; 14] = [
    "kubernetes.container_name",
    "kubernetes.container.name",
    "container",
    "container_name",
    "k8s.container.name",
    "resource.attributes.k8s.container.name",
    "resource.k8s.container.name",
    "resource_attributes.k8s.container.name",
    "attributes.k8s.container.name",
    "k8s_container_name",
    "kubernetes_container_name",
    "labels.container",
    "containerName",
    "Resource.k8s.container.name",
];
const STREAMS: [&str; 6] = [
    "stream",
    "log.iostream",
    "logtag_stream",
    "attributes.log.iostream",
    "kubernetes.stream",
    "Attributes.log.iostream",
];
const SERVICES: [&str; 21] = [
    "kubernetes.labels.app",
    "kubernetes.labels.app_kubernetes_io/name",
    "kubernetes.labels.app.kubernetes.io/name",
    "kubernetes.labels.app_kubernetes_io_name",
    "kubernetes.pod_labels.app",
    "app",
    "service.name",
    "resource.attributes.service.name",
    "resource.service.name",
    "Resource.service.name",
    "service_name",
    "app_kubernetes_io_name",
    "app_kubernetes_io_instance",
    "job",
    "service",
    "kubernetes.deployment.name",
    "source",
    "host.name",
    "hostname",
    "host",
    "sourcetype",
];
const TIMES: [&str; 9] =
    ["_time", "@timestamp", "timestamp", "time", "ts", "observedTimestamp", "date", "eventTime", "Timestamp"];
const LABELS: [(&str, bool); 9] = [
    ("kubernetes.labels.", false),
    ("kubernetes.pod_labels.", false),
    ("k8s.pod.labels.", false),
    ("resource.attributes.k8s.pod.label.", false),
    ("resource.attributes.k8s.pod.labels.", false),
    ("kubernetes_labels_", true),
    ("k8s_pod_labels_", true),
    ("label_", true),
    ("Resource.k8s.pod.labels.", false),
];
const PLACES: [(&str, &str); 3] =
    [("log.file.path", "log.offset"), ("file", "offset"), ("log.file.path", "attributes.log.file.position")];

/// Members that shippers and stores add: a record with others beside its text is one of a program that logs objects.
const SHIPPED: [&str; 55] = [
    "kubernetes",
    "k8s",
    "stream",
    "_p",
    "logtag",
    "tag",
    "tags",
    "agent",
    "ecs",
    "host",
    "hostname",
    "container",
    "container_name",
    "container_id",
    "containerName",
    "input",
    "file",
    "filename",
    "offset",
    "source_type",
    "docker",
    "cluster",
    "node",
    "node_name",
    "orchestrator",
    "data_stream",
    "cloud",
    "resource",
    "resource_attributes",
    "namespace",
    "pod",
    "pod_name",
    "app",
    "job",
    "instance",
    "detected_level",
    "service_name",
    "source",
    "sourcetype",
    "index",
    "linecount",
    "splunk_server",
    "observed_timestamp",
    "observedTimestamp",
    "event",
    "fields",
    "severity_number",
    "Resource",
    "Attributes",
    "Scope",
    "SeverityText",
    "SeverityNumber",
    "TraceId",
    "SpanId",
    "TraceFlags",
];

/// How many records of a sample must have a field.
fn is_common(records: &[Record], path: &str) -> bool {
    let having = records.iter().filter(|record| record.text(path).is_some_and(|text| !text.is_empty())).count();
    having > 0 && having * 2 >= records.len()
}

fn first(records: &[Record], names: &[&str]) -> String {
    let found = names.iter().find(|name| is_common(records, name));
    // A field that few records have is better than none.
    let rare = || names.iter().find(|name| records.iter().any(|record| record.text(name).is_some()));
    found.or_else(rare).map(|name| (*name).to_owned()).unwrap_or_default()
}

impl Fields {
    /// Finds the fields in a sample.
    ///
    /// # Errors
    /// Where a field that the user names is in no record.
    pub fn of(records: &[Record], given: &FieldsGiven) -> Result<Self, StoreError> {
        let named = |given: &Option<String>, names: &[&str]| match given {
            None => Ok(first(records, names)),
            Some(field) if records.is_empty() || records.iter().any(|record| record.get(field).is_some()) => {
                Ok(field.clone())
            }
            Some(field) => {
                let mut there: Vec<String> = records.iter().flat_map(Record::paths).collect();
                there.sort();
                there.dedup();
                there.truncate(30);
                Err(StoreError::NoField { field: field.clone(), there: there.join(", ") })
            }
        };
        let has = |path: &str| records.iter().any(|record| record.get(path).is_some());
        let text = named(&given.text, &TEXTS)?;
        let time = match &given.time {
            Some(time) => time.clone(),
            None => TIMES.iter().find(|name| has(name)).map(|name| (*name).to_owned()).unwrap_or_default(),
        };
        let labels = LABELS.iter().find(|(prefix, _)| {
            records.iter().any(|record| record.paths().iter().any(|path| path.starts_with(prefix)))
        });
        let mut fields = Self {
            namespace: first(records, &NAMESPACES),
            pod: first(records, &PODS),
            container: first(records, &CONTAINERS),
            stream: first(records, &STREAMS),
            service: String::new(),
            labels: labels
                .map(|(prefix, underscores)| Shipped { prefix: (*prefix).to_owned(), underscores: *underscores }),
            place: PLACES
                .iter()
                .find(|(file, offset)| has(file) && has(offset))
                .map(|(file, offset)| ((*file).to_owned(), (*offset).to_owned())),
            structured: false,
            texts: Vec::new(),
            text,
            time,
        };
        if given.service.is_some() || fields.pod.is_empty() {
            fields.service = named(&given.service, &SERVICES)?;
        }
        let mut texts: Vec<String> = records
            .iter()
            .flat_map(|record| record.paths().into_iter().filter(|path| !fields.is_shipped(path)))
            .collect();
        texts.sort();
        texts.dedup();
        fields.structured = texts.iter().any(|path| *path != fields.text);
        fields.texts = texts;
        Ok(fields)
    }

    fn is_shipped(&self, path: &str) -> bool {
        if [&self.time, &self.namespace, &self.pod, &self.container, &self.stream, &self.service]
            .iter()
            .any(|own| *own == path)
            || (path.starts_with('_') && path != self.text)
            || path.starts_with("log.file")
            || path.starts_with("log.offset")
            || path.starts_with("log.iostream")
            || path.starts_with("@version")
        {
            return true;
        }
        // structlog's message; an object of this name is Elastic's.
        if path == "event" {
            return false;
        }
        let top = path.split(['.', '_']).next().unwrap_or_default();
        let whole = path.split('.').next().unwrap_or_default();
        SHIPPED.contains(&whole)
            || matches!(top, "kubernetes" | "k8s")
            || path == "log.logger" && self.text != path
            || self.labels.as_ref().is_some_and(|labels| path.starts_with(&labels.prefix))
    }

    /// The members of a record that its program wrote.
    #[must_use]
    pub fn own(&self, record: &Record) -> Map<String, Value> {
        self.own_of(&record.fields, "")
    }

    fn own_of(&self, fields: &Map<String, Value>, before: &str) -> Map<String, Value> {
        let mut own = Map::new();
        for (name, value) in fields {
            let path = if before.is_empty() { name.clone() } else { format!("{before}.{name}") };
            match value {
                Value::Object(inner) if !inner.is_empty() => {
                    let inner = self.own_of(inner, &path);
                    if !inner.is_empty() {
                        own.insert(name.clone(), Value::Object(inner));
                    }
                }
                _ if self.is_shipped(&path) => {}
                _ => _ = own.insert(name.clone(), value.clone()),
            }
        }
        own
    }

    /// The fields that tell sources apart, for the store's aggregation.
    #[must_use]
    pub fn groups(&self) -> Vec<&str> {
        let all = [&self.namespace, &self.pod, &self.container, &self.service];
        all.into_iter().map(String::as_str).filter(|field| !field.is_empty()).collect()
    }

    /// The source of grouped values.
    #[must_use]
    pub fn source(&self, values: &[String]) -> Source {
        let mut values = values.iter();
        let mut next = |field: &str| {
            if field.is_empty() { String::new() } else { values.next().cloned().unwrap_or_default() }
        };
        Source {
            namespace: next(&self.namespace),
            pod: next(&self.pod),
            container: next(&self.container),
            service: next(&self.service),
        }
    }

    /// The values of a record in the fields that tell sources apart.
    #[must_use]
    pub fn values(&self, record: &Record) -> Vec<String> {
        self.groups().into_iter().map(|field| record.text(field).unwrap_or_default().to_owned()).collect()
    }

    /// The field of a pod's label.
    ///
    /// # Errors
    /// Where the records have no labels.
    pub fn label(&self, sample: &[Record], key: &str) -> Result<String, StoreError> {
        let underscored = key.replace(['.', '/', '-'], "_");
        // Fluent Bit and others replace the points only.
        let points = key.replace('.', "_");
        let has = |path: &String| sample.iter().any(|record| record.get(path).is_some());
        let prefix = self.labels.as_ref().map_or("", |labels| labels.prefix.as_str());
        let forms = [key, points.as_str(), underscored.as_str()].map(|name| format!("{prefix}{name}"));
        if let Some(found) = forms.iter().find(|path| has(path)) {
            return Ok(found.clone());
        }
        match &self.labels {
            Some(labels) if labels.underscores => Ok(forms[2].clone()),
            Some(_) => Ok(forms[0].clone()),
            None => Err(StoreError::Unselectable {
                what: format!("the label {key}"),
                why: "no shipper wrote labels of pods into them".to_owned(),
            }),
        }
    }

    /// That this field is known, for a condition.
    ///
    /// # Errors
    /// Where it is not.
    pub fn known<'f>(&self, field: &'f str, what: &str, of: &str) -> Result<&'f str, StoreError> {
        if field.is_empty() {
            let why = format!("no field of them names the {of}");
            return Err(StoreError::Unselectable { what: what.to_owned(), why });
        }
        Ok(field)
    }

    /// What was found, in a sentence.
    #[must_use]
    pub fn sentence(&self) -> String {
        let or = |field: &str, other: &str| if field.is_empty() { other.to_owned() } else { field.to_owned() };
        let text = if self.structured {
            format!("{} and the fields beside it", or(&self.text, "all fields"))
        } else {
            or(&self.text, "none")
        };
        let service = match (self.service.is_empty(), self.pod.is_empty()) {
            (false, _) => self.service.clone(),
            (true, false) => format!("{} (its workload)", self.pod),
            (true, true) => "none".to_owned(),
        };
        format!("text {text}, time {}, service {service}", or(&self.time, "the store's"))
    }
}
