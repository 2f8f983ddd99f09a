//! What `debug-log` did to each proxy, failed connections as they happen, and logger levels.

use std::collections::BTreeMap;
use std::fmt::Write;

use schemars::JsonSchema;
use serde::Serialize;

use super::diagnosis::DiagnosisReport;
use super::escape::escape;
use super::look::{Look, count};
use super::palette::Palette;
use super::table::{self, text};
use crate::diagnose::{CauseSeverity, Confidence, Event};
use crate::model::format_duration;

/// What was done to the levels of some proxies: the object that `-o json` writes.
#[derive(Debug, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct DebugLogReport {
    /// Always `meshaudit/v1`.
    pub api_version: &'static str,
    /// Always `DebugLog`.
    pub kind: &'static str,
    /// `session`, `on`, `off` or `show`.
    pub action: &'static str,
    /// Whether this is only what would be done.
    pub dry_run: bool,
    /// The command that puts the levels back, where they were changed or would be.
    pub restore_command: Option<String>,
    /// What was done to each proxy, in the order of their names.
    pub proxies: Vec<ProxyLevels>,
    /// What a session found.
    pub diagnosis: Option<DiagnosisReport>,
}

impl DebugLogReport {
    /// A report.
    #[must_use]
    pub fn new(
        action: &'static str,
        dry_run: bool,
        restore_command: Option<String>,
        proxies: Vec<ProxyLevels>,
    ) -> Self {
        let (api_version, kind) = ("meshaudit/v1", "DebugLog");
        Self { api_version, kind, action, dry_run, restore_command, proxies, diagnosis: None }
    }
}

/// What has become of a proxy's levels.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LevelState {
    /// They were set, and stay so.
    On,
    /// They are as they were before, which was read back.
    Restored,
    /// They already were as they should be.
    Unchanged,
    /// The proxy was replaced or restarted, and has the levels it starts with.
    Replaced,
    /// The pod is gone.
    Gone,
    /// Some are not as they should be.
    NotRestored,
    /// Nothing was changed, because something failed first.
    Failed,
    /// Nothing was changed, because this was only asked about.
    AsFound,
}

/// Where the levels came from that were put back.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, JsonSchema)]
#[serde(rename_all = "kebab-case")]
pub enum LevelBasis {
    /// What `debug-log` kept before it changed them.
    StateFile,
    /// What the proxy's arguments or its pod's annotations say.
    StartUpArguments,
    /// Istio's own default, since the pod says nothing.
    IstioDefault,
}

/// One proxy.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct ProxyLevels {
    /// `namespace/pod`.
    pub proxy: String,
    /// What has become of its levels.
    pub state: LevelState,
    /// Where the levels came from that were put back.
    pub basis: Option<LevelBasis>,
    /// How many loggers were compared.
    pub loggers: Option<usize>,
    /// The loggers that are spoken of.
    pub levels: Vec<LoggerLevel>,
    /// Loggers that were asked for and that this Envoy does not have.
    pub missing: Vec<String>,
    /// The command that mends it, where something is left to be mended.
    pub command: Option<String>,
    /// What there is to say besides.
    pub messages: Vec<String>,
    /// Lines of its log that were read.
    pub lines: Option<u64>,
}

/// One logger.
#[derive(Debug, Clone, Serialize, JsonSchema)]
#[serde(rename_all = "camelCase")]
pub struct LoggerLevel {
    /// Its name.
    pub logger: String,
    /// The level it has, or had before it was set.
    pub level: String,
    /// The level it was given, would be given or, where levels are only shown, was started with.
    pub target: String,
}

impl ProxyLevels {
    /// A proxy of which nothing is known yet.
    #[must_use]
    pub fn new(proxy: String, state: LevelState) -> Self {
        Self {
            proxy,
            state,
            basis: None,
            loggers: None,
            levels: Vec::new(),
            missing: Vec::new(),
            command: None,
            messages: Vec::new(),
            lines: None,
        }
    }

    /// A proxy whose levels were not touched, because of this.
    #[must_use]
    pub fn failed(proxy: String, message: String) -> Self {
        Self { messages: vec![message], ..Self::new(proxy, LevelState::Failed) }
    }
}

