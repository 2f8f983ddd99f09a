//! What is fuzzed: every decoder, and archives. Each takes any bytes, and neither panics nor hangs nor holds more than it
//! should. The targets of cargo-fuzz call these, and so does a test, over the seed corpus.

use std::io::Read as _;

use jiff::Timestamp;
use jiff::tz::TimeZone;
use meshaudit::decode::app_log::{LogReader, ReaderOptions};
use meshaudit::decode::dump::{DumpDecoder, cluster_objects, decode_element};
use meshaudit::decode::istio::{self, Kind};
use meshaudit::decode::last_updated;
use meshaudit::decode::log::message::parse;
use meshaudit::decode::log::{AccessFormat, LogDecoder};
use meshaudit::decode::timestamp::{self, TimeContext};
use meshaudit::decode::{
    copied, dump_forms, istiod, lease, located, loggers, mesh_config, pod, pod_config, prometheus, server_info,
    snapshot, stats, syncz, xds_stats, yaml_edit,
};
use meshaudit::diagnose::{DiagnoseOptions, Diagnoser};
use meshaudit::input::{ArchiveLimits, Lines, Text, walk};
use meshaudit::k8s::Target;
use meshaudit::model::objects::IstioObjects;
use meshaudit::model::{ClusterSource, LabelSelector, LevelSpec, ProxyId, format_duration, parse_duration, parse_span};

/// A name, and what takes the bytes.
pub(crate) type FuzzTarget = (&'static str, fn(&[u8]));

/// All of them.
pub(crate) const ALL: [FuzzTarget; 21] = [
    ("access_format", access_format),
    ("app_log", app_log),
    ("archive", archive),
    ("dump", dump),
    ("istiod_pod", istiod_pod),
    ("lease", lease),
    ("levels", levels),
    ("located", located),
    ("log", log),
    ("mesh_config", mesh_config),
    ("message", message),
    ("objects", objects),
    ("pod", pod),
    ("prometheus", prometheus),
    ("rejection", rejection),
    ("snapshot", snapshot),
    ("stats", stats),
    ("syncz", syncz),
    ("text", text),
    ("timestamp", timestamp),
    ("yaml_edit", yaml_edit),
];

fn utf8(bytes: &[u8]) -> std::borrow::Cow<'_, str> {
    String::from_utf8_lossy(bytes)
}

/// A config dump, whole and in pieces: what is found does not depend on where they end.
pub(crate) fn dump(bytes: &[u8]) {
    let read = |size: usize| {
        let mut decoder = DumpDecoder::new(1 << 16, ClusterSource::Active);
        let mut found = Vec::new();
        let fed = bytes.chunks(size).try_for_each(|chunk| {
            decoder.feed(chunk, &mut |element: &[u8], source: ClusterSource| {
                cluster_objects(element, source, |_, _| {})?;
                last_updated(element, |_, _| {});
                decode_element(element, source, |item| found.push(item)).map(|_| ())
            })
        });
        (fed.and_then(|()| decoder.finish()).ok(), found)
    };
    let whole = read(bytes.len().max(1));
    for size in [1, 7] {
        assert_eq!(read(size), whole, "in pieces of {size}");
    }
    // The other forms that dumps are in.
    let _ = dump_forms::of_object(bytes);
    if copied::is_copied(bytes) {
        let plain = copied::plain(&utf8(bytes));
        let _ = dump_forms::of_object(plain.as_bytes());
    }
    if dump_forms::may_be_yaml(bytes) {
        let _ = dump_forms::yaml_documents(&utf8(bytes));
    }
}

/// A proxy's log, which is decoded and diagnosed.
pub(crate) fn log(bytes: &[u8]) {
    let mut decoder = LogDecoder::new(Vec::new(), Timestamp::UNIX_EPOCH);
    let mut diagnoser = Diagnoser::new(DiagnoseOptions::default());
    let Ok(text) = Text::new(bytes) else { return };
    let mut lines = Lines::new(text);
    while let Ok(Some(line)) = lines.next_line() {
        decoder.push(line, &mut |record| drop(diagnoser.push(record, "")));
    }
    decoder.finish(&mut |record| drop(diagnoser.push(record, "")));
    drop(diagnoser.finish());
}

/// A log format and, behind the first line feed, a log in it.
pub(crate) fn access_format(bytes: &[u8]) {
    let text = utf8(bytes);
    let (format, log) = text.split_once('\n').unwrap_or((&text, ""));
    let formats = AccessFormat::text(format)
        .into_iter()
        .chain(AccessFormat::from_mesh_config(&text))
        .chain(AccessFormat::from_config_dump(bytes));
    let mut decoder = LogDecoder::new(formats.collect(), Timestamp::UNIX_EPOCH);
    for line in log.lines() {
        decoder.push(line.as_bytes(), &mut |_| {});
    }
    decoder.finish(&mut |_| {});
}

/// A message of Envoy, of whatever logger.
pub(crate) fn message(bytes: &[u8]) {
    for logger in ["", "pool", "filter"] {
        let _ = parse(logger, &utf8(bytes)).is_known();
    }
}

fn context() -> TimeContext {
    TimeContext::new(TimeZone::UTC, Timestamp::UNIX_EPOCH)
}

/// An application's log, whole and in pieces.
pub(crate) fn app_log(bytes: &[u8]) {
    for size in [3, bytes.len().max(1)] {
        let mut reader = LogReader::new(ReaderOptions { time: context(), service_field: None });
        bytes.chunks(size).for_each(|chunk| reader.feed(chunk, &mut |_| {}));
        reader.finish(&mut |_| {});
    }
}

