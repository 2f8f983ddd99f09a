//! The commands that are printed for the reader to run. All of them are made here, so that each carries what the
//! command it follows was given: which cluster, as whom, which namespaces and proxies, which files.

use std::borrow::Cow;

/// What a printed command needs to mean the same mesh as the command that prints it. Flags are kept as they are to be
/// printed, each with its value.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Scope {
    /// Pods and workloads, as they were given.
    pub targets: Vec<String>,
    /// What selects proxies beside them: `-n`, `-A`, `-l`, `--field-selector`, `--admin-port`.
    pub selection: Vec<Flag>,
    /// What chooses a cluster, an identity or its trust, under kubectl's names: `--kubeconfig`, `--context`, `--as`, ….
    pub cluster: Vec<Flag>,
    /// What is ours alone and decides what is read: `--from`, `--admin-url`, `--istio-namespace`, `--revision`.
    pub source: Vec<Flag>,
    /// What only commands that audit take: `--policy`.
    pub policy: Option<Flag>,
}

/// A flag with its value, or alone.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Flag {
    /// With its dashes.
    pub name: String,
    /// `None` for a switch.
    pub value: Option<String>,
}

impl Flag {
    /// A flag with a value.
    #[must_use]
    pub fn new(name: &str, value: impl Into<String>) -> Self {
        Self { name: name.to_owned(), value: Some(value.into()) }
    }

    /// A flag alone.
    #[must_use]
    pub fn switch(name: &str) -> Self {
        Self { name: name.to_owned(), value: None }
    }
}

/// Another program that is told which cluster is meant.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum ClusterTool {
    /// All of kubectl's own flags.
    Kubectl,
    /// `--kubeconfig`, `--kube-context` and the rest of Helm 3's (`helm env`, `pkg/cli/environment.go`).
    Helm,
    /// `--kubeconfig` and `--context`; istioctl has no others in all versions.
    Istioctl,
}

/// Those of our commands that ask no cluster.
const NEED_NO_CLUSTER: [&str; 5] = ["explain", "convert", "completion", "options", "help"];
/// Commands that take a policy.
const AUDITS: [&str; 2] = ["timeouts", "fix"];

/// Flags whose value must not stand on a screen or in a shell's history.
const SECRET: [&str; 1] = ["--token"];

impl Scope {
    /// `kubectl meshaudit COMMAND`, the targets, the words given, and then the scope's flags.
    #[must_use]
    pub fn command<S: AsRef<str>>(&self, command: &str, extra: impl IntoIterator<Item = S>) -> String {
        let mut words = vec![format!("kubectl meshaudit {command}")];
        words.extend(self.targets.iter().map(|target| quote(target)));
        words.extend(extra.into_iter().map(|word| quote(word.as_ref())));
        [&self.selection, &self.source, &self.cluster].into_iter().for_each(|flags| push(&mut words, flags));
        if AUDITS.contains(&command) {
            push(&mut words, self.policy.as_slice());
        }
        words.join(" ")
    }

    /// The same cluster or files, and all of their proxies.
    #[must_use]
    pub fn whole_mesh(&self) -> Self {
        let selection = if self.is_offline() { Vec::new() } else { vec![Flag::switch("-A")] };
        Self { targets: Vec::new(), selection, ..self.clone() }
    }

    /// The same cluster, and one pod or workload of it. Files hold no more than they do, and are read whole.
    #[must_use]
    pub fn target(&self, target: &str, namespace: &str) -> Self {
        if self.is_offline() {
            return self.clone();
        }
        let port = self.selection.iter().filter(|flag| flag.name == "--admin-port").cloned();
        let namespace = Some(namespace).filter(|name| !name.is_empty()).map(|name| Flag::new("-n", name));
        Self {
            targets: vec![target.to_owned()],
            selection: namespace.into_iter().chain(port).collect(),
            ..self.clone()
        }
    }

    /// The same, in one of several contexts; an empty name leaves it as it is.
    #[must_use]
    pub fn in_context(&self, context: &str) -> Self {
        let mut scope = self.clone();
        if !context.is_empty() {
            scope.cluster.retain(|flag| flag.name != "--context");
            scope.cluster.push(Flag::new("--context", context));
        }
        scope
    }

