//! Log files: read by all cores, each content once.

use std::collections::BTreeMap;
use std::fs;
use std::hash::{BuildHasher, Hasher};
use std::io::{self, BufRead};
use std::path::{Path, PathBuf};

use jiff::Timestamp;
use jiff::civil::Date;

use super::stream::LogCounter;
use crate::cores::in_order;
use crate::decode::app_log::{ReaderOptions, backward};
use crate::decode::log::SAMPLE;
use crate::input::{ArchiveLimits, Entry, InputError, Lines, Text, Until, walk};
use crate::model::workload_of_pod;
use crate::resets::{HOUR, Question, Sources, Tally};

/// Why the paths could not be expanded.
#[derive(Debug, thiserror::Error)]
pub enum ExpandError {
    /// The path can't be looked at.
    #[error("{path} could not be opened")]
    Open {
        /// As it was given.
        path: String,
        /// What the system says.
        #[source]
        source: io::Error,
    },
    /// A directory without end.
    #[error("{0} has more than {max} files; name the ones that are meant", max = ArchiveLimits::LOGS.entries)]
    TooMany(String),
}

/// A file, an archive, or standard input.
#[derive(Clone, Debug)]
pub struct LogInput {
    path: PathBuf,
    /// Whether it was named, and not found in a directory.
    named: bool,
}

/// The files that the paths mean: directories with everything below them, in order of their names. They are units of
/// work for the cores; what is in them is [`walk`]'s.
///
/// # Errors
/// Where a path cannot be looked at, or a directory has too many files.
pub fn expand(paths: &[PathBuf]) -> Result<Vec<LogInput>, ExpandError> {
    let mut inputs = Vec::new();
    for path in paths {
        let open = |source| ExpandError::Open { path: path.display().to_string(), source };
        if path.as_os_str() != "-" && fs::metadata(path).map_err(open)?.is_dir() {
            let mut found = Vec::new();
            list(path, &mut found).map_err(open)?;
            if found.len() > ArchiveLimits::LOGS.entries {
                return Err(ExpandError::TooMany(path.display().to_string()));
            }
            found.sort();
            inputs.extend(found.into_iter().map(|path| LogInput { path, named: false }));
        } else {
            inputs.push(LogInput { path: path.clone(), named: true });
        }
    }
    Ok(inputs)
}

/// Files below a directory. Links to files are followed (a node's `/var/log/containers` is made of them), links to
/// directories are not: they may lead in circles.
fn list(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            list(&path, found)?;
        } else if fs::metadata(&path).is_ok_and(|target| target.is_file()) {
            found.push(path);
        }
        if found.len() > ArchiveLimits::LOGS.entries {
            break;
        }
    }
    Ok(())
}

/// What one log came to.
struct Counted {
    name: String,
    /// The file, or the path in the archive.
    place: PathBuf,
    tally: Tally,
    /// Of the text.
    hash: u64,
    failed: Option<String>,
}

/// Counts all inputs, as many at once as there are cores, and merges them in their order.
pub fn count_files(
    inputs: &[LogInput],
    until: Until,
    question: &Question,
    options: &ReaderOptions,
) -> (Tally, Sources) {
    let mut merger = Merger::default();
    let mut left = Vec::new();
    let count = |input: &LogInput| until.over().is_none().then(|| count_input(input, until, question, options));
    in_order(inputs, count, |input, counted| match counted {
        // In their order: of two copies the first is the one counted.
        Some(counted) => counted.into_iter().for_each(|one| merger.add(one)),
        None => left.push(input),
    });
    merger.merge();
    if let ([first, others @ ..], Some(ended)) = (left.as_slice(), until.over()) {
        let first = first.path.display();
        let name = if others.is_empty() { first.to_string() } else { format!("{first} and {} more", others.len()) };
        merger.sources.failed.push((name, ended.to_string()));
    }
    (merger.tally, Sources { slot_seconds: HOUR, ..merger.sources })
}

/// Merges logs in their order.
#[derive(Default)]
struct Merger {
    tally: Tally,
    sources: Sources,
    /// Length and hash of the contents counted so far, with the name of the first.
    contents: BTreeMap<(u64, u64), String>,
    /// Logs that may tell of the same failures.
    held: Vec<Counted>,
}

/// Logs that are looked through at most for others' failures.
const MAX_BESIDE: usize = 64;

impl Merger {
    fn add(&mut self, mut counted: Counted) {
        let failed = counted.failed.take();
        // What stands in the place of a log is none.
        let nothing = counted.tally.reading.bytes == 0 || (counted.tally.reading.records == 0 && failed.is_some());
        self.sources.failed.extend(failed.map(|message| (counted.name.clone(), message)));
        if nothing {
            return;
        }
        let content = (counted.tally.reading.bytes, counted.hash);
        if let Some(first) = self.contents.get(&content) {
            self.sources.duplicates.push((counted.name, first.clone()));
            return;
        }
        self.contents.insert(content, counted.name.clone());
        self.sources.count += 1;
        self.held.push(counted);
        if self.held.len() >= MAX_BESIDE {
            self.merge();
        }
    }

