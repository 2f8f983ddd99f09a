//! Snapshots out of files: dumps, istioctl's output, bug-report archives, and our own snapshots. No cluster and no
//! kubeconfig is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::{BufRead, BufReader};

use jiff::Timestamp;

use super::documents::{Decoded, decode, each_document};
use super::fetch::{ClusterObject, Objects, ReadError};
use super::file_error::FileError;
use super::ingest::{Ingest, Reading};
use crate::decode::copied;
use crate::decode::dump::{self, DumpError, Item, Node};
use crate::decode::dump_forms::{self, MAX_YAML, OneDump};
use crate::decode::last_updated;
use crate::decode::snapshot;
use crate::decode::{ElementError, Shape};
use crate::input::{ArchiveLimits, Entry, InputError, Text, is_utf16, walk};
use crate::model::{
    ClusterSource, ClusterTimeouts, EnvoyCluster, FailureCause, MeshSnapshot, Proxy, ProxyId, ProxyRole, SkippedProxy,
    UnreadProxy, format_duration,
};
use crate::system::at_most;

/// Reads inputs into one snapshot. An input that cannot be read, and a file that is no dump, is an unread proxy of
/// it that goes by the input's name.
#[must_use]
pub fn offline(inputs: &[String], limits: &ArchiveLimits) -> MeshSnapshot {
    let ingest = Ingest::default();
    let mut taken_at = None;
    let mut names = Names::default();
    each_file(inputs, limits, &mut |file| match file {
        File::Dump { name, pod, reader } => read_dump(&ingest, &mut names, name, pod, reader),
        File::Snapshot { snapshot } => {
            taken_at = taken_at.min(Some(snapshot.taken_at)).or(Some(snapshot.taken_at));
            ingest.with(|builder| {
                let MeshSnapshot { clusters, proxies, skipped, failed, objects, .. } = *snapshot;
                for (context, objects) in objects {
                    builder.objects(context, objects);
                }
                let positions: Vec<u32> = clusters.into_iter().map(|cluster| builder.intern(cluster)).collect();
                for mut proxy in proxies {
                    proxy.clusters = proxy.clusters.iter().map(|position| positions[position as usize]).collect();
                    names.taken.insert(proxy.proxy.id.clone());
                    builder.read(proxy);
                }
                skipped.into_iter().for_each(|skipped| builder.skip(skipped));
                failed.into_iter().for_each(|failed| builder.fail(failed));
            });
            Ok(())
        }
        File::Unread(unread) => {
            ingest.add(Err(unread));
            Ok(())
        }
        File::Skipped(skipped) => {
            ingest.with(|builder| builder.skip(skipped));
            Ok(())
        }
    });
    ingest.take().finish(taken_at.unwrap_or_else(Timestamp::now))
}

/// Reads one file's dump, or the dumps of several proxies that it holds. One of several that cannot be read costs
/// the others nothing.
fn read_dump(
    ingest: &Ingest,
    names: &mut Names,
    name: &str,
    pod: Option<(&str, &str)>,
    reader: &mut dyn BufRead,
) -> Result<(), FileError> {
    let (mut read, mut empty) = (false, false);
    each_document(reader, &mut |heading, reader| {
        let mut reading = Reading::new(Proxy::named(ProxyId::new("", name)));
        let outcome = decode(reader, &mut ingest.taking(&mut reading));
        reading.check().map_err(ReadError::from)?;
        let outcome = outcome?;
        // What a dump says of itself is surer than the line above it.
        let pod = pod.or(heading.filter(|_| reading.node.is_none()));
        match outcome {
            Decoded::Others(dumps) => {
                read = true;
                each_of(dumps, pod, &mut |pod, json| read_dump(ingest, names, name, pod, &mut json.as_bytes()))
                    .map(|failed| failed.into_iter().for_each(|failed| ingest.add(Err(failed))))
            }
            Decoded::One(_) if reading.snapshot.clusters.is_empty() => {
                empty = true;
                Ok(())
            }
            Decoded::One(shape) => {
                read = true;
                describe(&mut reading.snapshot.proxy, pod, reading.node.take(), names);
                let mixed = shape == Shape::Array && ingest.repeats(&reading);
                let id = reading.snapshot.proxy.id.clone();
                ingest.add(Ok(reading));
                if mixed {
                    ingest.add(Err(not_told_apart(id)));
                }
                Ok(())
            }
        }
    })?;
    if let Some(unread) = of_empty(name, empty, read)? {
        ingest.add(Err(unread));
    }
    Ok(())
}

