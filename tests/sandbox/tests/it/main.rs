//! The sandbox held against what the real things do: Envoy, kubectl, a kubelet.

#![expect(clippy::unwrap_used, reason = "a test that can't go on should stop where it is")]

mod api;
mod canned;
mod client;
mod control_plane;
mod faults;
mod incident;
mod kubectl;
mod lifetime;
mod proxy;
mod tunnel;
mod versions;

use std::sync::LazyLock;

use meshaudit_sandbox::Sandbox;

/// The incident, shared by the tests that leave it as it is. It is never dropped: the processes it has
/// started end with this one.
static INCIDENT: LazyLock<Sandbox> = LazyLock::new(|| Sandbox::start(meshaudit_sandbox::incident::mesh()).unwrap());

/// A small mesh without Envoys, for tests that change or break something.
fn small() -> Sandbox {
    Sandbox::start(meshaudit_sandbox::canned::mesh(12, 30)).unwrap()
}
