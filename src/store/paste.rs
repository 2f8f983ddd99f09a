//! Queries to paste into a store, for those who may not reach its API. What they give is exported, and read with `--from`.

use jiff::Timestamp;
use serde_json::Value;

use super::ask::{Words, quote as quote_regex};
use super::tokens::{Part, parts};
use super::{splunk, victorialogs};

/// The fields that Google Cloud Logging is asked for. Objects are searched as a whole by `SEARCH` only, which knows no
/// expressions.
const GOOGLE_FIELDS: [&str; 7] = [
    "textPayload",
    "jsonPayload.message",
    "jsonPayload.msg",
    "jsonPayload.log",
    "jsonPayload.error",
    "jsonPayload.exception",
    "jsonPayload.stack_trace",
];
/// The most letters of a query there (cloud.google.com/logging/quotas).
const GOOGLE_LONGEST: usize = 20_000;

/// Where a query is pasted.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Pasted {
    /// Splunk's SPL.
    Splunk,
    /// Kibana's and OpenSearch Dashboards' KQL.
    Kql,
    /// Elasticsearch's ES|QL.
    Esql,
    /// Grafana's LogQL.
    Loki,
    /// LogsQL.
    VictoriaLogs,
    /// CloudWatch Logs Insights.
    CloudWatch,
    /// Google Cloud Logging.
    Google,
    /// Azure Monitor's KQL, on `ContainerLogV2`.
    Azure,
    /// Datadog's log search.
    Datadog,
}

/// What a query is to select.
#[derive(Debug, Clone, Default)]
pub struct Selection {
    /// The words of the classes.
    pub words: Words,
    /// From this time on.
    pub since: Option<Timestamp>,
    /// Until before this one.
    pub until: Option<Timestamp>,
    /// The namespace.
    pub namespace: Option<String>,
    /// Pods, by their whole names.
    pub pods: Vec<String>,
    /// Workloads.
    pub workloads: Vec<String>,
    /// Containers; of none, all but the proxy.
    pub containers: Vec<String>,
    /// The store's own words, as given.
    pub query: Option<String>,
}

impl Selection {
    /// Names of pods, with `*` where more letters follow.
    fn pod_patterns(&self) -> Vec<String> {
        let workloads = self.workloads.iter().map(|name| format!("{name}-*"));
        self.pods.iter().cloned().chain(workloads).collect()
    }

    fn pod_regex(&self) -> Option<String> {
        let workloads = self.workloads.iter().map(|name| format!("{}-.*", quote_regex(name)));
        let all: Vec<String> = self.pods.iter().map(|name| quote_regex(name)).chain(workloads).collect();
        (!all.is_empty()).then(|| format!("^({})$", all.join("|")))
    }

    /// The words as one expression without inline flags within it, for stores whose engines have none there.
    fn regex(&self) -> String {
        let all = self.words.any_case.iter().chain(&self.words.exact);
        let mut parts: Vec<String> = all.map(|word| quote_regex(word)).collect();
        parts.push(format!("\\b({})\\b", self.words.flags.join("|")));
        parts.extend(self.words.patterns.iter().cloned());
        format!("(?i)({})", parts.join("|"))
    }

    /// The query, and how its answer is exported.
    #[must_use]
    pub fn query(&self, store: Pasted) -> (String, &'static str) {
        match store {
            Pasted::Splunk => (self.spl(), "Export as JSON, raw events or CSV (the button below the search)."),
            Pasted::Kql => (self.kql(), "Paste it into Discover, choose the time there; Share, Export, CSV."),
            Pasted::Esql => (
                self.esql(),
                "Paste it into Discover's ES|QL mode; Share, Export, CSV; or POST it to /_query?format=csv.",
            ),
            Pasted::Loki => (
                self.logql(),
                "Paste it into Explore, choose the time there; Download, txt or json; or give it to logcli query -o jsonl.",
            ),
            Pasted::VictoriaLogs => (
                self.logsql(),
                "Paste it into the web interface and download it as JSON; or POST it to /select/logsql/query.",
            ),
            Pasted::CloudWatch => (self.insights(), "Choose the log groups and the time; Export results, JSON or CSV."),
            Pasted::Google => (
                self.google(),
                "Paste it into the Logs Explorer, Actions, Download, JSON or CSV; or give it to gcloud logging read --format=json.",
            ),
            Pasted::Azure => (self.azure(), "Run it in Log Analytics; Export, CSV (all columns)."),
            Pasted::Datadog => (self.datadog(), "Paste it into the Log Explorer, choose the time there; Export, CSV."),
        }
    }

