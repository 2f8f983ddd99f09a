//! `--show`: the levels that differ from what the proxy was started with.

use super::super::exit::Exit;
use super::super::failure::Failure;
use super::site::{Site, basis};
use super::{Format, exit, write_report};
use crate::collect::{Kept, read_levels, read_start};
use crate::model::Proxy;
use crate::report::debug_log::{self as report, DebugLogReport, LevelState, LoggerLevel, ProxyLevels};
use crate::report::look::count;

pub(super) async fn run(site: &Site<'_>, proxies: Vec<Proxy>) -> Result<Exit, Failure> {
    let (args, console) = (site.args, site.console);
    let items = site.each(&proxies, async |proxy| look(site, &proxy).await).await;
    let exit = exit(&items);
    if args.output != Format::Table {
        write_report(args, console, &DebugLogReport::new("show", false, None, items))?;
        return exit;
    }
    let exit = exit?;
    console.print(&report::levels(&items, args.look(console)))?;
    for item in items.iter().filter(|item| item.state == LevelState::Failed || !item.messages.is_empty()) {
        let short = ProxyLevels { levels: Vec::new(), ..item.clone() };
        let words = if item.state == LevelState::Failed {
            report::sentence(&short, false, console.err, usize::MAX)
        } else {
            let command =
                item.command.as_ref().map_or_else(String::new, |command| format!("; put back with\n  {command}"));
            format!("{}: {}{command}", item.proxy, item.messages.join("; "))
        };
        console.note(&words);
    }
    let read = items.iter().filter(|item| item.state != LevelState::Failed).count();
    let differs = |item: &ProxyLevels| item.levels.iter().any(|level| level.level != level.target);
    if read > 0 && !items.iter().any(differs) {
        console
            .note(&format!("Every logger of {} has the level it was started with.", count(read, "proxy", "proxies")));
    }
    Ok(exit)
}

async fn look(site: &Site<'_>, proxy: &Proxy) -> ProxyLevels {
    let name = proxy.id.to_string();
    let mut tunnel = site.tunnel(proxy);
    let present = match read_levels(&mut tunnel).await {
        Ok(present) => present,
        Err(error) => return ProxyLevels::failed(name, error.to_string()),
    };
    let start = read_start(&mut tunnel, proxy).await;
    let wanted = start.spec.wanted(&present);
    let of = |(logger, level): (&std::sync::Arc<str>, &std::sync::Arc<str>)| LoggerLevel {
        logger: logger.to_string(),
        level: level.to_string(),
        target: wanted.get(&**logger).cloned().unwrap_or_default(),
    };
    let all = site.args.all_loggers;
    let levels = present.0.iter().map(of).filter(|item| all || item.level != item.target).collect();
    let mut item = ProxyLevels::new(name, LevelState::AsFound);
    (item.basis, item.loggers, item.levels) = (Some(basis(start.source)), Some(present.0.len()), levels);
    match site.store.find(&proxy.uid) {
        Kept::Lease(lease) if lease.restart_count == proxy.restart_count => {
            let until = lease.until.map_or_else(String::new, |until| format!(", until {}", report::moment(until)));
            item.messages.push(format!("set by debug-log at {}{until}", report::moment(lease.taken_at)));
            item.command = Some(site.restore_one(&lease.namespace, &lease.pod));
        }
        Kept::Broken(error) => item.messages.push(error.to_string()),
        _ => {}
    }
    item
}
