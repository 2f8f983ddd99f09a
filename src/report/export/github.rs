//! Annotations for GitHub Actions: workflow commands on a step's output (docs.github.com, "Workflow commands").

use super::results::{Level, Results};

/// GitHub shows ten of each level of a step.
const EACH: usize = 10;

/// The workflow commands, worst first; what is beyond GitHub's limit is counted in the last.
#[must_use]
pub fn annotations(results: &Results) -> String {
    let mut out = String::new();
    for level in Level::ALL {
        let command = match level {
            Level::Error => "error",
            Level::Warning => "warning",
            Level::Info => "notice",
        };
        let of: Vec<_> = results.findings.iter().filter(|finding| finding.level == level).collect();
        for (index, finding) in of.iter().enumerate() {
            let rest = of.len() - index;
            if index + 1 == EACH && rest > 1 {
                out += &line(command, "kubectl meshaudit", &format!("and {rest} more of severity {}", level.as_str()));
                break;
            }
            let about = if finding.subject.is_empty() { String::new() } else { format!("{}: ", finding.subject) };
            out +=
                &line(command, &format!("{} {}", finding.code, finding.name), &format!("{about}{}", finding.message));
        }
    }
    let failed = results.coverage.failed.len();
    if failed > 0 {
        out += &line("error", "kubectl meshaudit", &results.covered());
    }
    out
}

fn line(command: &str, title: &str, message: &str) -> String {
    format!("::{command} title={}::{}\n", property(title), data(message))
}

fn data(text: &str) -> String {
    super::super::escape::escape(text).replace('%', "%25").replace('\r', "%0D").replace('\n', "%0A")
}

fn property(text: &str) -> String {
    data(text).replace(':', "%3A").replace(',', "%2C")
}