/// What is said of a file of whose documents some have no cluster: where no other was read, that is all there is to say.
fn of_empty(name: &str, empty: bool, read: bool) -> Result<Option<UnreadProxy>, FileError> {
    let nothing = FileError::from(ReadError::NoClusters);
    match (empty, read) {
        (true, false) => Err(nothing),
        (true, true) => Ok(Some(nothing.unread(name))),
        (false, _) => Ok(None),
    }
}

/// That the clusters which were read as this proxy's are several proxies'.
fn not_told_apart(id: ProxyId) -> UnreadProxy {
    let message = "its list has two clusters of one name, so it holds several proxies' clusters, and nothing says where one ends: \
                   they were read as one proxy's; keep each proxy's in a document of its own";
    UnreadProxy { id, cause: FailureCause::NotEnvoy, message: message.to_owned() }
}

/// Reads a dump that is said to be of this pod.
type ReadOne<'a> = dyn FnMut(Option<(&str, &str)>, &str) -> Result<(), FileError> + 'a;

/// Takes the pod that a dump is said to be of, its node and its clusters.
type GiveObjects<'a> = dyn FnMut(Option<(&str, &str)>, Option<Node>, Vec<ClusterObject>) + Send + 'a;

/// Gives each of a file's dumps to `read`; of those that have a name, and cannot be read, the reasons come back.
fn each_of(
    dumps: Vec<OneDump>,
    pod: Option<(&str, &str)>,
    read: &mut ReadOne<'_>,
) -> Result<Vec<UnreadProxy>, FileError> {
    let mut failed = Vec::new();
    for OneDump { proxy, json } in dumps {
        let named = proxy.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
        match (read(named.or(pod), &json), named) {
            (Err(error), Some((namespace, name))) => {
                failed.push(UnreadProxy { id: ProxyId::new(namespace, name), ..error.unread("") });
            }
            (outcome, _) => outcome?,
        }
    }
    Ok(failed)
}

/// The clusters of one file's dump, or of the dumps that it holds, as objects; of several, why some could not be read.
fn dump_objects(
    name: &str,
    pod: Option<(&str, &str)>,
    reader: &mut dyn BufRead,
    give: &mut GiveObjects<'_>,
) -> Result<Vec<UnreadProxy>, FileError> {
    let mut failed = Vec::new();
    let (mut read, mut empty) = (false, false);
    each_document(reader, &mut |heading, reader| {
        let (mut objects, mut node) = (Objects::default(), None);
        let outcome = decode(reader, &mut |element: &[u8], source: ClusterSource| {
            objects.element(element, source)?;
            if node.is_none() && is_bootstrap(element) {
                dump::decode_element(element, source, |item| {
                    if let Item::Node(found) = item {
                        node = Some(found);
                    }
                })?;
            }
            Ok(())
        });
        let pod = pod.or(heading.filter(|_| node.is_none()));
        match outcome {
            Err(FileError::Read(error)) => objects.finish(Err(error)).map(|_| ()).map_err(FileError::from),
            Err(error) => Err(error),
            Ok(Decoded::One(_)) => {
                match objects.finish(Ok(())) {
                    Err(ReadError::NoClusters) => empty = true,
                    objects => {
                        give(pod, node, objects?);
                        read = true;
                    }
                }
                Ok(())
            }
            Ok(Decoded::Others(dumps)) => {
                read = true;
                let unread = each_of(dumps, pod, &mut |pod, json| {
                    failed.extend(dump_objects(name, pod, &mut json.as_bytes(), give)?);
                    Ok(())
                })?;
                failed.extend(unread);
                Ok(())
            }
        }
    })?;
    failed.extend(of_empty(name, empty, read)?);
    Ok(failed)
}

/// Gives the clusters of each proxy in the inputs to `each`, as whole objects in istioctl's form, and returns what could
/// not be read. Of several proxies only one is held at a time.
///
/// # Errors
/// What `each` fails of; then no more is given to it.
pub fn offline_objects<E>(
    inputs: &[String],
    limits: &ArchiveLimits,
    each: &mut (dyn FnMut(Proxy, Vec<ClusterObject>) -> Result<(), E> + Send),
) -> Result<Vec<UnreadProxy>, E>
where
    E: Send,
{
    let mut unread = Vec::new();
    let mut names = Names::default();
    let mut failed = None;
    each_file(inputs, limits, &mut |file| {
        let mut give = |proxy, objects| {
            if failed.is_none() {
                failed = each(proxy, objects).err();
            }
        };
        match file {
            File::Dump { name, pod, reader } => {
                let failed = dump_objects(name, pod, reader, &mut |pod, node, objects| {
                    let mut proxy = Proxy::named(ProxyId::new("", name));
                    describe(&mut proxy, pod, node, &mut names);
                    give(proxy, objects);
                })?;
                unread.extend(failed);
            }
            File::Snapshot { snapshot } => {
                for proxy in &snapshot.proxies {
                    let held = proxy.clusters.iter().map(|position| &snapshot.clusters[position as usize]);
                    let objects =
                        held.filter_map(|cluster| ClusterObject::new(&object(cluster), cluster.source)).collect();
                    give(proxy.proxy.clone(), objects);
                }
                unread.extend(snapshot.failed);
            }
            File::Unread(failed) => unread.push(failed),
            File::Skipped(_) => {}
        }
        Ok(())
    });
    failed.map_or(Ok(unread), Err)
}