    fn given(&self) -> Option<&str> {
        self.query.as_deref().map(str::trim).filter(|query| !query.is_empty())
    }

    fn spl(&self) -> String {
        let mut parts = vec![self.given().map_or_else(|| "index=*".to_owned(), |given| format!("({given})"))];
        parts.extend(self.since.map(|at| format!("earliest={}", at.as_second())));
        parts.extend(self.until.map(|at| format!("latest={}", at.as_second())));
        let any = |names: [&str; 2], values: &[String]| {
            let each = names.iter().flat_map(|name| values.iter().map(move |value| format!("{name}=\"{value}\"")));
            format!("({})", each.collect::<Vec<_>>().join(" OR "))
        };
        parts.extend(self.namespace.clone().map(|name| any(["k8s.namespace.name", "namespace"], &[name])));
        let pods = self.pod_patterns();
        if !pods.is_empty() {
            parts.push(any(["k8s.pod.name", "pod"], &pods));
        }
        if self.containers.is_empty() {
            parts.push("NOT (k8s.container.name=\"istio-proxy\" OR container_name=\"istio-proxy\")".to_owned());
        } else {
            parts.push(any(["k8s.container.name", "container_name"], &self.containers));
        }
        let words = splunk::any_of(&self.words);
        format!(
            "{} {words}\n| sort 0 _time\n| table _time _raw k8s.namespace.name k8s.pod.name k8s.container.name namespace pod container_name",
            parts.join(" ")
        )
    }

    /// Words in a language of tokens with `*`.
    fn token_words(&self, and: &str, or: &str) -> String {
        let mut each: Vec<String> = Vec::new();
        for word in self.words.any_case.iter().chain(&self.words.exact) {
            let of: Vec<String> = parts(word).iter().map(Part::starred).collect();
            let text = if of.len() == 1 { of[0].clone() } else { format!("({})", of.join(and)) };
            if !of.is_empty() && !each.contains(&text) {
                each.push(text);
            }
        }
        each.extend(self.words.flags.iter().map(|flag| flag.to_lowercase()));
        format!("({})", each.join(or))
    }

    fn kql(&self) -> String {
        let any = |names: &[&str], values: &[String]| {
            let values = values.iter().map(|value| {
                if value.ends_with('*') { value.clone() } else { Value::from(value.as_str()).to_string() }
            });
            let values = values.collect::<Vec<_>>().join(" or ");
            let each = names.iter().map(|name| format!("{name}: ({values})"));
            format!("({})", each.collect::<Vec<_>>().join(" or "))
        };
        let mut all: Vec<String> = self.given().map(|given| format!("({given})")).into_iter().collect();
        let namespaces = ["kubernetes.namespace_name", "kubernetes.namespace", "k8s.namespace.name"];
        let pods = ["kubernetes.pod_name", "kubernetes.pod.name", "k8s.pod.name"];
        let containers = ["kubernetes.container_name", "kubernetes.container.name", "k8s.container.name"];
        all.extend(self.namespace.clone().map(|name| any(&namespaces, &[name])));
        let names = self.pod_patterns();
        if !names.is_empty() {
            all.push(any(&pods, &names));
        }
        if self.containers.is_empty() {
            all.push(format!("not {}", any(&containers, &["istio-proxy".to_owned()])));
        } else {
            all.push(any(&containers, &self.containers));
        }
        all.extend(self.since.map(|at| format!("@timestamp >= \"{at}\"")));
        all.extend(self.until.map(|at| format!("@timestamp < \"{at}\"")));
        all.push(self.token_words(" and ", " or "));
        all.join(" and ")
    }

