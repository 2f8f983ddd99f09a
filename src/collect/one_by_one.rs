//! Proxies that are read one after the other, since what they answer is too large to be held of several. All are asked
//! whether they answer side by side, so that one that hangs holds up nobody.

use std::collections::VecDeque;
use std::ops::ControlFlow;
use std::panic::resume_unwind;
use std::sync::Arc;

use tokio::sync::oneshot;
use tokio::task::JoinHandle;
use tokio::time::{Instant, timeout_at};

use super::fetch::{ClusterObject, ReadError, read_objects};
use super::limiter::Limiter;
use crate::k8s::Connection;
use crate::model::{Proxy, ProxyId, UnreadProxy};
use crate::reach::{AdminError, AdminRequest, AdminSource as _, Limits, Tunnel};

/// A proxy's clusters with every field, or why they could not be read.
pub type ReadObjects = Result<Vec<ClusterObject>, UnreadProxy>;

/// Reads proxies in their order, those that are silent at first behind the others.
pub struct OneByOne {
    connection: Arc<Connection>,
    limits: Limits,
    concurrency: usize,
    proxies: std::vec::IntoIter<Proxy>,
    asked: VecDeque<Asked>,
    late: VecDeque<Asked>,
}

/// A proxy that was asked whether it answers, and is read when its turn comes, by a task of its own.
struct Asked {
    proxy: Proxy,
    since: Instant,
    answered: oneshot::Receiver<()>,
    turn: Option<oneshot::Sender<()>>,
    reading: JoinHandle<ReadObjects>,
}

impl OneByOne {
    /// Of these proxies, so many are asked at once.
    #[must_use]
    pub fn new(connection: Arc<Connection>, proxies: Vec<Proxy>, limits: Limits, concurrency: usize) -> Self {
        let proxies = proxies.into_iter();
        Self { connection, limits, concurrency, proxies, asked: VecDeque::new(), late: VecDeque::new() }
    }

    /// The next proxy that was read, or could not be.
    pub async fn next(&mut self) -> Option<(Proxy, ReadObjects)> {
        loop {
            while self.asked.len() < self.concurrency
                && self.late.len() < Limiter::ASIDE
                && let Some(proxy) = self.proxies.next()
            {
                self.asked.push_back(Asked::new(Arc::clone(&self.connection), proxy, self.limits));
            }
            let Some(mut first) = self.asked.pop_front() else { break };
            if timeout_at(first.since + Limiter::QUIET, &mut first.answered).await.is_ok() {
                return Some(first.read().await);
            }
            self.late.push_back(first);
        }
        Some(self.late.pop_front()?.read().await)
    }
}

impl Asked {
    fn new(connection: Arc<Connection>, proxy: Proxy, limits: Limits) -> Self {
        let ((answers, answered), (turn, its_turn)) = (oneshot::channel(), oneshot::channel());
        let (id, port) = (proxy.id.clone(), proxy.admin_port);
        let reading = tokio::spawn(async move {
            let mut tunnel = Tunnel::new(&connection, &id.namespace, &id.name, port, limits);
            ask(&mut tunnel, &id).await?;
            // Whoever has gone waits for no answer, and gives no turn.
            let _ = answers.send(());
            let _ = its_turn.await;
            read_objects(&mut tunnel, &id).await
        });
        Self { proxy, since: Instant::now(), answered, turn: Some(turn), reading }
    }

    async fn read(mut self) -> (Proxy, ReadObjects) {
        drop(self.turn.take());
        let read = (&mut self.reading).await;
        (self.proxy.clone(), read.unwrap_or_else(|error| resume_unwind(error.into_panic())))
    }
}

impl Drop for Asked {
    fn drop(&mut self) {
        self.reading.abort();
    }
}

/// Waits until a proxy answers anything; a word is expected, and no more than a page is taken.
async fn ask(tunnel: &mut Tunnel<'_>, id: &ProxyId) -> Result<(), UnreadProxy> {
    let mut left = 16_usize << 10;
    let heard = &mut |chunk: &[u8]| {
        left = left.saturating_sub(chunk.len());
        if left == 0 { ControlFlow::Break(()) } else { ControlFlow::Continue(()) }
    };
    match tunnel.send(&AdminRequest::Ready, heard).await {
        Ok(()) | Err(AdminError::Status { .. }) => Ok(()),
        Err(error) => Err(ReadError::from(error).unread(id.clone())),
    }
}
