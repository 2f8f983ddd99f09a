//! The logs of pods.

use futures_util::StreamExt as _;

use super::super::interrupt;
use super::stream::LogCounter;
use crate::decode::app_log::ReaderOptions;
use crate::k8s::{Connection, LogSource, read_log};
use crate::model::workload_of_pod;
use crate::resets::{HOUR, Question, Sources, Tally};

/// Logs read at once: enough to hide the way to the API server, few enough for it not to mind.
const AT_ONCE: usize = 16;

/// Reads and counts the logs of these containers. Services are named after workloads, with the namespace in front
/// where there are several.
pub async fn count_pods(
    connection: &Connection,
    containers: &[LogSource],
    question: &Question,
    options: &ReaderOptions,
) -> (Tally, Sources) {
    let several = containers.iter().any(|source| source.namespace != containers[0].namespace);
    let mut reads = futures_util::stream::iter(containers)
        .map(|source| async move {
            let workload = workload_of_pod(&source.pod);
            let service = if several { format!("{}/{workload}", source.namespace) } else { workload.to_owned() };
            (source, count_one(connection, source, service, question, options).await)
        })
        .buffered(AT_ONCE);
    let mut tally = Tally::default();
    let mut sources = Sources { slot_seconds: HOUR, ..Sources::default() };
    while let Some((source, (counted, outcome))) = reads.next().await {
        let whole = outcome.is_ok();
        if let Err(error) = outcome {
            let name = format!("{}/{} ({})", source.namespace, source.pod, source.container);
            sources.failed.push((name, error));
        }
        // What came before a log broke off counts.
        sources.count += usize::from(whole || counted.reading.bytes > 0);
        tally.merge(counted);
    }
    (tally, sources)
}

async fn count_one(
    connection: &Connection,
    source: &LogSource,
    service: String,
    question: &Question,
    options: &ReaderOptions,
) -> (Tally, Result<(), String>) {
    let mut counter = LogCounter::new(question, service, options.clone());
    let mut feed = |chunk: &[u8]| counter.feed(chunk);
    let outcome = tokio::select! {
        biased;
        () = interrupt::ended() => Err("interrupted before its end".to_owned()),
        outcome = read_log(connection, source, question.since, &mut feed) => {
            outcome.map(drop).map_err(|error| error.to_string())
        }
    };
    let (tally, missing) = counter.finish(0);
    (tally, outcome.and(missing.map_or(Ok(()), Err)))
}