    fn esql(&self) -> String {
        let kql = Self { query: None, ..self.clone() }.kql();
        let index = self.given().unwrap_or("logs-*");
        format!("FROM {index}\n| WHERE KQL(\"\"\"{kql}\"\"\")\n| SORT @timestamp ASC\n| LIMIT 10000")
    }

    fn logql(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let given = self.given().unwrap_or_default();
        let mut inside: Vec<String> = Vec::new();
        inside.extend(self.namespace.as_ref().map(|name| format!("namespace={}", quoted(name))));
        inside.extend(self.pod_regex().map(|pods| format!("pod=~{}", quoted(pods.trim_matches(['^', '$'])))));
        match self.containers.as_slice() {
            [] => inside.push("container!=\"istio-proxy\"".to_owned()),
            some => inside.push(format!(
                "container=~{}",
                quoted(&some.iter().map(|name| quote_regex(name)).collect::<Vec<_>>().join("|"))
            )),
        }
        if self.namespace.is_none() {
            inside.push("namespace=~\".+\"".to_owned());
        }
        let selector = match given.strip_prefix('{') {
            Some(rest) => format!("{{{}, {rest}", inside.join(", ")),
            None => format!("{{{}}} {given}", inside.join(", ")),
        };
        format!("{} |~ {}", selector.trim_end(), quoted(&self.words.regex()))
    }

    fn logsql(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let mut all: Vec<String> = Vec::new();
        if self.since.is_some() || self.until.is_some() {
            let from = self.since.unwrap_or(Timestamp::UNIX_EPOCH);
            let until = self.until.map_or_else(|| "2100-01-01T00:00:00Z".to_owned(), |until| until.to_string());
            all.push(format!("_time:[{from}, {until})"));
        }
        all.extend(self.given().map(|given| format!("({given})")));
        let any = |names: [&str; 3], value: &str| {
            format!("({})", names.map(|name| format!("{}:{value}", quoted(name))).join(" or "))
        };
        let namespaces = ["kubernetes.namespace_name", "kubernetes.pod_namespace", "k8s.namespace.name"];
        let pods = ["kubernetes.pod_name", "kubernetes.pod.name", "k8s.pod.name"];
        let containers = ["kubernetes.container_name", "kubernetes.container.name", "k8s.container.name"];
        all.extend(self.namespace.as_ref().map(|name| any(namespaces, &format!("={}", quoted(name)))));
        all.extend(self.pod_regex().map(|names| any(pods, &format!("~{}", quoted(&names)))));
        if self.containers.is_empty() {
            all.push(format!("!{}", any(containers, "=\"istio-proxy\"")));
        } else {
            let names: Vec<String> = self.containers.iter().map(|name| quoted(name)).collect();
            all.push(any(containers, &format!("in({})", names.join(","))));
        }
        let filter = if all.is_empty() { "*".to_owned() } else { all.join(" ") };
        format!(
            "{filter}{} | delete {} | sort by (_time)",
            victorialogs::search(&self.words, None),
            victorialogs::LOWER
        )
    }

    fn insights(&self) -> String {
        let mut lines = vec!["fields @timestamp, @message, @logStream, kubernetes.namespace_name, kubernetes.pod_name, kubernetes.container_name".to_owned()];
        lines.extend(self.given().map(|given| format!("filter {given}")));
        lines.extend(self.namespace.as_ref().map(|name| format!("filter kubernetes.namespace_name = '{name}'")));
        lines.extend(self.pod_regex().map(|pods| format!("filter kubernetes.pod_name like /{pods}/")));
        if self.containers.is_empty() {
            lines.push(
                "filter not ispresent(kubernetes.container_name) or kubernetes.container_name != 'istio-proxy'"
                    .to_owned(),
            );
        } else {
            let names: Vec<String> = self.containers.iter().map(|name| format!("'{name}'")).collect();
            lines.push(format!("filter kubernetes.container_name in [{}]", names.join(", ")));
        }
        lines.push(format!("filter @message like /{}/", self.regex().replace('/', "\\/")));
        lines.extend(self.since.map(|at| format!("filter @timestamp >= {}", at.as_millisecond())));
        lines.extend(self.until.map(|at| format!("filter @timestamp < {}", at.as_millisecond())));
        lines.push("sort @timestamp asc".to_owned());
        lines.push("limit 10000".to_owned());
        lines.join("\n| ")
    }

