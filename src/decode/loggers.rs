//! The answer to `POST /logging`.

use crate::model::LoggerLevels;

/// Reads Envoy's list of loggers: a heading, then `  name: level` lines (`source/server/admin/logs_handler.cc`).
/// `None` where there is no such heading: what answered is not Envoy, or refused.
#[must_use]
pub fn read(text: &str) -> Option<LoggerLevels> {
    let (_, list) = text.split_once("active loggers:")?;
    let levels = list
        .lines()
        .filter_map(|line| line.trim().rsplit_once(": "))
        .map(|(name, level)| (name.into(), level.trim().into()))
        .collect();
    Some(LoggerLevels(levels))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_levels() {
        let levels = read("active loggers:\n  admin: warning\n  connection: debug\n  pool: trace\n\n").expect("a list");
        assert_eq!(levels.0.len(), 3);
        assert_eq!(levels.verbose().collect::<Vec<_>>(), [("connection", "debug"), ("pool", "trace")]);
        assert_eq!(read("usage: /logging?…"), None);
    }
}
