//! A progress bar on stderr, for work that takes longer than a moment.

use std::collections::BTreeSet;
use std::sync::{Mutex, PoisonError};
use std::time::Duration;

use indicatif::{ProgressBar, ProgressDrawTarget, ProgressStyle};
use terminal_size::{Width, terminal_size_of};

use super::table::shorten;

/// Work shorter than this shows no bar.
const PATIENCE: Duration = Duration::from_millis(500);

/// A bar that appears once the work has taken longer than a moment. It counts what has ended, and names what has not.
pub struct Bar {
    bar: ProgressBar,
    awaited: Mutex<BTreeSet<String>>,
}

/// How many are named of those that are awaited.
const NAMED: usize = 2;

impl Bar {
    /// A bar; `shown` is whether stderr is a terminal that wants one.
    #[must_use]
    pub fn new(shown: bool, what: &'static str) -> Self {
        let bar = ProgressBar::with_draw_target(Some(0), ProgressDrawTarget::hidden());
        if let Ok(style) = ProgressStyle::with_template("{prefix} {bar:12} {pos}/{len} {elapsed}  {wide_msg}") {
            bar.set_style(style.progress_chars("=> "));
        }
        bar.set_prefix(what);
        if shown {
            let late = bar.clone();
            // Ends with the program, or sees that the bar is finished.
            std::thread::spawn(move || {
                std::thread::sleep(PATIENCE);
                if !late.is_finished() {
                    late.set_draw_target(ProgressDrawTarget::stderr());
                    late.enable_steady_tick(Duration::from_millis(120));
                }
            });
        }
        Self { bar, awaited: Mutex::default() }
    }

    /// These are to be done too.
    pub fn expect(&self, names: Vec<String>) {
        self.bar.inc_length(names.len() as u64);
        self.update(|awaited| awaited.extend(names));
    }

    /// This one is done.
    pub fn done(&self, name: &str) {
        self.update(|awaited| {
            if awaited.remove(name) {
                self.bar.inc(1);
            }
        });
    }

    fn update(&self, change: impl FnOnce(&mut BTreeSet<String>)) {
        let mut awaited = self.awaited.lock().unwrap_or_else(PoisonError::into_inner);
        change(&mut awaited);
        let shown = awaited.len().min(NAMED);
        let names = awaited.iter().take(NAMED).map(|name| {
            let name = super::escape::escape(name);
            shorten(&name, room() / shown.max(1)).into_owned()
        });
        let mut names = names.collect::<Vec<_>>().join(", ");
        if awaited.len() > NAMED {
            names.push_str(&format!(" and {} more", awaited.len() - NAMED));
        }
        self.bar.set_message(if names.is_empty() { names } else { format!("waiting for {names}") });
    }
}

/// What the rest of the line takes: what is done, the bar, the counts, the time, the words before and after the names.
const REST: usize = 60;

/// The columns there are for names.
fn room() -> usize {
    let columns = terminal_size_of(std::io::stderr()).map_or(80, |(Width(columns), _)| usize::from(columns));
    columns.saturating_sub(REST).max(20)
}

impl Drop for Bar {
    fn drop(&mut self) {
        self.bar.finish_and_clear();
    }
}