/// Takes the pod that a dump is said to be of, its node and its connect timeouts.
type GiveTimeouts<'a> = dyn FnMut(Option<(&str, &str)>, Option<Node>, ClusterTimeouts) + Send + 'a;

/// The connect timeouts of one file's dump, or of the dumps that it holds.
fn dump_timeouts(
    pod: Option<(&str, &str)>,
    reader: &mut dyn BufRead,
    give: &mut GiveTimeouts<'_>,
) -> Result<(), FileError> {
    each_document(reader, &mut |heading, reader| {
        let (mut timeouts, mut times, mut node) = (ClusterTimeouts::new(), Vec::new(), None);
        let decoded = decode(reader, &mut |element: &[u8], source: ClusterSource| {
            last_updated(element, |name, time| times.push((name.to_owned(), time)));
            dump::decode_element(element, source, |item| match item {
                Item::Cluster(cluster, _) => {
                    timeouts.insert(cluster.name.to_string(), cluster.effective_timeout().into());
                }
                Item::Node(found) => node = Some(found),
            })?;
            Ok(())
        })?;
        let pod = pod.or(heading.filter(|_| node.is_none()));
        if let Decoded::Others(dumps) = decoded {
            // What cannot be read of several is said where the proxies are read.
            return each_of(dumps, pod, &mut |pod, json| dump_timeouts(pod, &mut json.as_bytes(), give)).map(|_| ());
        }
        for (name, time) in times {
            if let Some(timeout) = timeouts.get_mut(&name) {
                timeout.since = Some(time);
            }
        }
        give(pod, node, timeouts);
        Ok(())
    })
}

/// The connect timeouts of each proxy in the inputs, with the time since which a dump says that a cluster is as it is.
#[must_use]
pub fn offline_timeouts(inputs: &[String], limits: &ArchiveLimits) -> Vec<(ProxyId, ClusterTimeouts)> {
    let mut proxies = Vec::new();
    let mut names = Names::default();
    each_file(inputs, limits, &mut |file| {
        match file {
            File::Dump { name, pod, reader } => {
                dump_timeouts(pod, reader, &mut |pod, node, timeouts| {
                    let mut proxy = Proxy::named(ProxyId::new("", name));
                    describe(&mut proxy, pod, node, &mut names);
                    proxies.push((proxy.id, timeouts));
                })?;
            }
            File::Snapshot { snapshot } => {
                for proxy in &snapshot.proxies {
                    let held = proxy.clusters.iter().map(|position| &snapshot.clusters[position as usize]);
                    let timeouts = held.map(|cluster| (cluster.name.to_string(), cluster.effective_timeout().into()));
                    proxies.push((proxy.proxy.id.clone(), timeouts.collect()));
                }
            }
            File::Unread(_) | File::Skipped(_) => {}
        }
        Ok(())
    });
    proxies
}

/// What a snapshot still knows of a cluster, as an object.
fn object(cluster: &EnvoyCluster) -> serde_json::Value {
    let mut object = serde_json::Map::new();
    object.insert("name".to_owned(), (*cluster.name).into());
    object.insert("type".to_owned(), (*cluster.discovery_type).into());
    if let Some(timeout) = cluster.connect_timeout {
        object.insert("connectTimeout".to_owned(), format_duration(timeout).into());
    }
    object.into()
}

fn is_bootstrap(element: &[u8]) -> bool {
    memchr::memmem::find(&element[..element.len().min(256)], b"BootstrapConfigDump").is_some()
}

/// A file, told apart by its content.
enum File<'a> {
    Dump {
        name: &'a str,
        pod: Option<(&'a str, &'a str)>,
        reader: &'a mut dyn BufRead,
    },
    Snapshot {
        snapshot: Box<MeshSnapshot>,
    },
    Unread(UnreadProxy),
    /// A pod that is no proxy to be audited.
    Skipped(SkippedProxy),
}

