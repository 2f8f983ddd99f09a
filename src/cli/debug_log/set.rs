//! `--on`, and what `--dry-run` says of it.

use super::super::console::Console;
use super::super::exit::Exit;
use super::super::failure::Failure;
use super::finish;
use super::site::{Site, changes};
use crate::collect::{Held, LeaseError, Restoring, Taking, acquire, read_levels, restore, set_levels};
use crate::model::{Proxy, StartSource, differences};
use crate::report::debug_log::{DebugLogReport, LevelState, LoggerLevel, ProxyLevels, moment};
use crate::report::look::count;

/// What `--on` or a session would change.
pub(super) async fn plan(site: &Site<'_>, proxies: Vec<Proxy>) -> Result<Exit, Failure> {
    let spec = site.args.spec();
    let items = site
        .each(&proxies, async |proxy| {
            let name = proxy.id.to_string();
            match read_levels(&mut site.tunnel(&proxy)).await {
                Ok(present) => {
                    let mut item = ProxyLevels::new(name, LevelState::AsFound);
                    (item.loggers, item.missing) = (Some(present.0.len()), spec.missing(&present));
                    item.levels = changes(&present, &spec.wanted(&present));
                    item
                }
                Err(error) => ProxyLevels::failed(name, error.to_string()),
            }
        })
        .await;
    let action = if site.args.on { "on" } else { "session" };
    finish(site.args, site.console, DebugLogReport::new(action, true, Some(site.restore_command()), items))
}

pub(super) async fn on(site: &Site<'_>, proxies: Vec<Proxy>) -> Result<Exit, Failure> {
    let command = site.restore_command();
    announce(site.console, &command);
    let taking = site.taking(&proxies, "--on").await;
    let items = site
        .each(&proxies, async |proxy| {
            turn_on(site, &proxy, &taking)
                .await
                .unwrap_or_else(|error| ProxyLevels::failed(proxy.id.to_string(), error.to_string()))
        })
        .await;
    finish(site.args, site.console, DebugLogReport::new("on", false, Some(command), items))
}

/// Says how to put levels back, before any is changed.
pub(super) fn announce(console: &Console, command: &str) {
    console.note(&format!(
        "The levels are kept first. Should this be killed, they are put back with\n  {}",
        console.err.strong(command)
    ));
}

/// Sets one proxy's levels. Where that fails, it may have been done half: then they are put back at once.
async fn turn_on(site: &Site<'_>, proxy: &Proxy, taking: &Taking) -> Result<ProxyLevels, LeaseError> {
    let mut tunnel = site.tunnel(proxy);
    let held = acquire(site.connection, &mut tunnel, proxy, &site.store, taking).await?;
    let mut item = ProxyLevels::new(proxy.id.to_string(), LevelState::On);
    let recorder = site.connection.recorder(&proxy.id.namespace, &proxy.id.name);
    match set_levels(&mut tunnel, &held.wanted, &held.present, &recorder).await {
        Ok(answer) => {
            describe(&mut item, &held);
            for left in differences(&answer, &held.wanted) {
                item.messages.push(format!("{} stayed at {}", left.logger, left.level));
            }
            if let Some(until) = held.lease.until {
                item.messages
                    .push(format!("until {}, by whatever command of this program comes next then", moment(until)));
            }
        }
        Err(error) => {
            let waiting = Waiting::new(site.console, proxy.id.to_string());
            let how = Restoring {
                connection: site.connection,
                limits: site.args.limits(),
                patience: site.args.patience(),
                retrying: &|error| waiting.say(error),
            };
            item = site.ended(&held.lease, restore(&held.claim, &held.lease, how).await);
            item.messages.push(format!("the levels could not be set: {error}"));
            if matches!(item.state, LevelState::Restored | LevelState::Unchanged) {
                item.state = LevelState::Failed;
            }
        }
    }
    Ok(item)
}

/// Whose levels those are that nothing explains.
pub(super) const ANOTHERS: &str = "probably another session's";

/// What holding a proxy's levels has to say about them.
pub(super) fn describe(item: &mut ProxyLevels, held: &Held) {
    let before = |name: &String| held.lease.levels.get(name).cloned().unwrap_or_default();
    let change = |(logger, target): (&String, &String)| LoggerLevel {
        logger: logger.clone(),
        level: before(logger),
        target: target.clone(),
    };
    item.levels = held.wanted.iter().map(change).collect();
    item.loggers = Some(held.lease.levels.len());
    item.missing.clone_from(&held.missing);
    if let Some(former) = &held.former {
        item.messages.push(format!(
            "was left on since {}; the levels before that are the ones to go back to",
            moment(former.taken_at)
        ));
    }
    if !held.found_verbose.is_empty() {
        let guess = if held.start == StartSource::Default { ", by Istio's defaults, which is a guess" } else { "" };
        item.messages.push(format!(
            "{} at debug or trace already, though the proxy was not started so{guess}: {ANOTHERS}; what is gone back to \
             is the level that it was started with",
            count(held.found_verbose.len(), "logger was", "loggers were")
        ));
    }
    if let Some((error, place)) = &held.aside {
        item.messages.push(format!("{error}; it was moved to {}", place.display()));
    }
}

/// Says what is waited for: at once, and then every ten seconds.
pub(super) struct Waiting<'a> {
    console: &'a Console,
    proxy: String,
    last: std::sync::Mutex<Option<std::time::Instant>>,
}

impl<'a> Waiting<'a> {
    pub(super) fn new(console: &'a Console, proxy: String) -> Self {
        Self { console, proxy, last: std::sync::Mutex::new(None) }
    }

    pub(super) fn say(&self, error: &LeaseError) {
        const EVERY: std::time::Duration = std::time::Duration::from_secs(10);
        let mut last = self.last.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        if last.is_none_or(|last| last.elapsed() >= EVERY) {
            *last = Some(std::time::Instant::now());
            self.console.warn(&format!("{}: its levels are not put back yet, trying again: {error}", self.proxy));
        }
    }
}
