//! What `debug-log` did to each proxy, failed connections as they happen, and logger levels.

mod event;
mod levels;

use std::collections::BTreeMap;
use std::fmt::Write;

use jiff::Timestamp;

pub use event::event;
pub use levels::levels;

use super::escape::escape;
use super::look::count;
use super::palette::Palette;
use super::table::{command, wrap};
pub use super::v1::{DebugLogReport, LevelBasis, LevelState, LoggerLevel, ProxyLevels};

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

/// A time as people read it, in UTC.
#[must_use]
pub fn moment(time: Timestamp) -> String {
    time.strftime("%Y-%m-%d %H:%M:%S UTC").to_string()
}

/// Where the levels come from, in brackets and with a blank in front.
fn basis(item: &ProxyLevels) -> &'static str {
    match item.basis {
        Some(LevelBasis::StateFile) => " (from the state file)",
        Some(LevelBasis::StartUpArguments) => " (from the proxy's start-up arguments)",
        Some(LevelBasis::IstioDefault) => " (Istio's default: neither the proxy nor its pod names levels)",
        None => "",
    }
}

/// Only what was read before it was changed is called as it was.
fn restored(item: &ProxyLevels, loggers: usize) -> String {
    match item.basis {
        Some(LevelBasis::StartUpArguments) => {
            format!("{}{}; what was there before is not known", changes(&item.levels, " -> "), basis(item))
        }
        Some(LevelBasis::IstioDefault) => {
            format!("{}, a guess{}; what was there before is not known", changes(&item.levels, " -> "), basis(item))
        }
        _ if item.assumed.is_empty() => format!("every level is as it was{}; {loggers} loggers read back", basis(item)),
        _ => format!("{}; {loggers} loggers read back", assumed(item)),
    }
}

fn unchanged(item: &ProxyLevels, loggers: usize) -> String {
    match item.basis {
        Some(LevelBasis::StateFile) if item.assumed.is_empty() => {
            format!("every level already was as it should be{}; {loggers} loggers", basis(item))
        }
        Some(LevelBasis::StateFile) => format!("{}; {loggers} loggers", assumed(item)),
        Some(_) => format!("no logger is at debug or trace without having been started so; {loggers} loggers"),
        None => String::new(),
    }
}

/// Levels that are back, but for loggers of which nobody knows where they were before.
fn assumed(item: &ProxyLevels) -> String {
    let names =
        if item.assumed.len() > 12 { format!("{} loggers", item.assumed.len()) } else { item.assumed.join(", ") };
    format!(
        "every level is as it was{}, but for {names}: at debug or trace before, probably by another session, and now at \
         the level that the proxy was started with",
        basis(item)
    )
}

/// What has become of a proxy's levels, as a sentence or two, in lines of at most `width` columns.
#[must_use]
pub fn sentence(item: &ProxyLevels, dry_run: bool, palette: Palette, width: usize) -> String {
    let loggers = item.loggers.unwrap_or_default();
    let mut words = match item.state {
        LevelState::On => format!("{} {}", palette.warning("on:"), changes(&item.levels, " -> ")),
        LevelState::Restored => format!("{} {}", palette.good("restored:"), restored(item, loggers)),
        LevelState::Unchanged => format!("{} {}", palette.good("unchanged:"), unchanged(item, loggers)),
        LevelState::Replaced | LevelState::Gone => palette.info("nothing to restore:"),
        LevelState::NotRestored if item.levels.is_empty() => palette.error("NOT restored:"),
        LevelState::NotRestored => {
            format!("{} {}", palette.error("NOT restored:"), changes(&item.levels, ", which should be "))
        }
        LevelState::Failed => palette.error("unchanged, failed:"),
        LevelState::AsFound if dry_run && item.levels.is_empty() => format!("nothing would change{}", basis(item)),
        LevelState::AsFound if dry_run => format!("would change {}{}", changes(&item.levels, " -> "), basis(item)),
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
    let mut out = wrap(&format!("{}: {words}", palette.strong(&escape(&item.proxy))), width, 2);
    if let Some(line) = &item.command {
        let _ = write!(out, "\n  {}", palette.strong(&command(&escape(line), width, 2)));
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
