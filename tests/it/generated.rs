//! What is generated from the program is committed as the program generates it.

use crate::{is_as_committed, plugin};

#[test]
fn generated_files_are_as_committed() {
    for (what, file) in [
        ("cli", "docs/cli.md"),
        ("schema", "docs/schema/timeout-audit.schema.json"),
        ("fix-schema", "docs/schema/fix-plan.schema.json"),
        ("verify-schema", "docs/schema/verification.schema.json"),
        ("man", "docs/kubectl-meshaudit.1"),
    ] {
        is_as_committed(file, &plugin(["__generate", what]).run().exits(0).stdout);
    }
}
