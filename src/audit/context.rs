//! What rules see.

use std::sync::Arc;
use std::time::Duration;

use super::Policy;
use super::finding::{Action, Finding, RuleInfo};
use super::policy::Applied;
use super::recommend::{Reach, Recommender};
use super::row::Row;
use crate::attribute::Attributor;
use crate::model::{MeshSnapshot, ProxyId};

/// The mesh's own value for one control plane, as far as it is known.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct MeshValue {
    /// The kubeconfig context, when several are audited.
    pub context: String,
    /// The control plane's revision; empty where unknown.
    pub revision: String,
    /// `meshConfig.connectTimeout` as it takes effect.
    pub connect_timeout: Duration,
    /// What says so.
    pub source: String,
    /// How the control plane was installed; empty where unknown.
    pub install: String,
}

/// Everything a rule may look at.
pub struct Context<'a> {
    /// What was read.
    pub snapshot: &'a MeshSnapshot,
    /// The distinct values.
    pub rows: &'a [Arc<Row>],
    /// What is expected.
    pub policy: &'a Policy,
    /// What that means for this snapshot.
    pub(super) applied: &'a Applied<'a>,
    /// The mesh's own values.
    pub mesh: &'a [MeshValue],
    /// Where values come from.
    pub attributor: &'a Attributor<'a>,
    /// What values to set, and what the proxies counted.
    pub recommender: &'a Recommender<'a>,
}

impl<'a> Context<'a> {
    /// The rows that rules judge.
    pub fn judged(&self) -> impl Iterator<Item = &'a Arc<Row>> + use<'a> {
        self.rows.iter().filter(|row| row.is_judged())
    }

    /// The change that gives a row the value recommended for it.
    #[must_use]
    pub fn set_timeout(&self, row: &'a Row, reach: Reach) -> Action {
        Action::SetTimeout { at: row.origin.clone(), reach, or_remove: None, to: self.recommender.for_row(row, reach) }
    }

    /// The control plane of a proxy: its context and its revision.
    #[must_use]
    pub fn control_plane(&self, proxy: u32) -> (&'a str, &'a str) {
        let proxy = &self.snapshot.proxies[proxy as usize].proxy;
        (&proxy.id.context, &proxy.revision)
    }

    /// A proxy's name.
    #[must_use]
    pub fn proxy(&self, proxy: u32) -> &'a ProxyId {
        &self.snapshot.proxies[proxy as usize].proxy.id
    }
}

/// A check of a whole snapshot.
pub trait Rule: Sync {
    /// What is fixed about it.
    fn info(&self) -> &'static RuleInfo;

    /// Whether it compares values with thresholds, so that an expectation of the policy takes its place.
    fn compares_values(&self) -> bool {
        false
    }

    /// Reports what it finds.
    fn check(&self, context: &Context<'_>, report: &mut dyn FnMut(Finding));
}
