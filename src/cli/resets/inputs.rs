//! Log files: directories, compression, copies of the same content, and all cores.

use std::collections::BTreeMap;
use std::fs::{self, File};
use std::hash::Hasher;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use flate2::read::MultiGzDecoder;

use crate::decode::app_log::{LogEntry, LogReader, ReaderOptions};
use crate::model::workload_of_pod;
use crate::resets::{HOUR, Question, Sources, StreamCounter, Tally};

/// Files of one run; a directory with more is probably not the one meant.
const MAX_FILES: usize = 100_000;
const CHUNK: usize = 256 << 10;
/// How far into a file a zero byte shows that it is not text.
const SNIFFED: usize = 4096;

/// Why the paths could not be expanded.
#[derive(Debug, thiserror::Error)]
pub(super) enum InputError {
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
    #[error("{0} has more than {MAX_FILES} files; name the ones that are meant")]
    TooMany(String),
}

/// One stream of log lines.
#[derive(Clone, Debug)]
pub(super) enum LogInput {
    /// Standard input.
    Stdin,
    /// A file, compressed or not; whether it was named or found in a directory.
    File { path: PathBuf, named: bool },
}

impl LogInput {
    fn name(&self) -> String {
        match self {
            Self::Stdin => "stdin".to_owned(),
            Self::File { path, .. } => path.display().to_string(),
        }
    }
}

/// The files that the paths mean: directories with everything below them, in order of their names.
pub(super) fn expand(paths: &[PathBuf]) -> Result<Vec<LogInput>, InputError> {
    let mut inputs = Vec::new();
    for path in paths {
        if path.as_os_str() == "-" {
            inputs.push(LogInput::Stdin);
            continue;
        }
        let open = |source| InputError::Open { path: path.display().to_string(), source };
        if fs::metadata(path).map_err(open)?.is_dir() {
            let mut found = Vec::new();
            walk(path, &mut found).map_err(open)?;
            if found.len() > MAX_FILES {
                return Err(InputError::TooMany(path.display().to_string()));
            }
            found.sort();
            inputs.extend(found.into_iter().map(|path| LogInput::File { path, named: false }));
        } else {
            inputs.push(LogInput::File { path: path.clone(), named: true });
        }
    }
    Ok(inputs)
}

/// Files below a directory. Links to files are followed (a node's `/var/log/containers` is made of them), links to
/// directories are not: they may lead in circles.
fn walk(directory: &Path, found: &mut Vec<PathBuf>) -> io::Result<()> {
    for entry in fs::read_dir(directory)? {
        let entry = entry?;
        let path = entry.path();
        if entry.file_type()?.is_dir() {
            walk(&path, found)?;
        } else if fs::metadata(&path).is_ok_and(|target| target.is_file()) {
            found.push(path);
        }
        if found.len() > MAX_FILES {
            break;
        }
    }
    Ok(())
}

/// What one input came to.
struct Counted {
    tally: Tally,
    /// Of the uncompressed content.
    hash: u64,
    failed: Option<io::Error>,
}

/// Counts all inputs, as many at once as there are cores, and merges them in their order.
pub(super) fn count(inputs: &[LogInput], question: &Question, options: &ReaderOptions) -> (Tally, Sources) {
    let next = AtomicUsize::new(0);
    let merger = Mutex::new(Merger::default());
    let workers = std::thread::available_parallelism().map_or(1, std::num::NonZero::get).min(inputs.len()).max(1);
    std::thread::scope(|scope| {
        for _ in 0..workers {
            scope.spawn(|| {
                loop {
                    let index = next.fetch_add(1, Ordering::Relaxed);
                    let Some(input) = inputs.get(index) else { break };
                    let counted = count_one(input, question, options);
                    merger.lock().unwrap_or_else(std::sync::PoisonError::into_inner).take(index, counted, inputs);
                }
            });
        }
    });
    let merger = merger.into_inner().unwrap_or_else(std::sync::PoisonError::into_inner);
    (merger.tally, Sources { slot_seconds: HOUR, ..merger.sources })
}

