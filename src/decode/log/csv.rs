//! Logs as tables: what Kibana, Grafana, Athena and the consoles of clouds export.

/// Names of columns that hold the line, the best first (without case, and without what is around the last part).
const TEXTS: [&str; 12] = [
    "message",
    "@message",
    "log",
    "line",
    "textpayload",
    "_raw",
    "msg",
    "logmessage",
    "logentry",
    "body",
    "content",
    "event",
];
/// Columns that hold an error or a trace beside the line.
const ERRORS: [&str; 10] = [
    "exception",
    "stack_trace",
    "stacktrace",
    "error",
    "error.message",
    "error.stack_trace",
    "err",
    "outermessage",
    "innermostmessage",
    "exception.message",
];
const TIMES: [&str; 10] = [
    "@timestamp",
    "timestamp",
    "time",
    "_time",
    "date",
    "tsns",
    "ts",
    "timegenerated",
    "timestamp [utc]",
    "receivetimestamp",
];
const SERVICES: [&str; 8] =
    ["service", "service.name", "servicename", "app", "container_name", "containername", "container", "cloud_rolename"];
const SOURCES: [&str; 9] = [
    "pod_name",
    "pod",
    "podname",
    "kubernetes.pod_name",
    "kubernetes.pod.name",
    "k8s.pod.name",
    "logstream",
    "@logstream",
    "host",
];
/// Those of them that are pods.
const PODS: [&str; 6] = ["pod_name", "pod", "podname", "kubernetes.pod_name", "kubernetes.pod.name", "k8s.pod.name"];

/// The longest row.
const MAX_ROW: usize = 1 << 20;

/// A table with a heading.
#[derive(Debug)]
pub(super) struct Table {
    delimiter: u8,
    /// Columns that hold lines, the best first: exports have one for each kind of payload, and fill one of them.
    texts: Vec<usize>,
    errors: Vec<usize>,
    time: Option<usize>,
    /// Whether the time's column says that it is UTC.
    utc: bool,
    source: Option<usize>,
    service: Option<usize>,
    columns: usize,
    /// A row whose quotes are still open.
    row: String,
}

/// What a row says.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Row {
    pub(super) text: String,
    pub(super) time: Option<String>,
    pub(super) source: String,
    pub(super) service: Option<String>,
}

/// The longest heading of a table.
const MAX_HEADING: usize = 64 << 10;