/// An archive, or any other file, with all that is in it.
pub(crate) fn archive(bytes: &[u8]) {
    let Ok(file) = tempfile::NamedTempFile::new() else { return };
    if std::fs::write(file.path(), bytes).is_err() {
        return;
    }
    let limits = ArchiveLimits { entries: 1000, entry_bytes: 1 << 20, total_bytes: 8 << 20, ..ArchiveLimits::LOGS };
    let mut given = 0;
    let _ = walk(&file.path().to_string_lossy(), &limits, &mut |_, entry| {
        if let Ok(entry) = entry {
            given += std::io::copy(&mut entry.reader.take(1 << 20), &mut std::io::sink()).unwrap_or_default();
        }
    });
    assert!(given <= (1 << 20) * 1000);
}

/// An object of Kubernetes or Istio, as each kind that is read, and manifests.
pub(crate) fn objects(bytes: &[u8]) {
    let text = utf8(bytes);
    for kind in [
        Kind::DestinationRule,
        Kind::Sidecar,
        Kind::EnvoyFilter,
        Kind::ServiceEntry,
        Kind::VirtualService,
        Kind::Service,
        Kind::Node,
        Kind::MutatingWebhookConfiguration,
        Kind::BackendTLSPolicy,
        Kind::XBackendTrafficPolicy,
        Kind::Deployment,
        Kind::ConfigMap,
        Kind::IstioOperator,
        Kind::Istio,
        Kind::ServiceMeshControlPlane,
    ] {
        istio::add(&mut IstioObjects::default(), kind, &text);
    }
    let _ = istio::from_manifests(&text);
}

/// A mesh configuration.
pub(crate) fn mesh_config(bytes: &[u8]) {
    let _ = mesh_config::parse(&utf8(bytes));
}

/// A pod of istiod's, and an injector.
pub(crate) fn istiod_pod(bytes: &[u8]) {
    let text = utf8(bytes);
    let _ = (istiod::istiod_pod(&text), istiod::injector(&text));
}

/// A pod.
pub(crate) fn pod(bytes: &[u8]) {
    let _ = pod_config::admin_port(&utf8(bytes));
    if let Ok(pod) = serde_json::from_slice::<pod::Pod>(bytes) {
        let _ = (pod.name(), pod.weight(), pod.trouble("istio-proxy"), pod.proxy(ProxyId::new("a", "b")));
    }
}

/// What istiod says of its proxies.
pub(crate) fn syncz(bytes: &[u8]) {
    let _ = syncz::parse_syncz(&utf8(bytes));
}

/// What Envoy says when it refuses clusters.
pub(crate) fn rejection(bytes: &[u8]) {
    let _ = syncz::rejection(&utf8(bytes));
}

/// A snapshot.
pub(crate) fn snapshot(bytes: &[u8]) {
    let _ = snapshot::is_ours(bytes);
    if let Ok(read) = snapshot::read(bytes) {
        let mut again = Vec::new();
        if snapshot::write(&read, &mut again).is_ok() {
            assert_eq!(snapshot::read(&*again).ok().as_ref(), Some(&read));
        }
    }
}

/// Counters of connections and of configuration.
pub(crate) fn stats(bytes: &[u8]) {
    let mut decoder = stats::EndpointsDecoder::default();
    let fed = bytes.chunks(5).try_for_each(|chunk| decoder.feed(chunk));
    let mut found = if fed.is_ok() { decoder.finish().unwrap_or_default() } else { Vec::new() };
    let text = utf8(bytes);
    stats::add_stats(&mut found, &text);
    let _ = xds_stats::parse(&text);
}

/// Logger levels, as Envoy lists them, as people ask for them, and as a proxy says it was started with.
pub(crate) fn levels(bytes: &[u8]) {
    let text = utf8(bytes);
    let _ = server_info::startup_log_levels(bytes);
    if let (Some(present), Ok(spec)) =
        (loggers::read(&text), text.lines().last().unwrap_or_default().parse::<LevelSpec>())
    {
        let _ = (spec.wanted(&present), spec.missing(&present));
    }
}

/// A state file of debug-log.
pub(crate) fn lease(bytes: &[u8]) {
    if let Ok(read) = lease::read(bytes) {
        let again = lease::write(&read).unwrap_or_default();
        assert_eq!(lease::read(&again), Ok(read));
    }
}

/// What Prometheus answers.
pub(crate) fn prometheus(bytes: &[u8]) {
    let _ = prometheus::matrix(bytes);
}

/// A timestamp, alone and in front of a text.
pub(crate) fn timestamp(bytes: &[u8]) {
    let mut context = context();
    context.look_ahead(bytes);
    let _ = timestamp::whole(&utf8(bytes), &context);
}

/// What people write into flags and targets: durations, which come back as they were, targets and selectors.
pub(crate) fn text(bytes: &[u8]) {
    let text = utf8(bytes);
    let _ = (text.parse::<Target>(), text.parse::<LabelSelector>(), parse_span(&text));
    if let Ok(duration) = parse_duration(&text) {
        assert_eq!(parse_duration(&format_duration(duration)), Ok(duration));
    }
}

/// A value set in YAML, as its first line says.
pub(crate) fn yaml_edit(bytes: &[u8]) {
    let text = utf8(bytes);
    let _ = yaml_edit::set(&text, &[&["connectTimeout", "connect_timeout"]], "10s");
    let _ = yaml_edit::set(&text, &[&["meshConfig"], &["connectTimeout"]], "10s");
}

/// YAML that people write, read with its places: those of a mistake lie in the text. In YAML a carriage return ends a line,
/// too.
pub(crate) fn located(bytes: &[u8]) {
    let text = utf8(bytes);
    if let Err(mistake) = located::read(&text) {
        let lines = text.replace("\r\n", "\n").matches(['\n', '\r']).count() + 1;
        assert!(mistake.at.line <= lines, "{mistake}");
    }
}