    /// Merges what is held: of a log of errors that lies beside one of everything, no failure a second time.
    fn merge(&mut self) {
        let held = std::mem::take(&mut self.held);
        let again: Vec<bool> = held
            .iter()
            .map(|one| {
                let beside = |other: &&Counted| other.place != one.place && other.place.parent() == one.place.parent();
                is_of_errors(&one.place)
                    && held
                        .iter()
                        .filter(beside)
                        .any(|other| !is_of_errors(&other.place) && one.tally.tells_again(&other.tally))
            })
            .collect();
        for (one, again) in held.into_iter().zip(again) {
            self.tally.merge(if again { one.tally.told_elsewhere() } else { one.tally });
        }
    }
}

/// Whether a log's name says that it has errors alone: `error.log`, `checkout-err.log`, `app_warnings.log`.
fn is_of_errors(place: &Path) -> bool {
    let name = place.file_name().map(|name| name.to_string_lossy().to_ascii_lowercase()).unwrap_or_default();
    name.split(|letter: char| !letter.is_ascii_alphabetic()).any(|word| {
        matches!(word, "err" | "error" | "errors" | "warn" | "warning" | "warnings" | "stderr" | "exceptions")
    })
}

/// Counts what is in one file: itself, or the logs in an archive.
fn count_input(input: &LogInput, until: Until, question: &Question, options: &ReaderOptions) -> Vec<Counted> {
    let path = input.path.to_string_lossy();
    let written = fs::metadata(&input.path).and_then(|found| found.modified()).ok();
    let written = written.and_then(|at| Timestamp::try_from(at).ok());
    let mut all = Vec::new();
    let failed = |name: &str, error: &InputError| Counted {
        name: name.to_owned(),
        place: PathBuf::new(),
        tally: Tally::default(),
        hash: 0,
        failed: Some(error.to_string()),
    };
    let outcome = walk(&path, &ArchiveLimits { until, ..ArchiveLimits::LOGS }, &mut |name, entry| {
        let counted = entry.and_then(|entry| count_entry(entry, &input.path, written, question, options));
        match counted {
            Ok(counted) => all.push(counted),
            // What lies beside logs in a directory or an archive may be anything.
            Err(InputError::NotText) if !input.named || name != path.as_ref() => {}
            Err(error) => all.push(failed(name, &error)),
        }
    });
    if let Err(error) = outcome {
        all.push(failed(&path, &error));
    }
    all
}

fn count_entry(
    entry: Entry<'_>,
    file: &Path,
    written: Option<Timestamp>,
    question: &Question,
    options: &ReaderOptions,
) -> Result<Counted, InputError> {
    let name = entry.name.to_owned();
    let place = if entry.path.is_empty() { file } else { Path::new(entry.path) };
    let service = if name == "stdin" { name.clone() } else { service_of_path(place) };
    let place = place.to_owned();
    let mut options = options.clone();
    options.time.hints.written = written.filter(|_| entry.path.is_empty());
    options.time.hints.named = date_of_name(&place);
    let mut counter = LogCounter::new(question, service, options.clone());
    // Not a defence against made-up collisions: those would only hide the log of who makes them.
    let mut hash = foldhash::quality::FixedState::default().build_hasher();
    let reading: &mut dyn BufRead = entry.reader;
    let mut lines = Lines::new(Text::new(reading)?);
    let mut held = Vec::new();
    let mut broken = lines.hold(&mut held, SAMPLE).err();
    if broken.is_none()
        && let Some(from) = backward(&held, &options)
    {
        match lines.hold(&mut held, usize::MAX) {
            // What is too large to be held is read as it comes.
            Ok(false) => {}
            Ok(true) => held[from..].reverse(),
            Err(error) => {
                held[from..].reverse();
                broken = Some(error);
            }
        }
    }
    for line in held {
        hash.write(&line);
        hash.write_u8(b'\n');
        counter.push(&line);
    }
    let failed = loop {
        match broken.take().map_or_else(|| lines.next_line(), Err) {
            Ok(Some(line)) => {
                hash.write(line);
                hash.write_u8(b'\n');
                counter.push(line);
            }
            Ok(None) => break None,
            Err(error) => break Some(InputError::from(error).to_string()),
        }
    };
    let (tally, missing) = counter.finish(lines.cut);
    Ok(Counted { name, place, tally, hash: hash.finish(), failed: failed.or(missing) })
}

