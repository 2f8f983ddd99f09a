//! What is generated from the program is committed as the program generates it.

use crate::{is_as_committed, plugin};

#[test]
fn generated_files_are_as_committed() {
    for (what, file) in [("cli", "docs/cli.md"), ("man", "docs/man/kubectl-meshaudit.1")] {
        is_as_committed(file, &plugin(["__generate", what]).run().exits(0).stdout);
    }
    for (name, _) in meshaudit::report::v1::SCHEMAS {
        let schema = plugin(["__generate", "schema", name]).run().exits(0).stdout;
        is_as_committed(&format!("docs/schema/{name}.schema.json"), &schema);
    }
}

#[test]
fn every_command_has_a_man_page() {
    let list = plugin(["__complete", ""]).run().exits(0).stdout;
    let commands: Vec<&str> = list.lines().filter_map(|line| line.split_once('\t')).map(|(name, _)| name).collect();
    assert!(commands.len() > 10, "{commands:?}");
    for command in &commands {
        let page = plugin(["__generate", "man", command]).run().exits(0).stdout;
        is_as_committed(&format!("docs/man/kubectl-meshaudit-{command}.1"), &page);
    }
    let pages = std::fs::read_dir(crate::project().join("docs/man")).unwrap().count();
    assert_eq!(pages, commands.len() + 1, "a page without a command");
}
