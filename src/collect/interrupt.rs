//! Ctrl-C while something is read: the first ends the reading, and what was read so far is shown; a second ends the
//! program at once. `debug-log` and followed logs have signals of their own (`debug_log::listen`).

use std::io::{self, Read};
use std::sync::OnceLock;
use std::time::{Duration, Instant};

use super::{Stop, Stopper};

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

/// A reader that ends with an error once somebody has asked for the end.
#[derive(Debug)]
pub struct Interruptible<R>(pub R);

impl<R: Read> Read for Interruptible<R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        if happened() {
            return Err(io::Error::other("interrupted before its end"));
        }
        self.0.read(buffer)
    }
}

/// Waits for somebody to ask for the end.
pub async fn ended() {
    listen().reached(1).await;
}
