//! The answer to `POST /logging`.

use crate::model::{LOG_LEVELS, LoggerLevels};

/// Reads Envoy's list of loggers: a heading, then `  name: level` lines (`source/server/admin/logs_handler.cc`).
/// `None` where there is no such heading (what answered is not Envoy, or refused) and where the list is not whole: its
/// last line has no end, or a level is none of Envoy's.
#[must_use]
pub fn read(text: &str) -> Option<LoggerLevels> {
    let (_, list) = text.split_once("active loggers:")?;
    if !list.ends_with('\n') {
        return None;
    }
    let level = |line: &str| {
        let (name, level) = line.trim().rsplit_once(": ")?;
        LOG_LEVELS.contains(&level).then(|| (name.into(), level.into()))
    };
    let lines = list.lines().filter(|line| !line.trim().is_empty());
    lines.map(level).collect::<Option<_>>().map(LoggerLevels)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_levels() {
        let levels = read("active loggers:\n  admin: warning\n  connection: debug\n  pool: trace\n\n").expect("a list");
        assert_eq!(levels.0.len(), 3);
        assert_eq!(levels.verbose().collect::<Vec<_>>(), [("connection", "debug"), ("pool", "trace")]);
        for cut in [
            "usage: /logging?…",
            "active loggers:",
            "active loggers:\n  admin: off",
            "active loggers:\n  admin: warn\n",
        ] {
            assert_eq!(read(cut), None, "{cut:?}");
        }
    }
}
