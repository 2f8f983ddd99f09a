//! What stands in the place of a log that could not be read: the words of the kubelet, a container's runtime or the client
//! that was asked for it.

/// How such lines begin: the kubelet's (`pkg/kubelet/kuberuntime/kuberuntime_container.go` and `logs/logs.go`), kubectl's and
/// docker's.
const BEGINNINGS: [&str; 16] = [
    "unable to retrieve container logs for ",
    "failed to try resolving symlinks in path ",
    "failed to open log file ",
    "failed to create fsnotify watcher",
    "failed to watch file ",
    "failed to watch directory ",
    "failed to parse container ID ",
    "rpc error: code = NotFound desc = an error occurred when try to find container",
    "Error from server (",
    "Error from server: ",
    "error: a container name must be specified for pod ",
    "error: You must be logged in to the server",
    "The connection to the server ",
    "Unable to connect to the server: ",
    "Error: No such container: ",
    "Error response from daemon: ",
];

/// Whether a line says that the log, or the rest of it, could not be read.
pub(super) fn stands_for_log(text: &str) -> bool {
    matches!(text.as_bytes().first(), Some(b'u' | b'f' | b'r' | b'e' | b'E' | b'T' | b'U'))
        && BEGINNINGS.iter().any(|beginning| text.starts_with(beginning))
}
