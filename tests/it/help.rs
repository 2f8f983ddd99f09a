//! Help as a reader meets it: what a command does, examples, its own flags; and what every command shares apart.

use crate::plugin;

/// The commands that help lists, in its order.
pub(crate) fn commands() -> Vec<String> {
    let out = plugin(["help"]).run().exits(0).stdout;
    let list = out.split("Commands:\n").nth(1).unwrap().split("\n\n").next().unwrap().to_owned();
    list.lines()
        .filter(|line| line.starts_with("  ") && !line.starts_with("   "))
        .map(|line| line.split_whitespace().next().unwrap().to_owned())
        .collect()
}

#[test]
fn nothing_asked_is_help_asked() {
    let bare = plugin([""; 0]).run().exits(0);
    assert!(bare.stdout.contains("Usage:") && bare.stderr.is_empty(), "{}", bare.stderr);
}

#[test]
fn commands_stand_in_the_order_of_an_incident() {
    let commands = commands();
    let place = |name: &str| commands.iter().position(|command| command == name).unwrap();
    let order = ["resets", "debug-log", "diagnose", "clusters", "timeouts", "fix", "verify"];
    assert!(order.windows(2).all(|pair| place(pair[0]) < place(pair[1])), "{commands:?}");
}

#[test]
fn short_help_leaves_the_connection_to_options() {
    for command in commands() {
        let short = plugin([command.as_str(), "-h"]).run().exits(0).stdout;
        assert!(!short.contains("--as-group"), "{command} -h shows how to impersonate");
        let usage = short.find("Usage:").unwrap();
        if let Some(examples) = short.find("Examples:") {
            assert!(examples < usage, "{command} -h: examples come first");
        }
        let long = plugin([command.as_str(), "--help"]).run().exits(0).stdout;
        assert_eq!(plugin(["help", command.as_str()]).run().exits(0).stdout, long, "help {command}");
        assert_eq!(long.contains("--as-group"), long.contains("`kubectl meshaudit options`"), "{command} --help");
    }
    let options = plugin(["options"]).run().exits(0).stdout;
    for flag in ["--kubeconfig", "--context", "--as-group", "--request-timeout", "--color", "--verbose"] {
        assert!(options.contains(flag), "{options}");
    }
}

#[test]
fn examples_can_be_pasted_from_a_terminal_of_80_columns() {
    for command in commands() {
        let help = plugin([command.as_str(), "-h"]).env("COLUMNS", "80").run().exits(0).stdout;
        let Some((_, examples)) = help.split_once("Examples:\n") else { continue };
        let mut goes_on = false;
        for line in examples.lines().take_while(|line| !line.is_empty()) {
            let begins = ["  kubectl ", "  kubectl-meshaudit ", "  istioctl ", "  source ", "  # "]
                .iter()
                .any(|start| line.starts_with(start));
            assert!(goes_on || begins, "{command} -h: {line:?} is a piece of an example");
            goes_on = line.ends_with('\\');
        }
    }
}

#[test]
fn a_command_that_is_not_there_is_wrong_usage() {
    plugin(["help", "nothere"]).run().exits(2).complains("nothere");
}

#[test]
fn flags_of_istioctl_are_led_to_ours() {
    for (args, ours) in [
        (&["clusters", "-f", "dump.json"][..], "--from FILE"),
        (&["debug-log", "web-1", "--reset"], "debug-log --off"),
        (&["timeouts", "-c", "prod"], "--context"),
    ] {
        let run = plugin(args).run().exits(2);
        assert!(run.stderr.contains(ours) && !run.stderr.contains("similar argument"), "{args:?}: {}", run.stderr);
    }
}

#[test]
fn every_flag_and_every_command_says_what_it_is() {
    for command in commands() {
        let help = plugin([command.as_str(), "--help"]).run().exits(0).stdout;
        assert!(!help.contains("docs/"), "{command} --help names a file that an installed user has not");
    }
}

#[test]
fn the_version_says_where_it_is_from_and_needs_no_cluster() {
    let out = plugin(["version", "--client"]).run().exits(0).stdout;
    assert!(out.starts_with("kubectl-meshaudit: 0."), "{out}");
    let json: serde_json::Value =
        serde_json::from_str(&plugin(["version", "--client", "-o", "json"]).run().exits(0).stdout).unwrap();
    assert_eq!((&json["apiVersion"], &json["tool"]["name"]), (&"meshaudit/v1".into(), &"kubectl-meshaudit".into()));
}
