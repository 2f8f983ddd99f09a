//! A proxy's levels, as a table.

use std::collections::BTreeMap;
use std::fmt::Write;

use super::{LoggerLevel, ProxyLevels};
use crate::report::escape::escape;
use crate::report::look::Look;
use crate::report::table::{self, text};

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