    fn google(&self) -> String {
        let quoted = |text: &str| Value::from(text).to_string();
        let mut lines = vec!["resource.type=\"k8s_container\"".to_owned()];
        lines.extend(self.given().map(|given| format!("({given})")));
        lines.extend(self.namespace.as_ref().map(|name| format!("resource.labels.namespace_name={}", quoted(name))));
        lines.extend(self.pod_regex().map(|pods| format!("resource.labels.pod_name=~{}", quoted(&pods))));
        if self.containers.is_empty() {
            lines.push("resource.labels.container_name!=\"istio-proxy\"".to_owned());
        } else {
            let names: Vec<String> = self.containers.iter().map(|name| quoted(name)).collect();
            lines.push(format!("resource.labels.container_name=({})", names.join(" OR ")));
        }
        lines.extend(self.since.map(|at| format!("timestamp>=\"{at}\"")));
        lines.extend(self.until.map(|at| format!("timestamp<\"{at}\"")));
        let words = quoted(&self.words.regex());
        let begun = lines.join("\n");
        let mut fields: Vec<&str> = GOOGLE_FIELDS.to_vec();
        loop {
            let any: Vec<String> = fields.iter().map(|field| format!("{field}=~{words}")).collect();
            let mut query = format!("{begun}\n({})", any.join(" OR "));
            let left_out = &GOOGLE_FIELDS[fields.len()..];
            if !left_out.is_empty() {
                query = format!(
                    "{query}\n-- {} would make the query longer than {GOOGLE_LONGEST} letters: ask once more with them in place of the others",
                    left_out.join(", ")
                );
            }
            if query.chars().count() <= GOOGLE_LONGEST || fields.len() == 1 {
                return query;
            }
            fields.pop();
        }
    }

    fn azure(&self) -> String {
        let mut lines = vec!["ContainerLogV2".to_owned()];
        lines.extend(self.given().map(|given| format!("where {given}")));
        lines.extend(self.since.map(|at| format!("where TimeGenerated >= datetime({at})")));
        lines.extend(self.until.map(|at| format!("where TimeGenerated < datetime({at})")));
        lines.extend(self.namespace.as_ref().map(|name| format!("where PodNamespace == \"{name}\"")));
        lines.extend(self.pod_regex().map(|pods| format!("where PodName matches regex @\"{pods}\"")));
        if self.containers.is_empty() {
            lines.push("where ContainerName != \"istio-proxy\"".to_owned());
        } else {
            let names: Vec<String> = self.containers.iter().map(|name| format!("\"{name}\"")).collect();
            lines.push(format!("where ContainerName in ({})", names.join(", ")));
        }
        // A verbatim string doubles its quotes.
        lines
            .push(format!("where tostring(LogMessage) matches regex @\"{}\"", self.words.regex().replace('"', "\"\"")));
        lines.push("project TimeGenerated, PodNamespace, PodName, ContainerName, LogSource, LogMessage".to_owned());
        lines.push("order by TimeGenerated asc".to_owned());
        lines.join("\n| ")
    }

    fn datadog(&self) -> String {
        let mut all: Vec<String> = self.given().map(|given| format!("({given})")).into_iter().collect();
        let any = |name: &str, values: &[String]| {
            if values.len() == 1 {
                format!("{name}:{}", values[0])
            } else {
                format!("{name}:({})", values.join(" OR "))
            }
        };
        all.extend(self.namespace.clone().map(|name| any("kube_namespace", &[name])));
        let pods = self.pod_patterns();
        if !pods.is_empty() {
            all.push(any("pod_name", &pods));
        }
        all.push(if self.containers.is_empty() {
            "-kube_container_name:istio-proxy".to_owned()
        } else {
            any("kube_container_name", &self.containers)
        });
        // In all attributes, not in the message alone.
        let words = self.token_words(" AND ", " OR ");
        all.push(format!("*:{words}"));
        all.join(" ")
    }
}
