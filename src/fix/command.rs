//! Lines to paste into a POSIX shell.

use std::borrow::Cow;
use std::fmt::Write;

use crate::model::{ClusterTool, Scope, quote};

/// A line for a shell, with what it reads from its standard input. Which cluster it is for is added when it is
/// printed.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ShellCommand {
    /// What it calls.
    pub program: ClusterTool,
    /// Its arguments, as they are.
    pub args: Vec<String>,
    /// A here-document; empty for none.
    pub input: String,
    /// The file descriptor that it is read from.
    pub descriptor: u8,
}

impl ShellCommand {
    /// A call of kubectl.
    pub(crate) fn kubectl<'w>(args: impl IntoIterator<Item = &'w str>) -> Self {
        Self::new(ClusterTool::Kubectl, args)
    }

    /// A call of a program.
    pub(super) fn new<'w>(program: ClusterTool, args: impl IntoIterator<Item = &'w str>) -> Self {
        Self { program, args: args.into_iter().map(str::to_owned).collect(), input: String::new(), descriptor: 0 }
    }

    /// A `kubectl patch` of this type, of an object; what it is patched with is in `patch`.
    pub(crate) fn patch<'w>(
        resource: &str,
        name: &str,
        namespace: &str,
        kind: &str,
        patch: impl IntoIterator<Item = &'w str>,
    ) -> Self {
        let mut command = Self::kubectl(["patch", resource, name, "-n", namespace, "--type", kind]);
        command.args.extend(patch.into_iter().map(str::to_owned));
        command
    }

    /// The same with something to read.
    pub(super) fn reading(mut self, input: String) -> Self {
        self.input = input;
        self
    }

    /// The same with something to read as `/dev/fd/3`, where standard input is the reader's own: to answer a question.
    pub(super) fn reading_aside(mut self, input: String) -> Self {
        self.descriptor = 3;
        self.reading(input)
    }

    /// The text to paste. `context` names the cluster where there are several.
    #[must_use]
    pub fn line(&self, scope: &Scope, context: &str) -> String {
        let program = match self.program {
            ClusterTool::Kubectl => "kubectl",
            ClusterTool::Helm => "helm",
            ClusterTool::Istioctl => "istioctl",
        };
        let mut line = program.to_owned();
        for word in &self.args {
            let _ = write!(line, " {}", argument(word));
        }
        line.push_str(&scope.cluster_flags(self.program, context));
        if !self.input.is_empty() {
            let end = end_of_input(&self.input);
            let newline = if self.input.ends_with('\n') { "" } else { "\n" };
            let descriptor = if self.descriptor == 0 { String::new() } else { self.descriptor.to_string() };
            let _ = write!(line, " {descriptor}<<'{end}'\n{}{newline}{end}", self.input);
        }
        line
    }
}

/// A word behind the program's name, where `=` means nothing to a shell.
fn argument(word: &str) -> Cow<'_, str> {
    let plain = |c: char| c.is_ascii_alphanumeric() || matches!(c, '-' | '_' | '.' | '/' | ':' | '=' | ',' | '@' | '+');
    let bare = !word.is_empty() && !word.starts_with('=') && word.chars().all(plain);
    if bare { Cow::Borrowed(word) } else { Cow::Owned(quote(word)) }
}

/// A word that no line of the text is.
fn end_of_input(text: &str) -> String {
    let mut end = "EOF".to_owned();
    while text.lines().any(|line| line == end) {
        end.push('_');
    }
    end
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::Flag;

    #[test]
    fn says_which_cluster() {
        let scope = Scope { cluster: vec![Flag::new("--context", "prod")], ..Scope::default() };
        let kubectl = ShellCommand::kubectl(["get", "pods", "-l", "a in (b)"]);
        assert_eq!(kubectl.line(&scope, ""), "kubectl get pods -l 'a in (b)' --context prod");
        assert_eq!(kubectl.line(&scope, "east"), "kubectl get pods -l 'a in (b)' --context east");
        let helm = ShellCommand::new(ClusterTool::Helm, ["list"]);
        assert_eq!(helm.line(&scope, ""), "helm list --kube-context prod");
    }

    #[test]
    fn ends_a_here_document_where_it_ends() {
        let command = ShellCommand::kubectl(["create", "-f", "-"]);
        let line = |input: &str| command.clone().reading(input.to_owned()).line(&Scope::default(), "");
        assert_eq!(line("a: 1\n"), "kubectl create -f - <<'EOF'\na: 1\nEOF");
        assert_eq!(line("EOF"), "kubectl create -f - <<'EOF_'\nEOF\nEOF_");
        let aside =
            ShellCommand::new(ClusterTool::Istioctl, ["install", "-f", "/dev/fd/3"]).reading_aside("a: 1\n".to_owned());
        assert_eq!(aside.line(&Scope::default(), ""), "istioctl install -f /dev/fd/3 3<<'EOF'\na: 1\nEOF");
    }
}
