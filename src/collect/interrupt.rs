//! Ctrl-C while something is read: the first ends the reading, and what was read so far is shown; a second ends the
//! program at once. `debug-log` and followed logs have signals of their own (`debug_log::listen`).

use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Stop, Stopper};
use crate::input::Until;
use crate::k8s::Deadline;

/// What a shell gives a process that SIGINT has ended.
const INTERRUPTED: i32 = 130;

static STOP: OnceLock<Stop> = OnceLock::new();

/// Shells and wrappers signal a process and then its whole group: that is one wish, not two.
const ONE_WISH: Duration = Duration::from_millis(300);

/// Listens from now on. A thread of its own does, so that what blocks can be ended too.
pub fn listen() -> Stop {
    let start = || {
        let (stopper, stop) = Stopper::new();
        std::thread::spawn(move || {
            let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
            // Without one, Ctrl-C does what it does to every program.
            if let Ok(runtime) = runtime {
                runtime.block_on(hear(&stopper));
            }
        });
        stop
    };
    STOP.get_or_init(start).clone()
}

async fn hear(stopper: &Stopper) {
    let mut last: Option<Instant> = None;
    while tokio::signal::ctrl_c().await.is_ok() {
        if last.replace(Instant::now()).is_some_and(|last| last.elapsed() < ONE_WISH) {
            continue;
        }
        if stopper.stop() > 1 {
            #[expect(clippy::exit, reason = "whoever asks twice does not want to wait for anything")]
            std::process::exit(INTERRUPTED);
        }
    }
}

/// Whether somebody has asked for the end.
pub fn happened() -> bool {
    STOP.get().is_some_and(|stop| stop.count() > 0)
}

/// When the reading of inputs ends: with this deadline, if there is one, and as soon as somebody asks for the end.
#[must_use]
pub fn until(deadline: Option<Deadline>) -> Until {
    let _ = listen();
    Until::new(deadline.map(Deadline::moment), happened)
}

/// Waits for somebody to ask for the end.
pub async fn ended() {
    listen().reached(1).await;
}
