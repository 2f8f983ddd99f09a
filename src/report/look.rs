//! How output for people looks, and the words and numbers that all of it shares.

use std::time::Duration;

use super::Palette;
use crate::model::{EnvoyCluster, FailureCause, ProxyId, format_duration};

/// How output for people is to look.
#[derive(Debug, Clone, Copy)]
pub struct Look {
    /// Colours, or none.
    pub palette: Palette,
    /// The terminal's columns; `None` where there is no terminal, and nothing is fitted.
    pub columns: Option<usize>,
    /// Whether headings are printed.
    pub headings: bool,
    /// Whether everything is named that is otherwise only counted.
    pub verbose: bool,
}

impl Look {
    /// The columns there are to fill; without a terminal as many as it takes.
    #[must_use]
    pub fn width(&self) -> usize {
        self.columns.unwrap_or(usize::MAX)
    }
}

/// `1 proxy`, `2 proxies`.
#[must_use]
pub fn count(number: usize, one: &str, many: &str) -> String {
    format!("{} {}", grouped(number as u64), if number == 1 { one } else { many })
}

/// A number with a comma between thousands.
#[must_use]
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// The first of some names, and how many more there are: `a, b, c, 5 more`.
#[must_use]
pub fn some(names: impl IntoIterator<Item = String>, named: usize) -> String {
    let mut names = names.into_iter();
    let mut shown: Vec<String> = names.by_ref().take(named).collect();
    let rest = names.count();
    if rest > 0 {
        shown.push(format!("{} more", grouped(rest as u64)));
    }
    shown.join(", ")
}

/// Names of proxies, escaped: the first few, and how many more.
#[must_use]
pub fn proxies<'a>(ids: impl IntoIterator<Item = &'a ProxyId>, named: usize) -> String {
    some(ids.into_iter().map(|id| super::escape::escape(&id.to_string()).into_owned()), named)
}

/// `1s`, or `5s (absent)` where Envoy's default holds.
#[must_use]
pub fn show_timeout(timeout: Option<Duration>) -> String {
    timeout
        .map_or_else(|| format!("{} (absent)", format_duration(EnvoyCluster::DEFAULT_CONNECT_TIMEOUT)), format_duration)
}

/// What to do about a proxy that could not be read.
#[must_use]
pub fn failure_hint(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::Forbidden => "needs get and create on pods/portforward in the pod's namespace",
        FailureCause::Timeout => "no answer in time; try again, or with a longer --request-timeout",
        FailureCause::Unreachable => "is the proxy running, and is this its admin port? (--admin-port)",
        FailureCause::NotEnvoy => "what was read is not Envoy's; is this the admin port, is this a dump?",
        FailureCause::Truncated => "the answer or file is not whole; try again, or save it again",
        FailureCause::TooLarge => "more than the size limit",
        FailureCause::Gone => "the pod went away meanwhile; try again",
    }
}

/// What a reader can do about a file that could not be read.
#[must_use]
pub fn file_hint(cause: FailureCause) -> &'static str {
    match cause {
        FailureCause::NotEnvoy => {
            "--from reads config dumps, what istioctl and egctl print of them (JSON or YAML), bug reports and snapshots"
        }
        FailureCause::Truncated => "it is not whole; save it again",
        FailureCause::TooLarge => "more than the size limit",
        FailureCause::Forbidden | FailureCause::Timeout | FailureCause::Unreachable | FailureCause::Gone => {
            "is the path right, and may it be read?"
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn counts_and_names() {
        assert_eq!(count(1, "proxy", "proxies"), "1 proxy");
        assert_eq!(count(12_345, "proxy", "proxies"), "12,345 proxies");
        assert_eq!(some(["a", "b", "c"].map(str::to_owned), 2), "a, b, 1 more");
        assert_eq!(some(["a".to_owned()], 2), "a");
    }
}
