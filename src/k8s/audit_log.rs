//! `--audit-log`: a line for each change of a proxy, appended to a file before it is asked for and after.

use std::fs::{File, OpenOptions};
use std::io::{self, Write};
use std::path::Path;
use std::sync::atomic::{AtomicU64, Ordering};
use std::sync::{Arc, Mutex, PoisonError};

use jiff::Timestamp;

use crate::model::{ChangeRecord, ChangeStage, LoggerChange, Who};
use crate::system::{no_wait, owner_only, user_number};

/// The file. Clones write to the same one, a whole line at a time.
#[derive(Debug, Clone)]
pub struct AuditLog(Arc<Mutex<File>>);

impl AuditLog {
    /// Opens a file to append to; one that is made here is for its owner only.
    pub(super) fn open(path: &Path) -> io::Result<Self> {
        let mut options = OpenOptions::new();
        options.create(true).append(true);
        Ok(Self(Arc::new(Mutex::new(no_wait(owner_only(&mut options)).open(path)?))))
    }

    fn write(&self, record: &ChangeRecord) -> io::Result<()> {
        let mut line = serde_json::to_vec(record)?;
        line.push(b'\n');
        let mut file = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        file.write_all(&line)?;
        // What is about to be done has to be known even if this machine fails meanwhile.
        match file.sync_data() {
            Err(error) if !matches!(error.kind(), io::ErrorKind::InvalidInput | io::ErrorKind::Unsupported) => {
                Err(error)
            }
            // A pipe or a terminal keeps nothing.
            _ => Ok(()),
        }
    }
}

/// Records changes of one proxy; without an audit log it does nothing.
#[derive(Debug, Default)]
pub struct Recorder(Option<(AuditLog, ChangeRecord)>);

/// A change that has been announced.
#[derive(Debug)]
pub struct Announced<'r>(Option<(&'r AuditLog, ChangeRecord)>);

impl Recorder {
    /// Of the proxy of a pod, in a cluster that is reached so.
    pub(super) fn new(
        log: AuditLog,
        who: Who,
        (context, server): (&str, &str),
        (namespace, pod): (&str, &str),
    ) -> Self {
        let record = ChangeRecord {
            api_version: "meshaudit/v1",
            kind: "Change",
            time: String::new(),
            id: String::new(),
            stage: ChangeStage::Requested,
            who,
            context: context.to_owned(),
            server: server.to_owned(),
            namespace: namespace.to_owned(),
            pod: pod.to_owned(),
            loggers: Vec::new(),
            error: None,
        };
        Self(Some((log, record)))
    }

    /// Says what is about to be changed. What changes nothing is not said.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn announce(&self, loggers: Vec<LoggerChange>) -> io::Result<Announced<'_>> {
        static NUMBER: AtomicU64 = AtomicU64::new(1);
        let Some((log, template)) = self.0.as_ref().filter(|_| !loggers.is_empty()) else {
            return Ok(Announced(None));
        };
        let now = Timestamp::now();
        let number = NUMBER.fetch_add(1, Ordering::Relaxed);
        let record = ChangeRecord {
            time: now.to_string(),
            id: format!("{:x}-{:x}-{number}", now.as_microsecond(), std::process::id()),
            loggers,
            ..template.clone()
        };
        log.write(&record)?;
        Ok(Announced(Some((log, record))))
    }
}

impl Announced<'_> {
    /// Says what came of it.
    ///
    /// # Errors
    /// When the line cannot be written.
    pub fn ended(self, error: Option<String>) -> io::Result<()> {
        let Some((log, record)) = self.0 else { return Ok(()) };
        let stage = if error.is_some() { ChangeStage::Failed } else { ChangeStage::Done };
        log.write(&ChangeRecord { time: Timestamp::now().to_string(), stage, error, ..record })
    }
}

/// Who uses this program: the machine's user by the environment, the kubeconfig's, and who is impersonated.
pub(super) fn who(user: String, impersonated: Option<String>) -> Who {
    let local = ["SUDO_USER", "USER", "LOGNAME", "USERNAME"].into_iter().find_map(|name| {
        let value = std::env::var(name).ok()?;
        (!value.is_empty()).then_some(value)
    });
    Who { local_user: local.unwrap_or_else(user_number), user, impersonated, pid: std::process::id() }
}
