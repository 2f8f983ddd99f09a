//! A mesh to test against: a small Kubernetes API server in front of real Envoy processes, and the
//! incident that `kubectl meshaudit` exists for.
//!
//! ```text
//! kubectl, kube-rs ──TLS──▶ api ──▶ store (objects)                 istiod: control_plane, istio
//!                            │                                         │ pushes clusters by file
//!                            └─ tunnel ──▶ faults ──▶ admin port ──▶ Envoy ──▶ upstream (loses SYNs)
//!                                                └──▶ canned answers     ▲
//!                                                                        └── the application's calls
//! ```
//!
//! - [`Sandbox`] starts a [`Mesh`] and is what tests hold: a kubeconfig with a user for each situation,
//!   faults, counters, the application's calls, and waiting until istiod has pushed.
//! - [`incident::mesh`] is the standard mesh and [`incident::expected`] what an audit must find in it;
//!   [`canned::mesh`] is as large as you ask.
//! - [`api`] answers as a Kubernetes 1.37 API server and kubelet do; the real kubectl is among its tests.
//! - Nothing needs privileges, nothing listens beyond loopback, and whatever is started ends with the
//!   process that started it, also by SIGKILL.
//!
//! ```no_run
//! use meshaudit_sandbox::{Sandbox, faults::Fault, incident};
//!
//! let sandbox = Sandbox::start(incident::mesh())?;
//! sandbox.fault("shop", "cart-6c4bb9f7d8-5tqvn", Fault::Hang);
//! println!("export KUBECONFIG={}", sandbox.kubeconfig().display());
//! println!("{:?}", sandbox.drive_client());
//! # Ok::<(), meshaudit_sandbox::Error>(())
//! ```

pub mod admin;
pub mod api;
mod application;
pub mod canned;
mod control_plane;
mod eds;
pub mod envoy;
pub mod faults;
pub mod incident;
pub mod istio;
pub mod log;
pub mod mesh;
pub mod odd_tls;
mod patch;
mod sandbox;
pub mod selector;
pub mod stats;
pub mod status;
pub mod store;
pub mod upstream;
pub mod users;
pub mod wheel;

pub use mesh::Mesh;
pub use sandbox::{Call, Outcome, Sandbox};

/// What keeps a sandbox from starting.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// A program could not be had.
    #[error("{package} {version}: {message}; put the program there yourself and name it in {variable}")]
    Wheel {
        /// The package.
        package: &'static str,
        /// Its version.
        version: &'static str,
        /// The environment variable that names a program instead.
        variable: &'static str,
        /// What happened.
        message: String,
    },
    /// An Envoy did not come up.
    #[error("envoy of {pod}: {message}")]
    Envoy {
        /// Whose.
        pod: String,
        /// What happened.
        message: String,
    },
    /// The API server could not start.
    #[error("api server: {0}")]
    Server(String),
}

impl Error {
    fn server(error: impl std::fmt::Display) -> Self {
        Self::Server(error.to_string())
    }
}