/// Loggers by the change they see, for one line.
fn changes(levels: &[LoggerLevel], arrow: &str) -> String {
    let mut groups: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
    for LoggerLevel { logger, level, target } in levels {
        groups.entry((level, target)).or_default().push(logger);
    }
    let group = |((level, target), loggers): ((&str, &str), Vec<&str>)| {
        let from = if level == target { level.to_owned() } else { format!("{level}{arrow}{target}") };
        // All loggers at once are seventy names that say no more than their number.
        if loggers.len() > 12 {
            return format!("{} loggers {from}", loggers.len());
        }
        format!("{} {from}", loggers.join(", "))
    };
    groups.into_iter().map(group).collect::<Vec<_>>().join("; ")
}

/// What has become of a proxy's levels, as a sentence or two.
#[must_use]
pub fn sentence(item: &ProxyLevels, dry_run: bool, palette: Palette) -> String {
    let basis = match item.basis {
        Some(LevelBasis::StateFile) => " (from the state file)",
        Some(LevelBasis::StartUpArguments) => " (from the proxy's start-up arguments)",
        Some(LevelBasis::IstioDefault) => " (Istio's default: the pod names no levels)",
        None => "",
    };
    let loggers = item.loggers.unwrap_or_default();
    let mut words = match item.state {
        LevelState::On => format!("{} {}", palette.warning("on:"), changes(&item.levels, " -> ")),
        LevelState::Restored => {
            format!("{} every level is as it was{basis}; {loggers} loggers read back", palette.good("restored:"))
        }
        LevelState::Unchanged => {
            format!("{} every level already was as it should be{basis}; {loggers} loggers", palette.good("unchanged:"))
        }
        LevelState::Replaced | LevelState::Gone => palette.info("nothing to restore:"),
        LevelState::NotRestored if item.levels.is_empty() => palette.error("NOT restored:"),
        LevelState::NotRestored => {
            format!("{} {}", palette.error("NOT restored:"), changes(&item.levels, ", which should be "))
        }
        LevelState::Failed => palette.error("unchanged, failed:"),
        LevelState::AsFound if dry_run && item.levels.is_empty() => format!("nothing would change{basis}"),
        LevelState::AsFound if dry_run => format!("would change {}{basis}", changes(&item.levels, " -> ")),
        LevelState::AsFound if item.levels.is_empty() => format!("as it was started; {loggers} loggers"),
        LevelState::AsFound => changes(&item.levels, ", started with "),
    };
    if !item.missing.is_empty() {
        let _ = write!(words, "; this Envoy has no {}", item.missing.join(", "));
    }
    for (index, message) in item.messages.iter().enumerate() {
        let glue = if words.ends_with(':') && index == 0 { " " } else { "; " };
        let _ = write!(words, "{glue}{}", escape(message));
    }
    let mut out = format!("{}: {words}", palette.strong(&escape(&item.proxy)));
    if let Some(command) = &item.command {
        let _ = write!(out, "\n  {}", palette.strong(&escape(command)));
    }
    out
}

/// Levels, by proxy and level.
#[must_use]
pub fn levels(items: &[ProxyLevels], look: Look) -> String {
    /// Loggers' names are not set wider than this.
    const WIDEST: usize = 100;
    let mut rows = Vec::new();
    for item in items.iter().filter(|item| !item.levels.is_empty()) {
        let mut groups: BTreeMap<(&str, &str), Vec<&str>> = BTreeMap::new();
        for LoggerLevel { logger, level, target } in &item.levels {
            groups.entry((level, target)).or_default().push(logger);
        }
        for ((level, target), loggers) in groups {
            let painted = match level {
                "debug" | "trace" => look.palette.warning(level),
                _ => escape(level).into_owned(),
            };
            rows.push((item.proxy.as_str(), painted, escape(target).into_owned(), loggers.join(", ")));
        }
    }
    if rows.is_empty() {
        return String::new();
    }
    // The three columns before the names: the longest proxy, LEVEL and STARTED WITH, and their gaps.
    let before = rows.iter().map(|row| table::width(row.0)).max().unwrap_or(0).max(5) + 2 + 10 + 14;
    let room = look.columns.map_or(usize::MAX, |columns| columns.saturating_sub(before));
    // Where the names have no room beside the proxy, the proxy gets a line of its own.
    let stacked = room < 30;
    let width = if stacked { look.columns.unwrap_or(WIDEST).saturating_sub(26) } else { room }.clamp(20, WIDEST);
    let mut last = "";
    let cells = rows.into_iter().map(|(proxy, level, target, loggers)| {
        let loggers = table::wrap(&escape(&loggers), width, 0);
        let first = std::mem::replace(&mut last, proxy) != proxy;
        let name = if first { look.palette.strong(&escape(proxy)) } else { String::new() };
        (first, name, vec![level, target, loggers])
    });
    let columns = [text("LEVEL"), text("STARTED WITH"), text("LOGGERS")];
    if !stacked {
        let cells = cells.map(|(_, name, mut rest)| {
            rest.insert(0, name);
            rest
        });
        let columns: Vec<_> = std::iter::once(text("PROXY")).chain(columns).collect();
        return table::render(&columns, cells.collect(), look.headings);
    }
    let mut out = String::new();
    let mut group = Vec::new();
    let mut name = String::new();
    let mut end = |name: &str, group: &mut Vec<Vec<String>>| {
        if !group.is_empty() {
            let _ = write!(out, "{name}\n{}", table::render(&columns, std::mem::take(group), look.headings));
        }
    };
    for (first, next, row) in cells {
        if first {
            end(&name, &mut group);
            name = next;
        }
        group.push(row);
    }
    end(&name, &mut group);
    out
}