/// The day in a file's name: `checkout-2020-07-08.log`, `checkout.log-20200708.gz`.
fn date_of_name(path: &Path) -> Option<Date> {
    let name = path.file_name()?.to_string_lossy();
    let digits = |text: &str| text.len() == 8 && text.bytes().all(|byte| byte.is_ascii_digit());
    (0..name.len()).find_map(|start| {
        let part = name.get(start..start + 10).filter(|part| part.as_bytes()[4] == b'-');
        if let Some(date) = part.and_then(|part| part.parse().ok()) {
            return Some(date);
        }
        let part = name.get(start..start + 8).filter(|part| digits(part))?;
        let edge = |byte: Option<&u8>| byte.is_none_or(|byte| !byte.is_ascii_digit());
        let bytes = name.as_bytes();
        if !edge(start.checked_sub(1).and_then(|before| bytes.get(before))) || !edge(bytes.get(start + 8)) {
            return None;
        }
        format!("{}-{}-{}", &part[..4], &part[4..6], &part[6..]).parse().ok()
    })
}

/// The service that a file's place and name tell: without rotation numbers, dates and endings; of a name that every
/// service uses (`app.log`), the directory's; of a node's container logs, the workload's.
fn service_of_path(path: &Path) -> String {
    let name = path.file_name().map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    let parent =
        path.parent().and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned()).unwrap_or_default();
    // /var/log/containers/POD_NAMESPACE_CONTAINER-<64 hex>.log
    if let [pod, _, container] = name.split('_').collect::<Vec<_>>()[..]
        && container
            .strip_suffix(".log")
            .and_then(|container| container.rsplit_once('-'))
            .is_some_and(|(_, id)| id.len() == 64)
    {
        return workload_of_pod(pod).to_owned();
    }
    // /var/log/pods/NAMESPACE_POD_UID/CONTAINER/0.log
    if let Some(pod) = path.ancestors().nth(2).and_then(Path::file_name).map(|name| name.to_string_lossy().into_owned())
        && let [_, pod, uid] = pod.split('_').collect::<Vec<_>>()[..]
        && uid.len() >= 32
    {
        return workload_of_pod(pod).to_owned();
    }
    let stem = plain_stem(&name);
    let generic = [
        "",
        "app",
        "application",
        "server",
        "service",
        "log",
        "logs",
        "stdout",
        "stderr",
        "out",
        "output",
        "current",
        "console",
        "messages",
        "catalina",
        "access",
        "error",
        "istio-proxy",
        "envoy",
        "proxy",
    ];
    let telling = stem.bytes().any(|byte| byte.is_ascii_alphabetic() || byte >= 0x80);
    if (!telling || generic.contains(&stem.to_ascii_lowercase().as_str())) && !parent.is_empty() && parent != "." {
        return parent;
    }
    if telling { stem } else { name }
}

/// `checkout.2020-07-08.3.log.gz` is `checkout`.
fn plain_stem(name: &str) -> String {
    let is_date = |part: &str| {
        part.len() >= 6 && part.bytes().all(|byte| byte.is_ascii_digit() || matches!(byte, b'-' | b'_' | b'T'))
    };
    let ending = |part: &str| {
        is_date(part)
            || (!part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()))
            || [
                "log", "txt", "json", "jsonl", "ndjson", "csv", "tsv", "gz", "bz2", "xz", "zst", "zip", "tar", "tgz",
                "out", "err",
            ]
            .contains(&part.to_ascii_lowercase().as_str())
    };
    let mut stem = name;
    loop {
        if let Some((before, _)) = stem.rsplit_once(['.', '_']).filter(|(_, last)| ending(last)) {
            stem = before;
            continue;
        }
        // `-2020-07-08` and `-20200708` at the end.
        match stem.match_indices('-').map(|(at, _)| at).find(|at| is_date(&stem[at + 1..])) {
            Some(at) => stem = &stem[..at],
            None => return stem.to_owned(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn services_are_read_from_paths() {
        for (path, service) in [
            ("checkout.log", "checkout"),
            ("logs/checkout.log.1", "checkout"),
            ("logs/checkout-2020-07-08.log.gz", "checkout"),
            ("logs/checkout.2020-07-08.3.log", "checkout"),
            ("logs/checkout-20200708", "checkout"),
            ("logs/checkout/app.log", "checkout"),
            ("logs/checkout/server.log.2020-07-08.gz", "checkout"),
            ("cart-service_1.json", "cart-service"),
            (
                "/var/log/containers/pay-7d9f8b6c5d-x2x4z_shop_app-0123456789abcdef0123456789abcdef0123456789abcdef0123456789abcdef.log",
                "pay",
            ),
            ("/var/log/pods/shop_db-0_0b6c2b2e-1111-2222-3333-444455556666/postgres/0.log", "db"),
            ("2020-07-08.log", "2020-07-08.log"),
            ("é-2020-07-08.log", "é"),
        ] {
            assert_eq!(service_of_path(Path::new(path)), service, "{path}");
        }
    }
}
