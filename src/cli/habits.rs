//! kubectl's habits on the command line, in terms that clap knows: flags before the command, `--flag=true` for
//! switches, an empty value for a flag that is not given, `-v=6`.

use std::ffi::OsString;

use clap::{Arg, ArgAction, Command};

/// Rewrites a command line, program first.
pub(super) fn in_claps_terms(args: Vec<OsString>, definition: &Command) -> Vec<OsString> {
    let Some(at) = command_at(&args, definition) else { return args };
    let (before, rest) = args.split_at(at);
    let Some((program, leading)) = before.split_first() else { return args };
    let Some(command) = rest.first().and_then(|name| definition.find_subcommand(name)) else { return args };
    let flags = Flags { command: Some(command), definition };
    let mut rewritten = vec![program.clone(), rest[0].clone()];
    let mut words = leading.iter().chain(&rest[1..]).cloned();
    while let Some(word) = words.next() {
        if word == "--" {
            rewritten.push(word);
            rewritten.extend(words);
            break;
        }
        let Some((arg, value)) = flags.find(&word) else {
            rewritten.push(word);
            continue;
        };
        match (value, arg.get_action()) {
            (Some(value), ArgAction::SetTrue) => match boolean(&value) {
                Some(true) => rewritten.push(long(arg)),
                Some(false) => rewritten.retain(|earlier| !is_same(&flags, earlier, arg)),
                None => rewritten.push(word),
            },
            // klog's levels: from 6 on kubectl shows its requests.
            (Some(value), ArgAction::Count) => match value.parse::<u8>() {
                Ok(level) => rewritten.extend((0..usize::from(level > 0) + usize::from(level >= 6)).map(|_| long(arg))),
                Err(_) => rewritten.push(word),
            },
            (Some(value), _) if value.is_empty() && is_kubectls(arg) => {}
            (None, action) if action.takes_values() => match words.next() {
                Some(value) if value.is_empty() && is_kubectls(arg) => {}
                value => {
                    rewritten.push(word);
                    rewritten.extend(value);
                }
            },
            _ => rewritten.push(word),
        }
    }
    rewritten
}

/// Where the command's name stands.
fn command_at(args: &[OsString], definition: &Command) -> Option<usize> {
    let flags = Flags { command: None, definition };
    let mut at = 1;
    while let Some(word) = args.get(at) {
        match flags.find(word) {
            Some((arg, None)) if arg.get_action().takes_values() => at += 2,
            Some(_) => at += 1,
            None if word.to_string_lossy().starts_with('-') => return None,
            None => return Some(at),
        }
    }
    None
}

/// Whether an empty value means that the flag is not given, as with kubectl's own.
fn is_kubectls(arg: &Arg) -> bool {
    matches!(arg.get_help_heading(), Some("Cluster" | "Selection"))
}

/// Go's `strconv.ParseBool`.
fn boolean(text: &str) -> Option<bool> {
    match text {
        "1" | "t" | "T" | "true" | "TRUE" | "True" => Some(true),
        "0" | "f" | "F" | "false" | "FALSE" | "False" => Some(false),
        _ => None,
    }
}

fn long(arg: &Arg) -> OsString {
    match (arg.get_long(), arg.get_short()) {
        (Some(name), _) => format!("--{name}").into(),
        (None, Some(letter)) => format!("-{letter}").into(),
        (None, None) => OsString::new(),
    }
}

fn is_same(flags: &Flags<'_>, word: &OsString, arg: &Arg) -> bool {
    flags.find(word).is_some_and(|(own, _)| own.get_id() == arg.get_id())
}

/// The flags that a command knows; with no command yet, those of any.
struct Flags<'a> {
    command: Option<&'a Command>,
    definition: &'a Command,
}

impl<'a> Flags<'a> {
    /// The flag that a word is, and the value it carries after `=`.
    fn find(&self, word: &OsString) -> Option<(&'a Arg, Option<String>)> {
        let text = word.to_str()?;
        let (name, value) = match text.split_once('=') {
            Some((name, value)) => (name, Some(value.to_owned())),
            None => (text, None),
        };
        let is = |arg: &&Arg| match name.strip_prefix("--") {
            Some(name) => arg.get_long() == Some(name) || arg.get_all_aliases().is_some_and(|all| all.contains(&name)),
            None => {
                let mut letters = name.strip_prefix('-').unwrap_or_default().chars();
                let letter = letters.next().filter(|_| letters.next().is_none());
                letter.is_some() && arg.get_short() == letter
            }
        };
        let own = self.definition.get_arguments().find(is);
        own.or_else(|| match self.command {
            Some(command) => command.get_arguments().find(is),
            None => self.definition.get_subcommands().flat_map(Command::get_arguments).find(is),
        })
        .map(|arg| (arg, value))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rewritten(line: &str) -> String {
        let args = line.split(' ').map(|word| if word == "''" { OsString::new() } else { word.into() }).collect();
        let mut definition = crate::cli::command("kubectl meshaudit");
        definition.build();
        let words = in_claps_terms(args, &definition);
        words.iter().map(|word| word.to_string_lossy()).collect::<Vec<_>>().join(" ")
    }

    #[test]
    fn takes_flags_as_kubectl_does() {
        for (line, meant) in [
            ("k -n shop timeouts", "k timeouts -n shop"),
            ("k --context=c -A timeouts -q", "k timeouts --context=c -A -q"),
            ("k timeouts -A=true --no-headers=true", "k timeouts --all-namespaces --no-headers"),
            ("k timeouts -A -A=false", "k timeouts"),
            ("k timeouts --all-namespaces=0 -n x", "k timeouts -n x"),
            ("k timeouts -n '' --context '' x", "k timeouts x"),
            ("k timeouts --namespace= -l= x", "k timeouts x"),
            ("k timeouts -v=6", "k timeouts --verbose --verbose"),
            ("k timeouts --v=1 -v=0", "k timeouts --verbose"),
            ("k timeouts -n -A", "k timeouts -n -A"),
            ("k timeouts -- -A=true", "k timeouts -- -A=true"),
            ("k timeouts -A=perhaps", "k timeouts -A=perhaps"),
            ("k --version", "k --version"),
            ("k --nonsense timeouts", "k --nonsense timeouts"),
            ("k -n timeouts timeouts", "k timeouts -n timeouts"),
            ("k", "k"),
        ] {
            assert_eq!(rewritten(line), meant, "{line}");
        }
    }
}
