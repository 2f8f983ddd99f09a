//! What istiod is asked: its own debug pages, not a proxy's admin endpoint.

/// A page of istiod's; all of them are read-only (`pilot/pkg/xds/debug.go`).
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum IstiodPage {
    /// The mesh configuration that it uses, defaults filled in.
    Mesh,
    /// Which proxies are connected, and what they have accepted.
    Syncz,
}

impl IstiodPage {
    /// Its path.
    #[must_use]
    pub fn path(self) -> &'static str {
        match self {
            Self::Mesh => "/debug/mesh",
            Self::Syncz => "/debug/syncz",
        }
    }
}
