//! The answer to `GET /server_info`.

use serde::Deserialize;

use crate::model::StartupLogLevels;

#[derive(Deserialize)]
struct ServerInfo {
    command_line_options: CommandLineOptions,
}

/// `envoy.admin.v3.CommandLineOptions`. Proto3 leaves out what is empty; `log_level` always has a value in an Envoy
/// that runs (`source/server/options_impl_base.cc` writes the level's name).
#[derive(Deserialize)]
struct CommandLineOptions {
    log_level: String,
    #[serde(default)]
    component_log_level: String,
}

/// The log levels that the process was started with, in Envoy's own words; `None` where the answer does not say.
#[must_use]
pub fn startup_log_levels(text: &[u8]) -> Option<StartupLogLevels> {
    let options = serde_json::from_slice::<ServerInfo>(text).ok()?.command_line_options;
    let given = |text: String| Some(text).filter(|text| !text.is_empty());
    Some(StartupLogLevels { level: Some(given(options.log_level)?), components: given(options.component_log_level) })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn reads_what_the_process_was_started_with() {
        let text = br#"{"version": "x/1.29.2", "state": "LIVE", "command_line_options": {"base_id": "0",
            "log_level": "warning", "component_log_level": "misc:error,pool:debug"}}"#;
        let levels = startup_log_levels(text).expect("levels");
        assert_eq!(levels.level.as_deref(), Some("warning"));
        assert_eq!(levels.components.as_deref(), Some("misc:error,pool:debug"));
        let text = br#"{"command_line_options": {"log_level": "info", "component_log_level": ""}}"#;
        assert_eq!(startup_log_levels(text).expect("levels").components, None);
        for text in
            ["", "{}", r#"{"command_line_options": {}}"#, "<html>", r#"{"command_line_options": {"log_level": ""}}"#]
        {
            assert_eq!(startup_log_levels(text.as_bytes()), None, "{text}");
        }
    }
}