/// A failed connection, as it happens. What it means is said the first time only.
#[must_use]
pub fn event(event: &Event, explained: bool, several: bool, look: Look) -> String {
    const WIDEST: usize = 100;
    let palette = look.palette;
    let cause = match event.cause.severity() {
        CauseSeverity::Error => palette.error(event.cause.as_str()),
        CauseSeverity::Warning => palette.warning(event.cause.as_str()),
        CauseSeverity::Info => palette.info(event.cause.as_str()),
    };
    let clock = event.time.map_or_else(|| "-".to_owned(), |time| time.strftime("%H:%M:%S%.3f").to_string());
    let shown = |value: Option<&String>| value.map(|value| escape(value).into_owned());
    let place = shown(event.cluster.as_ref()).or(shown(event.host.as_ref())).unwrap_or_else(|| "-".to_owned());
    let mut out = format!("{} {cause} {}\n", palette.faint(&clock), palette.strong(&place));
    let mut facts = Vec::new();
    facts.extend(shown(event.upstream.as_ref()));
    if let Some(waited) = event.waited.or(event.total) {
        let tries = if event.attempts > 1 { format!("{} x ", event.attempts) } else { String::new() };
        facts.push(format!("waited {tries}{:.2}s", waited.as_secs_f64()));
    }
    if let Some(timeout) = event.connect_timeout {
        let sign = if event.timeout_inferred { "~" } else { "" };
        facts.push(format!("connect timeout {sign}{}", format_duration(timeout)));
    }
    if !event.flags.is_empty() {
        facts.push(escape(&event.flags.join(",")).into_owned());
    }
    if event.confidence != Confidence::Certain {
        facts.push(event.confidence.as_str().to_owned());
    }
    if event.rescued {
        facts.push("a later try succeeded".to_owned());
    }
    if several && !event.source.is_empty() {
        facts.push(escape(&event.source).into_owned());
    }
    if !facts.is_empty() {
        let _ = writeln!(out, "  {}", facts.join(", "));
    }
    if !explained {
        let width = look.columns.unwrap_or(WIDEST).min(WIDEST);
        let _ = writeln!(out, "  {}", table::wrap(&escape(&event.explanation), width, 2));
    }
    if look.verbose {
        for evidence in &event.evidence {
            let _ = writeln!(out, "  {} {}", palette.faint("|"), escape(&evidence.text.replace('\t', "  ")));
        }
    }
    out
}

/// How many of which state, for more proxies than one reads line by line.
#[must_use]
pub fn tally(items: &[ProxyLevels]) -> String {
    let of = |state: LevelState| items.iter().filter(|item| item.state == state).count();
    let parts = [
        (LevelState::On, "on"),
        (LevelState::Restored, "restored"),
        (LevelState::Unchanged, "unchanged"),
        (LevelState::Replaced, "replaced meanwhile"),
        (LevelState::Gone, "gone"),
        (LevelState::NotRestored, "NOT restored"),
        (LevelState::Failed, "failed"),
    ];
    let parts = parts.into_iter().map(|(state, word)| (of(state), word)).filter(|(number, _)| *number > 0);
    let parts: Vec<String> = parts.map(|(number, word)| format!("{number} {word}")).collect();
    format!("{}: {}", count(items.len(), "proxy", "proxies"), parts.join(", "))
}