/// Gives each file of the inputs to `take`, and what `take` says of one that is none.
///
/// In `istioctl bug-report`'s layout (`…/proxies/NAMESPACE/POD/FILE`, `tools/bug-report/pkg/archive`) a proxy's
/// dump lies among many files that are no dumps, and only the dump is read.
fn each_file(inputs: &[String], limits: &ArchiveLimits, take: &mut dyn FnMut(File<'_>) -> Result<(), FileError>) {
    for input in inputs {
        let mut reports: BTreeSet<String> = BTreeSet::new();
        let (mut strangers, mut read) = (Vec::new(), false);
        // Of a bug report's proxies: whether a dump of it is there.
        let mut pods: BTreeMap<(String, String), bool> = BTreeMap::new();
        let outcome = walk(input, limits, &mut |name, entry| {
            let (mut pod, mut place) = (None, name.to_owned());
            let result = entry.map_err(FileError::from).and_then(|Entry { path, reader, hidden, .. }| {
                place = path.to_owned();
                if hidden {
                    let (id, reason) = (ProxyId::new("", name), "a hidden file or directory".to_owned());
                    return take(File::Skipped(SkippedProxy { id, reason }));
                }
                if let Some((root, namespace, pod_name, file)) = bug_report_path(path) {
                    reports.insert(root.to_owned());
                    let dumped = pods.entry((namespace.to_owned(), pod_name.to_owned())).or_default();
                    if !file.starts_with("config_dump") {
                        return Ok(());
                    }
                    *dumped = true;
                    pod = Some((namespace.to_owned(), pod_name.to_owned()));
                }
                // PowerShell's `>` writes UTF-16.
                let mut turned;
                let reader: &mut dyn BufRead = if is_utf16(reader.fill_buf().map_err(InputError::from)?) {
                    turned = BufReader::new(Text::new(reader)?);
                    &mut turned
                } else {
                    reader
                };
                let uncovered;
                let mut copied;
                let reader: &mut dyn BufRead = if copied::is_copied(reader.fill_buf().map_err(InputError::from)?) {
                    uncovered = copied::plain(&whole(reader, MAX_YAML)?);
                    copied = uncovered.as_bytes();
                    &mut copied
                } else {
                    reader
                };
                let beginning = reader.fill_buf().map_err(InputError::from)?;
                if let Some((namespace, name)) = &pod
                    && is_ztunnel(name, beginning)
                {
                    let (id, reason) = (ProxyId::new(&**namespace, &**name), "ztunnel, which is not Envoy".to_owned());
                    return take(File::Skipped(SkippedProxy { id, reason }));
                }
                if snapshot::is_ours(beginning) {
                    let snapshot = Box::new(snapshot::read(reader)?);
                    return take(File::Snapshot { snapshot });
                }
                let pod = pod.as_ref().map(|(namespace, name)| (namespace.as_str(), name.as_str()));
                if dump_forms::may_be_yaml(beginning) {
                    return yaml(name, pod, reader, take);
                }
                take(File::Dump { name, pod, reader })
            });
            read |= result.is_ok();
            if let Err(error) = result {
                let mut unread = error.unread(name);
                match pod {
                    Some((namespace, name)) => {
                        unread.id = ProxyId::new(namespace, name);
                        let _ = take(File::Unread(unread));
                    }
                    None => strangers.push((place, unread)),
                }
            }
        });
        if let Err(error) = outcome {
            let _ = take(File::Unread(FileError::Input(error).unread(input)));
        }
        // With no proxy in it, what else a bug report holds tells it.
        let is_own = |(place, _): &(String, UnreadProxy)| {
            place.rsplit('/').next().is_some_and(|file| OF_REPORTS.contains(&file))
        };
        if !read && strangers.iter().filter(|stranger| is_own(stranger)).count() == OF_REPORTS.len() {
            strangers.clear();
            let message =
                "it is a bug report without a proxy: istioctl found none, or was told to leave them out".to_owned();
            let _ =
                take(File::Unread(UnreadProxy { id: ProxyId::new("", input), cause: FailureCause::NotEnvoy, message }));
        }
        for ((namespace, name), _) in pods.into_iter().filter(|((_, name), dumped)| !dumped && !is_ztunnel(name, b"")) {
            let id = ProxyId::new(namespace, name);
            let message = "the bug report has no config dump of it: istioctl could not fetch one".to_owned();
            let _ = take(File::Unread(UnreadProxy { id, cause: FailureCause::Unreachable, message }));
        }
        // A bug report holds logs and lists besides; elsewhere a file that is no dump was meant to be one.
        for (place, unread) in strangers {
            if !reports.iter().any(|root| place.starts_with(root.as_str())) {
                let _ = take(File::Unread(unread));
            }
        }
    }
}

/// Files that every bug report has, and no other folder all of (`tools/bug-report/pkg/bugreport`).
const OF_REPORTS: [&str; 2] = ["bug-report.log", "versions"];

/// Gives the dumps that a YAML file holds.
fn yaml(
    name: &str,
    pod: Option<(&str, &str)>,
    reader: &mut dyn BufRead,
    take: &mut dyn FnMut(File<'_>) -> Result<(), FileError>,
) -> Result<(), FileError> {
    let text = whole(reader, MAX_YAML)?;
    let documents = match dump_forms::yaml_documents(&text) {
        Ok(documents) => documents,
        // Prose may begin as YAML does.
        Err(_) if text.lines().any(|line| copied::begins_json(line.trim_start())) => {
            return take(File::Dump { name, pod, reader: &mut text.as_bytes() });
        }
        Err(error) => return Err(FileError::Yaml(error)),
    };
    if documents.is_empty() {
        return Err(ReadError::Dump(DumpError::NotADump).into());
    }
    if documents.len() > 1 && documents.iter().all(|json| dump_forms::is_part(json.as_bytes())) {
        let one = format!("[{}]", documents.join(","));
        return take(File::Dump { name, pod, reader: &mut one.as_bytes() });
    }
    documents.iter().try_for_each(|json| take(File::Dump { name, pod, reader: &mut json.as_bytes() }))
}

/// The text of a file of at most so many bytes.
fn whole(reader: &mut dyn BufRead, most: usize) -> Result<String, FileError> {
    let bytes = at_most(reader, most as u64).map_err(InputError::from)?;
    let bytes = bytes.ok_or_else(|| ReadError::Dump(ElementError::TooLarge(most).into()))?;
    Ok(String::from_utf8(bytes).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned()))
}

/// Whether a bug report's pod is a ztunnel, by its name or by what its dump begins with.
fn is_ztunnel(pod: &str, beginning: &[u8]) -> bool {
    let begins = |key: &[u8]| memchr::memmem::find(&beginning[..beginning.len().min(4096)], key).is_some();
    pod.starts_with("ztunnel-") || (begins(b"\"workloads\"") && !begins(b"\"configs\""))
}

/// The report's own folder (with a slash at its end, empty where it is the input itself), the namespace, the pod and
/// the file of a path in a bug report.
fn bug_report_path(path: &str) -> Option<(&str, &str, &str, &str)> {
    let mut parts = path.rsplit('/');
    let (file, pod, namespace, proxies) = (parts.next()?, parts.next()?, parts.next()?, parts.next()?);
    let inside = proxies.len() + namespace.len() + pod.len() + file.len() + 3;
    (proxies == "proxies").then(|| (&path[..path.len() - inside], namespace, pod, file))
}

/// What proxies have been named.
#[derive(Default)]
struct Names {
    taken: BTreeSet<ProxyId>,
    /// The last number that one of a name was given: there may be as many as a file has documents.
    numbers: BTreeMap<ProxyId, usize>,
}

/// Names a proxy: by the bug report's path, by what the dump says of itself, else by the input. A second dump of
/// the same pod goes by the input's name, so that none is lost, and a second one that goes by it has a number.
fn describe(proxy: &mut Proxy, pod: Option<(&str, &str)>, node: Option<Node>, names: &mut Names) {
    let mut wanted = None;
    if let Some(node) = node {
        wanted = Some(ProxyId::new(&*node.namespace, &*node.pod));
        proxy.role = match &*node.kind {
            "router" => ProxyRole::Gateway,
            "waypoint" => ProxyRole::Waypoint,
            _ => ProxyRole::Sidecar,
        };
        proxy.istio_version = node.istio_version;
        proxy.revision = node.revision;
        proxy.labels = node.labels;
    }
    if let Some((namespace, name)) = pod {
        wanted = Some(ProxyId::new(namespace, name));
    }
    if let Some(id) = wanted
        && !names.taken.contains(&id)
    {
        proxy.id = id;
    }
    // Of several in one file that do not say whose they are, each has a number.
    if names.taken.insert(proxy.id.clone()) {
        return;
    }
    let number = names.numbers.entry(proxy.id.clone()).or_insert(1);
    let name = proxy.id.name.clone();
    while !names.taken.insert(proxy.id.clone()) {
        *number += 1;
        proxy.id.name = format!("{name}#{number}");
    }
}