    /// What leads another program to the same cluster: empty, or with a blank in front. `context` names one of several.
    #[must_use]
    pub fn cluster_flags(&self, tool: ClusterTool, context: &str) -> String {
        let scope = self.in_context(context);
        let flags: Vec<Flag> = scope.cluster.into_iter().filter_map(|flag| tool.translate(flag)).collect();
        let mut words = vec![String::new()];
        push(&mut words, &flags);
        words.join(" ")
    }

    /// A text in which each command between backquotes is led to the same cluster. One of ours that has no words but
    /// its name means the same proxies too; one that is only a pattern (`POD`) stays as it is.
    #[must_use]
    pub fn in_prose(&self, text: &str) -> String {
        let parts: Vec<&str> = text.split('`').collect();
        if parts.len().is_multiple_of(2) {
            return text.to_owned();
        }
        let parts = parts.into_iter().enumerate();
        let parts = parts.map(|(index, part)| if index % 2 == 1 { self.completed(part) } else { part.to_owned() });
        parts.collect::<Vec<_>>().join("`")
    }

    fn completed(&self, command: &str) -> String {
        let words: Vec<&str> = command.split_whitespace().collect();
        let is_pattern = |word: &&str| word.len() > 1 && word.bytes().all(|byte| byte.is_ascii_uppercase());
        if words.iter().any(is_pattern) || words.iter().any(|word| word.starts_with("--context")) {
            return command.to_owned();
        }
        match words.as_slice() {
            ["kubectl", "meshaudit", name, rest @ ..] if !NEED_NO_CLUSTER.contains(name) => {
                let mut words = vec![command.to_owned()];
                if rest.is_empty() {
                    words.extend(self.targets.iter().map(|target| quote(target)));
                    push(&mut words, &self.selection);
                }
                push(&mut words, &self.source);
                push(&mut words, &self.cluster);
                words.join(" ")
            }
            ["kubectl", "meshaudit", ..] => command.to_owned(),
            ["kubectl", _, ..] => command.to_owned() + &self.cluster_flags(ClusterTool::Kubectl, ""),
            ["istioctl", _, ..] => command.to_owned() + &self.cluster_flags(ClusterTool::Istioctl, ""),
            ["helm", _, ..] => command.to_owned() + &self.cluster_flags(ClusterTool::Helm, ""),
            _ => command.to_owned(),
        }
    }

    /// Whether files are read, and no cluster.
    #[must_use]
    pub fn is_offline(&self) -> bool {
        self.source.iter().any(|flag| flag.name == "--from" || flag.name == "--admin-url")
    }
}

impl ClusterTool {
    fn translate(self, flag: Flag) -> Option<Flag> {
        let name = match (self, flag.name.as_str()) {
            // These are ours, not the cluster's.
            (_, "--request-timeout" | "--audit-log") => return None,
            (Self::Kubectl, _) | (Self::Helm | Self::Istioctl, "--kubeconfig") | (Self::Istioctl, "--context") => {
                return Some(flag);
            }
            (Self::Helm, "--context") => "--kube-context",
            (Self::Helm, "--as") => "--kube-as-user",
            (Self::Helm, "--as-group") => "--kube-as-group",
            (Self::Helm, "--server") => "--kube-apiserver",
            (Self::Helm, "--token") => "--kube-token",
            (Self::Helm, "--certificate-authority") => "--kube-ca-file",
            (Self::Helm, "--tls-server-name") => "--kube-tls-server-name",
            (Self::Helm, "--insecure-skip-tls-verify") => "--kube-insecure-skip-tls-verify",
            (Self::Helm | Self::Istioctl, _) => return None,
        };
        Some(Flag { name: name.to_owned(), value: flag.value })
    }
}

fn push(words: &mut Vec<String>, flags: &[Flag]) {
    for Flag { name, value } in flags {
        match value {
            None => words.push(name.clone()),
            Some(_) if SECRET.iter().any(|secret| name.ends_with(&secret[1..])) => {
                words.push(format!("{name} \"$TOKEN\""));
            }
            // A value that looks like a flag would be taken for one.
            Some(value) if value.starts_with('-') && value != "-" => words.push(format!("{name}={}", quote(value))),
            Some(value) => words.push(format!("{name} {}", quote(value))),
        }
    }
}

