//! `diagnose` on what a log store has of proxies.

use std::collections::HashMap;

use jiff::{SignedDuration, Timestamp};

use super::super::console::Console;
use super::super::failure::Failure;
use super::super::stores::{Containers, Selected, failure, tell};
use super::{DiagnoseArgs, Reading};
use crate::decode::log::LogDecoder;
use crate::store::{ReadOptions, Reader, Source, StoreError, Summary, Wanted, read};

/// What stands in the access log line of a call that went well: status, no reason of the proxy's, an answer of the
/// upstream's (`RESPONSE_CODE` and `RESPONSE_CODE_DETAILS` of Istio's default format).
const WENT_WELL: &str = "200 - via_upstream";

/// Reads what the store has; gives why what was not read is missing.
pub(super) async fn read_all(
    args: &DiagnoseArgs,
    reading: &mut Reading<'_>,
    console: &Console,
) -> Result<Vec<String>, Failure> {
    let live = &args.live;
    if live.follow || live.previous || live.tail.is_some() {
        return Err(Failure::usage("a log store is read as it is: --follow, --tail and --previous are for pods"));
    }
    let now = Timestamp::now();
    let since = live.since.and_then(|since| now.checked_sub(since).ok());
    let cluster = args.store.cluster(&live.kube).await?;
    let (store, mut ask) = args.store.open(&cluster, live.kube.limits(), since, None, now)?;
    let selected = Selected::of(&live.select, &live.targets)?;
    ask.namespace.clone_from(&selected.namespace);
    let options = || ReadOptions {
        given: args.store.fields(None),
        step: 3_600,
        marks: Vec::new(),
        wanted: Wanted::Without(WENT_WELL),
        slack: SignedDuration::ZERO,
        calls: false,
    };
    let (whole_since, whole_until) = (ask.since, ask.until);
    let mut decoding = Decoding { reading, decoders: HashMap::new(), failed: None };
    let proxies = |fields: &_, sample: &[_]| selected.conditions(fields, sample, &Containers::Proxies);
    let mut outcome = read(&*store, &mut ask, &proxies, &options(), &mut decoding).await;
    if matches!(outcome, Err(StoreError::Nothing { .. })) {
        // Proxies that are not Istio's sidecars, or containers under other names.
        (ask.since, ask.until) = (whole_since, whole_until);
        let every = |fields: &_, sample: &[_]| selected.conditions(fields, sample, &Containers::Any);
        outcome = read(&*store, &mut ask, &every, &options(), &mut decoding).await;
    }
    let summary = outcome.map_err(|error| failure(&error))?;
    decoding.end();
    if let Some(failed) = decoding.failed {
        return Err(failed);
    }
    tell(console, store.name(), &ask, &summary);
    let counted: u64 = summary.counted.iter().map(|counted| counted.count).sum();
    reading.counts.lines += counted;
    reading.counts.records += counted;
    let mut unread: Vec<String> = ask.told.lacking();
    unread.extend(summary.broke_off.iter().map(|error| format!("{}: {error}", store.name())));
    Ok(unread)
}

struct Decoding<'d, 'a> {
    reading: &'d mut Reading<'a>,
    decoders: HashMap<Source, (LogDecoder, String)>,
    failed: Option<Failure>,
}

impl Decoding<'_, '_> {
    fn end(&mut self) {
        let mut decoders: Vec<_> = self.decoders.drain().collect();
        decoders.sort_by(|one, other| one.0.cmp(&other.0));
        for (_, (mut decoder, name)) in decoders {
            if let Err(failure) = self.reading.end(&mut decoder, &name) {
                self.failed.get_or_insert(failure);
            }
            self.reading.counts += decoder.counts();
        }
    }
}

impl Reader for Decoding<'_, '_> {
    fn begin(&mut self, _: &Summary) {}

    fn line(&mut self, source: &Source, line: &[u8]) {
        let formats = &self.reading.formats;
        let (decoder, name) = self.decoders.entry(source.clone()).or_insert_with(|| {
            let pod =
                if source.pod.is_empty() { source.to_string() } else { format!("{}/{}", source.namespace, source.pod) };
            (LogDecoder::new(formats.clone(), Timestamp::now()), pod)
        });
        if let Err(failure) = self.reading.line(decoder, line, name) {
            self.failed.get_or_insert(failure);
        }
    }

    fn progress(&mut self, _: Timestamp) {}
}
