//! Logger levels over an admin endpoint: read, set, put back.

use std::collections::BTreeSet;
use std::ops::ControlFlow;

use super::LeaseError;
use crate::decode::{loggers, server_info};
use crate::k8s::Recorder;
use crate::model::{LevelDifference, Levels, LoggerChange, LoggerLevels, Proxy, StartLevels, differences};
use crate::reach::{AdminError, AdminRequest, AdminSource};

/// The most bytes that a list of loggers may have.
const MOST: usize = 1 << 20;

/// What reading levels back has shown.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum PutBack {
    /// Every level is as it should be.
    Verified {
        /// How many loggers were compared.
        loggers: usize,
        /// Those that were not as they should be.
        changed: Vec<LevelDifference>,
    },
    /// These are not as they should be, though the proxy took the request.
    Differs(Vec<LevelDifference>),
}

/// Reads every logger's level.
pub async fn read_levels(source: &mut impl AdminSource) -> Result<LoggerLevels, LeaseError> {
    list(source, &AdminRequest::GetLoggers).await
}

/// Sets levels, all in one request, and gives the list that the proxy answers with. `present` is what they are now; a
/// change that cannot be recorded is not made.
pub async fn set_levels(
    source: &mut impl AdminSource,
    levels: &Levels,
    present: &LoggerLevels,
    recorder: &Recorder,
) -> Result<LoggerLevels, LeaseError> {
    let announced = recorder.announce(changes(present, levels)).map_err(LeaseError::AuditLog)?;
    let outcome = send(source, levels).await;
    // It is done, whether it can be said or not; the line before it stands.
    let _ = announced.ended(outcome.as_ref().err().map(ToString::to_string));
    outcome
}

/// The same on the way back, which is gone even where it cannot be recorded.
async fn set_back(
    source: &mut impl AdminSource,
    levels: &Levels,
    present: &LoggerLevels,
    recorder: &Recorder,
) -> Result<LoggerLevels, LeaseError> {
    match set_levels(source, levels, present, recorder).await {
        Err(LeaseError::AuditLog(_)) => send(source, levels).await,
        outcome => outcome,
    }
}

fn changes(present: &LoggerLevels, wanted: &Levels) -> Vec<LoggerChange> {
    let change = |LevelDifference { logger, level, wanted }| LoggerChange { logger, from: level, to: wanted };
    differences(present, wanted).into_iter().map(change).collect()
}

async fn send(source: &mut impl AdminSource, levels: &Levels) -> Result<LoggerLevels, LeaseError> {
    let pairs = levels.iter().map(|(name, level)| (name.clone(), level.clone()));
    match list(source, &AdminRequest::SetLoggers(pairs.clone().collect())).await {
        // An Envoy that does not know `paths` takes it for a logger's name.
        Err(LeaseError::Admin(AdminError::Status { code: 400 | 404, .. })) => {}
        other => return other,
    }
    let mut last = Err(LeaseError::NotLoggers);
    for (name, level) in pairs {
        last = Ok(list(source, &AdminRequest::SetLogger(name, level)).await?);
    }
    last
}