/// A word as a POSIX shell takes it. A NUL, which no argument can hold, is left out.
#[must_use]
pub fn quote(word: &str) -> String {
    let word = word.replace('\0', "");
    shlex::try_quote(&word).map_or_else(|_| String::new(), Cow::into_owned)
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn scope() -> Scope {
        Scope {
            targets: vec!["deploy/web".into()],
            selection: vec![Flag::new("-n", "shop")],
            cluster: vec![Flag::new("--kubeconfig", "/tmp/it's here"), Flag::new("--context", "prod")],
            source: Vec::new(),
            policy: None,
        }
    }

    #[test]
    fn commands_carry_their_scope() {
        assert_eq!(
            scope().command("fix", ["--set", "10s"]),
            r#"kubectl meshaudit fix deploy/web --set 10s -n shop --kubeconfig "/tmp/it's here" --context prod"#
        );
        assert_eq!(
            scope().whole_mesh().in_context("eu").command("verify", ["--wait", "5m"]),
            r#"kubectl meshaudit verify --wait 5m -A --kubeconfig "/tmp/it's here" --context eu"#
        );
        assert_eq!(
            scope().target("pay-1", "pay").command("debug-log", ["--off"]),
            r#"kubectl meshaudit debug-log pay-1 --off -n pay --kubeconfig "/tmp/it's here" --context prod"#
        );
        let files = Scope { source: vec![Flag::new("--from", "-x.json")], ..Scope::default() };
        assert_eq!(files.whole_mesh().command("fix", [] as [&str; 0]), "kubectl meshaudit fix --from=-x.json");
    }

    #[test]
    fn commands_in_prose_are_led_to_the_same_cluster() {
        let file = r#"--kubeconfig "/tmp/it's here" --context prod"#;
        for (text, completed) in [
            ("see `kubectl meshaudit fix`.", format!("see `kubectl meshaudit fix deploy/web -n shop {file}`.")),
            (
                "`kubectl meshaudit debug-log --off --all` does",
                format!("`kubectl meshaudit debug-log --off --all {file}` does"),
            ),
            ("does `kubectl version` reach it?", format!("does `kubectl version {file}` reach it?")),
            ("`kubectl logs POD` and `fix`", "`kubectl logs POD` and `fix`".to_owned()),
            ("`kubectl meshaudit explain MA001`", "`kubectl meshaudit explain MA001`".to_owned()),
            ("one ` alone", "one ` alone".to_owned()),
        ] {
            assert_eq!(scope().in_prose(text), completed);
        }
        assert_eq!(Scope::default().in_prose("`kubectl version`"), "`kubectl version`");
    }

    #[test]
    fn other_programs_are_led_to_the_same_cluster() {
        let mut scope = scope();
        scope.cluster.extend([Flag::new("--as", "ops"), Flag::new("--token", "s3cret"), Flag::new("--user", "me")]);
        let flags = |tool| scope.cluster_flags(tool, "");
        let file = r#" --kubeconfig "/tmp/it's here""#;
        assert_eq!(flags(ClusterTool::Kubectl), format!("{file} --context prod --as ops --token \"$TOKEN\" --user me"));
        assert_eq!(
            flags(ClusterTool::Helm),
            format!("{file} --kube-context prod --kube-as-user ops --kube-token \"$TOKEN\"")
        );
        assert_eq!(flags(ClusterTool::Istioctl), format!("{file} --context prod"));
        assert_eq!(Scope::default().cluster_flags(ClusterTool::Helm, "eu"), " --kube-context eu");
        assert_eq!(Scope::default().cluster_flags(ClusterTool::Helm, ""), "");
    }

    proptest! {
        #[test]
        fn a_shell_reads_back_what_was_quoted(word in "[^\0]{0,30}") {
            prop_assert_eq!(shlex::split(&quote(&word)), Some(vec![word]));
        }
    }
}