impl Table {
    /// A table whose heading is this line: at least two columns, one of which holds lines, and nothing but names.
    pub(super) fn from_header(line: &str) -> Option<Self> {
        let line = line.trim();
        // A document on one line has millions of what would be names.
        if line.len() > MAX_HEADING {
            return None;
        }
        let delimiter =
            [b',', b'\t', b';'].into_iter().max_by_key(|one| line.bytes().filter(|byte| byte == one).count())?;
        let names = fields(line, delimiter)?;
        let is_name = |name: &String| {
            (1..=80).contains(&name.len())
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"@_.-/[] ()".contains(&byte))
                && name.bytes().next().is_some_and(|byte| byte.is_ascii_alphabetic() || matches!(byte, b'@' | b'_'))
        };
        if names.len() < 2 || !names.iter().all(is_name) {
            return None;
        }
        let utc = names.iter().any(|name| name.to_ascii_lowercase().ends_with("[utc]"));
        let lower: Vec<String> =
            names.iter().map(|name| name.to_ascii_lowercase().trim_end_matches(" [utc]").to_owned()).collect();
        let find = |wanted: &[&str]| {
            wanted.iter().find_map(|wanted| {
                let last = |name: &String| name.rsplit('.').next() == Some(wanted);
                lower.iter().position(|name| name == wanted).or_else(|| lower.iter().position(last))
            })
        };
        let mut texts: Vec<usize> = TEXTS.iter().filter_map(|text| find(&[*text])).collect();
        let errors: Vec<usize> =
            ERRORS.iter().filter_map(|error| lower.iter().position(|name| name == error)).collect();
        if texts.is_empty() && find(&TIMES).is_some() {
            texts.clone_from(&errors);
        }
        if texts.is_empty() {
            return None;
        }
        Some(Self {
            delimiter,
            texts,
            errors,
            time: find(&TIMES),
            utc,
            source: find(&SOURCES),
            // A pod tells its workload, which is more than its container.
            service: find(&SERVICES[..4]).or_else(|| match find(&PODS) {
                Some(_) => None,
                None => find(&SERVICES[4..]),
            }),
            columns: names.len(),
            row: String::new(),
        })
    }

    /// Takes a line; gives the row that it completes.
    pub(super) fn line(&mut self, line: &str) -> Option<Row> {
        if !self.row.is_empty() {
            self.row.push('\n');
        }
        if self.row.len() + line.len() < MAX_ROW {
            self.row.push_str(line);
        }
        let open = self.row.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
        if open && self.row.len() + 1 < MAX_ROW {
            return None;
        }
        self.finish()
    }

    /// Gives the row that is held.
    pub(super) fn finish(&mut self) -> Option<Row> {
        let row = std::mem::take(&mut self.row);
        let mut fields = fields(&row, self.delimiter)?;
        let at = |fields: &[String], at: Option<usize>| at.and_then(|at| fields.get(at)).cloned();
        let (time, source) = (at(&fields, self.time), at(&fields, self.source).unwrap_or_default());
        // A line whose quotes were not doubled has more fields than there are columns.
        let extra = fields.len().saturating_sub(self.columns);
        if extra > 0 && self.texts[0] + 1 == self.columns {
            let joined = fields.split_off(self.texts[0]).join(&char::from(self.delimiter).to_string());
            fields.push(joined);
        }
        let mut said = self.texts.iter().chain(&self.errors).filter_map(|text| fields.get(*text));
        let mut text = said.find(|text| !text.is_empty())?.clone();
        for error in self.errors.iter().filter_map(|error| fields.get(*error)) {
            if !matches!(error.as_str(), "" | "-" | "null") && !text.contains(error.as_str()) {
                text.push('\n');
                text.push_str(error);
            }
        }
        let service = at(&fields, self.service).filter(|service| !service.is_empty());
        let time = time.filter(|time| !time.is_empty());
        let time = time.map(|time| if self.utc && !time.ends_with('Z') { format!("{time} UTC") } else { time });
        Some(Row { text, time, source, service })
    }
}

/// The fields of a row, their quotes undone.
pub(super) fn fields(row: &str, delimiter: u8) -> Option<Vec<String>> {
    let mut reader =
        csv::ReaderBuilder::new().has_headers(false).flexible(true).delimiter(delimiter).from_reader(row.as_bytes());
    let record = reader.records().next()?.ok()?;
    Some(record.iter().map(str::to_owned).collect())
}

#[cfg(test)]
mod tests {
    #![expect(clippy::unwrap_used, reason = "a test may fail by panicking")]
    use super::*;

    #[test]
    fn a_row_may_have_several_lines() {
        let mut table = Table::from_header("\"@timestamp\",\"kubernetes.pod_name\",\"message\"").unwrap();
        assert_eq!(table.line("\"Nov 2, 2026 @ 10:00:00.104\",\"web-1\",\"one \"\"two\"\""), None);
        let row = table.line("three\"").unwrap();
        assert_eq!((&*row.text, &*row.source), ("one \"two\"\nthree", "web-1"));
        assert!(row.time.is_some());
    }

    #[test]
    fn a_log_is_no_table() {
        for line in [
            "[2026-11-02T10:00:00.857Z] \"GET /get HTTP/1.1\" 200 - via_upstream",
            "2020-07-08 20:00:00,001 INFO message, log",
            "message",
            "hello, message",
            "{\"time\":1,\"message\":2}",
        ] {
            assert!(Table::from_header(line).is_none(), "{line}");
        }
    }
}