/// Merges in the order of the inputs, so that of two copies the first is the one counted.
#[derive(Default)]
struct Merger {
    tally: Tally,
    sources: Sources,
    waiting: BTreeMap<usize, Option<Counted>>,
    merged: usize,
    /// Length and hash of the contents counted so far, with the name of the first.
    contents: BTreeMap<(u64, u64), String>,
}

impl Merger {
    fn take(&mut self, index: usize, counted: Option<Counted>, inputs: &[LogInput]) {
        self.waiting.insert(index, counted);
        while let Some(counted) = self.waiting.remove(&self.merged) {
            let name = inputs[self.merged].name();
            self.merged += 1;
            let Some(counted) = counted else { continue };
            if let Some(error) = counted.failed {
                self.sources.failed.push((name.clone(), error.to_string()));
            }
            if counted.tally.reading.bytes == 0 {
                continue;
            }
            if let Some(first) = self.contents.get(&(counted.tally.reading.bytes, counted.hash)) {
                self.sources.duplicates.push((name, first.clone()));
                continue;
            }
            self.contents.insert((counted.tally.reading.bytes, counted.hash), name);
            self.sources.count += 1;
            self.tally.merge(counted.tally);
        }
    }
}

/// None for a file of a directory that is not text.
fn count_one(input: &LogInput, question: &Question, options: &ReaderOptions) -> Option<Counted> {
    let opened: io::Result<(Box<dyn Read>, String, bool)> = match input {
        LogInput::Stdin => Ok((Box::new(io::stdin().lock()), "stdin".to_owned(), true)),
        LogInput::File { path, named } => {
            File::open(path).map(|file| (Box::new(file) as Box<dyn Read>, service_of_path(path), *named))
        }
    };
    let failed = |error| Some(Counted { tally: Tally::default(), hash: 0, failed: Some(error) });
    let (mut source, service, named) = match opened {
        Ok(opened) => opened,
        Err(error) => return failed(error),
    };
    let mut beginning = [0; 2];
    let read = match read_full(&mut source, &mut beginning) {
        Ok(read) => read,
        Err(error) => return failed(error),
    };
    let whole = io::Cursor::new(beginning[..read].to_vec()).chain(source);
    let mut content: Box<dyn Read> = if beginning == [0x1f, 0x8b] {
        Box::new(MultiGzDecoder::new(io::BufReader::with_capacity(64 << 10, whole)))
    } else {
        Box::new(whole)
    };
    let mut counter = StreamCounter::new(question, service);
    let mut reader = LogReader::new(options.clone());
    // Not a defence against made-up collisions: those would only hide the log of who makes them.
    let mut hash = std::hash::DefaultHasher::new();
    let mut bytes = 0_u64;
    let mut trouble = None;
    let mut chunk = vec![0; CHUNK];
    loop {
        let read = match content.read(&mut chunk) {
            Ok(0) => break,
            Ok(read) => read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => continue,
            Err(error) => {
                trouble = Some(error);
                break;
            }
        };
        let part = &chunk[..read];
        if bytes == 0 && memchr::memchr(0, &part[..read.min(SNIFFED)]).is_some() {
            let error = io::Error::new(io::ErrorKind::InvalidData, "it is not text (it has zero bytes)");
            return if named { failed(error) } else { None };
        }
        bytes += read as u64;
        hash.write(part);
        reader.feed(part, &mut |entry| take(&mut counter, &entry));
    }
    reader.finish(&mut |entry| take(&mut counter, &entry));
    let odd = reader.oddities();
    let reading = counter.reading();
    reading.bytes = bytes;
    reading.cut_lines = odd.cut_lines;
    reading.invalid_utf8 = odd.invalid_utf8;
    Some(Counted { tally: counter.finish(), hash: hash.finish(), failed: trouble })
}

/// Gives an entry to its counter.
pub(super) fn take(counter: &mut StreamCounter<'_>, entry: &LogEntry<'_>) {
    match entry {
        LogEntry::App(record) => counter.record(record),
        LogEntry::Call { call, logged_at, service } => counter.call(call, *logged_at, *service),
    }
}

fn read_full(source: &mut dyn Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match source.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
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
            || ["log", "txt", "json", "jsonl", "ndjson", "gz", "out", "err"]
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
