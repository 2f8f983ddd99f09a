//! What is generated from the program is committed as the program generates it.

use crate::{is_as_committed, plugin};

#[test]
fn generated_files_are_as_committed() {
    for (what, file) in [("cli", "docs/cli.md"), ("man", "docs/kubectl-meshaudit.1")] {
        is_as_committed(file, &plugin(["__generate", what]).run().exits(0).stdout);
    }
    for (name, _) in meshaudit::report::v1::SCHEMAS {
        let schema = plugin(["__generate", "schema", name]).run().exits(0).stdout;
        is_as_committed(&format!("docs/schema/{name}.schema.json"), &schema);
    }
}