async fn list(source: &mut impl AdminSource, request: &AdminRequest) -> Result<LoggerLevels, LeaseError> {
    let mut text = Vec::new();
    let sink = &mut |chunk: &[u8]| {
        text.extend_from_slice(chunk);
        if text.len() > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    source.send(request, sink).await?;
    if text.len() > MOST {
        return Err(LeaseError::NotLoggers);
    }
    loggers::read(&String::from_utf8_lossy(&text)).ok_or(LeaseError::NotLoggers)
}

/// What a proxy was started with: what it says itself, else what its pod says, else Istio's defaults.
pub async fn read_start(source: &mut impl AdminSource, proxy: &Proxy) -> StartLevels {
    let mut text = Vec::new();
    let sink = &mut |chunk: &[u8]| {
        text.extend_from_slice(chunk);
        if text.len() > MOST { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    // A proxy that does not answer will say so at the next request; what its pod says is the next best.
    let asked = source.send(&AdminRequest::ServerInfo, sink).await;
    let asked = asked.ok().and_then(|()| server_info::startup_log_levels(&text));
    StartLevels::new(asked.as_ref(), &proxy.startup_log_levels)
}

/// Sets every logger to what it should be and reads all of them back. Loggers in `always` are sent even where they
/// seem right: a request that was given up may still be on its way to the proxy, and must not come last.
pub(super) async fn put_back(
    source: &mut impl AdminSource,
    wanted: &Levels,
    always: &BTreeSet<String>,
    recorder: &Recorder,
) -> Result<PutBack, LeaseError> {
    let present = read_levels(source).await?;
    let differing = differences(&present, wanted);
    let mut send: Levels = differing.iter().map(|d| (d.logger.clone(), d.wanted.clone())).collect();
    for name in always.iter().filter(|name| present.0.contains_key(name.as_str())) {
        if let Some(level) = wanted.get(name) {
            send.insert(name.clone(), level.clone());
        }
    }
    if !send.is_empty() {
        set_back(source, &send, &present, recorder).await?;
    }
    let left = differences(&read_levels(source).await?, wanted);
    Ok(if left.is_empty() {
        PutBack::Verified { loggers: wanted.len(), changed: differing }
    } else {
        PutBack::Differs(left)
    })
}

/// Puts loggers that are at debug or trace, without having been started so, to the level they were started with, and
/// touches no other. For a proxy of which nobody knows what was there before.
pub async fn put_to_start(
    source: &mut impl AdminSource,
    start: &StartLevels,
    recorder: &Recorder,
) -> Result<PutBack, LeaseError> {
    let present = read_levels(source).await?;
    let unexplained = start.unexplained(&present);
    if unexplained.is_empty() {
        return Ok(PutBack::Verified { loggers: present.0.len(), changed: unexplained });
    }
    let wanted: Levels = unexplained.iter().map(|d| (d.logger.clone(), d.wanted.clone())).collect();
    set_back(source, &wanted, &present, recorder).await?;
    let left = differences(&read_levels(source).await?, &wanted);
    Ok(if left.is_empty() {
        PutBack::Verified { loggers: present.0.len(), changed: unexplained }
    } else {
        PutBack::Differs(left)
    })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::StartSource;
    use crate::reach::Sink;

    /// An admin endpoint that keeps levels, as Envoy does.
    struct Loggers {
        levels: Levels,
        /// Whether it knows `paths`.
        modern: bool,
        /// A logger that somebody else sets back each time.
        stubborn: Option<&'static str>,
        requests: Vec<AdminRequest>,
    }

    fn levels(pairs: &[(&str, &str)]) -> Levels {
        pairs.iter().map(|(name, level)| ((*name).to_owned(), (*level).to_owned())).collect()
    }

    impl Loggers {
        fn new(pairs: &[(&str, &str)]) -> Self {
            Self { levels: levels(pairs), modern: true, stubborn: None, requests: Vec::new() }
        }
    }

    impl AdminSource for Loggers {
        async fn send(&mut self, request: &AdminRequest, sink: &mut Sink<'_>) -> Result<(), AdminError> {
            self.requests.push(request.clone());
            let set = match request {
                AdminRequest::SetLoggers(_) if !self.modern => {
                    return Err(AdminError::Status { code: 404, text: "usage: /logging?name=level".to_owned() });
                }
                AdminRequest::SetLoggers(pairs) => pairs.clone(),
                AdminRequest::SetLogger(name, level) => vec![(name.clone(), level.clone())],
                _ => Vec::new(),
            };
            for (name, level) in set.into_iter().filter(|(name, _)| self.stubborn != Some(name)) {
                self.levels.insert(name, level);
            }
            let list: String = self.levels.iter().map(|(name, level)| format!("  {name}: {level}\n")).collect();
            let _ = sink(format!("active loggers:\n{list}").as_bytes());
            Ok(())
        }
    }

    fn changed(put_back: &PutBack) -> Option<usize> {
        match put_back {
            PutBack::Verified { changed, .. } => Some(changed.len()),
            PutBack::Differs(_) => None,
        }
    }

    #[tokio::test]
    async fn puts_back_what_differs_and_what_was_set() {
        let before = levels(&[("admin", "warning"), ("misc", "error"), ("pool", "warning")]);
        let mut envoy = Loggers::new(&[("admin", "info"), ("misc", "error"), ("pool", "warning")]);
        let always = BTreeSet::from(["pool".to_owned(), "unknown".to_owned()]);
        let restored = put_back(&mut envoy, &before, &always, &Recorder::default()).await.expect("an answer");
        assert_eq!(changed(&restored), Some(1));
        assert_eq!(envoy.levels, before);
        let sent = AdminRequest::SetLoggers(vec![
            ("admin".to_owned(), "warning".to_owned()),
            ("pool".to_owned(), "warning".to_owned()),
        ]);
        assert_eq!(envoy.requests, [AdminRequest::GetLoggers, sent, AdminRequest::GetLoggers]);
        // A second time there is nothing to send but what a lost request might have changed.
        put_back(&mut envoy, &before, &BTreeSet::new(), &Recorder::default()).await.expect("an answer");
        assert_eq!(envoy.requests[3..], [AdminRequest::GetLoggers, AdminRequest::GetLoggers]);
    }

    #[tokio::test]
    async fn says_what_is_not_as_it_was() {
        let mut envoy = Loggers { stubborn: Some("pool"), ..Loggers::new(&[("client", "debug"), ("pool", "debug")]) };
        let before = levels(&[("client", "warning"), ("pool", "warning")]);
        let restored = put_back(&mut envoy, &before, &BTreeSet::new(), &Recorder::default()).await.expect("an answer");
        let left = LevelDifference { logger: "pool".into(), level: "debug".into(), wanted: "warning".into() };
        assert_eq!(restored, PutBack::Differs(vec![left]));
    }

    #[tokio::test]
    async fn sets_one_by_one_where_it_must() {
        let mut envoy = Loggers { modern: false, ..Loggers::new(&[("client", "warning"), ("pool", "warning")]) };
        let answer = send(&mut envoy, &levels(&[("client", "debug"), ("pool", "trace")])).await.expect("a list");
        assert_eq!(answer.verbose().collect::<Vec<_>>(), [("client", "debug"), ("pool", "trace")]);
        assert_eq!(envoy.requests.len(), 3);
    }

    #[tokio::test]
    async fn puts_to_start_what_is_verbose_and_nothing_else() {
        let mut envoy = Loggers::new(&[("admin", "info"), ("client", "debug"), ("misc", "warning"), ("pool", "debug")]);
        let start =
            StartLevels { spec: "warning,misc:error,pool:debug".parse().expect("a spec"), source: StartSource::Proxy };
        let done = put_to_start(&mut envoy, &start, &Recorder::default()).await.expect("an answer");
        assert_eq!(changed(&done), Some(1));
        assert_eq!(
            envoy.levels,
            levels(&[("admin", "info"), ("client", "warning"), ("misc", "warning"), ("pool", "debug")])
        );
        let requests = envoy.requests.len();
        put_to_start(&mut envoy, &start, &Recorder::default()).await.expect("an answer");
        // Nothing is left to be set: it is looked, and that is all.
        assert_eq!(envoy.requests[requests..], [AdminRequest::GetLoggers]);
    }
}
