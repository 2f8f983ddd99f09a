//! Snapshots out of files: dumps, istioctl's output, bug-report archives, and our own snapshots. No cluster and no
//! kubeconfig is needed.

use std::collections::{BTreeMap, BTreeSet};
use std::io::BufRead;

use jiff::Timestamp;

use super::fetch::{ClusterObject, Ingest, MAX_ELEMENT, Objects, ReadError, Reading, TakeElement};
use crate::decode::dump::{self, DumpDecoder, Item, Node};
use crate::decode::snapshot::{self, SnapshotError};
use crate::input::{ArchiveLimits, Entry, InputError, walk};
use crate::model::{
    ClusterSource, EnvoyCluster, FailureCause, MeshSnapshot, Proxy, ProxyId, ProxyRole, SkippedProxy, UnreadProxy,
    format_duration,
};

/// Reads inputs into one snapshot. An input that cannot be read, and a file that is no dump, is an unread proxy of
/// it that goes by the input's name.
#[must_use]
pub fn offline(inputs: &[String], limits: &ArchiveLimits) -> MeshSnapshot {
    let ingest = Ingest::default();
    let mut taken_at = None;
    let mut names = BTreeSet::new();
    each_file(inputs, limits, &mut |file| match file {
        File::Dump { name, pod, reader } => {
            let mut reading = Reading::new(Proxy::named(ProxyId::new("", name)));
            let outcome = decode(reader, &mut |element, source| ingest.element(&mut reading, element, source));
            reading.check().map_err(ReadError::from)?;
            outcome?;
            if reading.snapshot.clusters.is_empty() {
                return Err(ReadError::NoClusters.into());
            }
            describe(&mut reading.snapshot.proxy, pod, reading.node.take(), &mut names);
            ingest.add(Ok(reading));
            Ok(())
        }
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
                    names.insert(proxy.proxy.id.clone());
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

/// Gives the clusters of each proxy in the inputs to `each`, as whole objects in istioctl's form, and returns what could
/// not be read. Of several proxies only one is held at a time.
///
/// # Errors
/// What `each` fails of; then no more is given to it.
pub fn offline_objects<E>(
    inputs: &[String],
    limits: &ArchiveLimits,
    each: &mut dyn FnMut(Proxy, Vec<ClusterObject>) -> Result<(), E>,
) -> Result<Vec<UnreadProxy>, E> {
    let mut unread = Vec::new();
    let mut names = BTreeSet::new();
    let mut failed = None;
    each_file(inputs, limits, &mut |file| {
        let mut give = |proxy, objects| {
            if failed.is_none() {
                failed = each(proxy, objects).err();
            }
        };
        match file {
            File::Dump { name, pod, reader } => {
                let (mut objects, mut node) = (Objects::default(), None);
                let outcome = decode(reader, &mut |element, source| {
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
                let objects = match outcome {
                    Err(FileError::Read(error)) => objects.finish(Err(error))?,
                    other => objects.finish(other.map(|()| Ok(()))?)?,
                };
                let mut proxy = Proxy::named(ProxyId::new("", name));
                describe(&mut proxy, pod, node, &mut names);
                give(proxy, objects);
            }
            File::Snapshot { snapshot } => {
                for proxy in &snapshot.proxies {
                    let held = proxy.clusters.iter().map(|position| &snapshot.clusters[position as usize]);
                    let objects = held.map(|cluster| ClusterObject::new(&object(cluster), cluster.source)).collect();
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

/// Why a file gives nothing.
#[derive(Debug, thiserror::Error)]
enum FileError {
    #[error(transparent)]
    Read(#[from] ReadError),
    #[error(transparent)]
    Snapshot(#[from] SnapshotError),
    #[error(transparent)]
    Input(#[from] InputError),
}

impl FileError {
    fn unread(&self, name: &str) -> UnreadProxy {
        let (cause, message) = match self {
            Self::Read(error @ ReadError::NoClusters) => (error.cause(), "no cluster in it".to_owned()),
            Self::Read(read @ ReadError::Dump(error)) => (read.cause(), format!("no config dump: {error}")),
            Self::Read(error) => (error.cause(), error.to_string()),
            Self::Snapshot(SnapshotError::Json(error)) if error.is_eof() => (FailureCause::Truncated, self.to_string()),
            Self::Snapshot(SnapshotError::TooLarge(_)) => (FailureCause::TooLarge, self.to_string()),
            Self::Snapshot(_) => (FailureCause::NotEnvoy, self.to_string()),
            Self::Input(InputError::Truncated | InputError::Damaged(_)) => (FailureCause::Truncated, self.to_string()),
            Self::Input(InputError::Header { .. } | InputError::Entries(_) | InputError::Unfolds(_)) => {
                (FailureCause::TooLarge, self.to_string())
            }
            Self::Input(_) => (FailureCause::Unreachable, self.to_string()),
        };
        UnreadProxy { id: ProxyId::new("", name), cause, message }
    }
}

/// Gives each file of the inputs to `take`, and what `take` says of one that is none.
///
/// In `istioctl bug-report`'s layout (`…/proxies/NAMESPACE/POD/FILE`, `tools/bug-report/pkg/archive`) a proxy's
/// dump lies among many files that are no dumps, and only the dump is read.
fn each_file(inputs: &[String], limits: &ArchiveLimits, take: &mut dyn FnMut(File<'_>) -> Result<(), FileError>) {
    for input in inputs {
        let mut reports: BTreeSet<String> = BTreeSet::new();
        let mut strangers = Vec::new();
        // Of a bug report's proxies: whether a dump of it is there.
        let mut pods: BTreeMap<(String, String), bool> = BTreeMap::new();
        let outcome = walk(input, limits, &mut |name, entry| {
            let (mut pod, mut place) = (None, name.to_owned());
            let result = entry.map_err(FileError::from).and_then(|Entry { path, reader, .. }| {
                place = path.to_owned();
                if let Some((root, namespace, pod_name, file)) = bug_report_path(path) {
                    reports.insert(root.to_owned());
                    let dumped = pods.entry((namespace.to_owned(), pod_name.to_owned())).or_default();
                    if !file.starts_with("config_dump") {
                        return Ok(());
                    }
                    *dumped = true;
                    pod = Some((namespace.to_owned(), pod_name.to_owned()));
                }
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
                take(File::Dump { name, pod, reader })
            });
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

/// Names a proxy: by the bug report's path, by what the dump says of itself, else by the input. A second dump of
/// the same pod goes by the input's name, so that none is lost.
fn describe(proxy: &mut Proxy, pod: Option<(&str, &str)>, node: Option<Node>, names: &mut BTreeSet<ProxyId>) {
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
        && !names.contains(&id)
    {
        proxy.id = id;
    }
    names.insert(proxy.id.clone());
}

/// Feeds a whole file to a decoder.
fn decode(reader: &mut dyn BufRead, each: &mut TakeElement<'_>) -> Result<(), FileError> {
    let mut decoder = DumpDecoder::new(MAX_ELEMENT, ClusterSource::Active);
    loop {
        let chunk = reader.fill_buf().map_err(InputError::from)?;
        if chunk.is_empty() {
            break;
        }
        let length = chunk.len();
        decoder.feed(chunk, &mut *each).map_err(ReadError::from)?;
        reader.consume(length);
    }
    decoder.finish().map_err(ReadError::from)?;
    Ok(())
}
