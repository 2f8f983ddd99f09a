//! The value of a cluster while one layer after another has its say, and the trail of what each said.

use std::time::Duration;

use crate::model::Origin;

/// What can give a cluster its timeout, weakest first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
pub enum Layer {
    /// `meshConfig.connectTimeout`, or Istio's built-in value.
    Mesh,
    /// `meshConfig.defaultTrafficPolicy`.
    DefaultTrafficPolicy,
    /// A DestinationRule.
    DestinationRule,
    /// A Sidecar.
    Sidecar,
    /// An EnvoyFilter.
    EnvoyFilter,
}

impl Layer {
    /// The file of Istio's source that says how the layer works.
    #[must_use]
    pub fn file(self) -> &'static str {
        match self {
            Self::Mesh => "pkg/config/mesh/mesh.go",
            Self::DefaultTrafficPolicy => "networking/core/cluster_traffic_policy.go",
            Self::DestinationRule => "pilot/pkg/model/push_context.go",
            Self::Sidecar => "pilot/pkg/model/sidecar.go",
            Self::EnvoyFilter => "core/envoyfilter/cluster_patch.go",
        }
    }

    /// Its name.
    #[must_use]
    pub fn as_str(self) -> &'static str {
        match self {
            Self::Mesh => "mesh configuration",
            Self::DefaultTrafficPolicy => "defaultTrafficPolicy",
            Self::DestinationRule => "DestinationRule",
            Self::Sidecar => "Sidecar",
            Self::EnvoyFilter => "EnvoyFilter",
        }
    }
}

/// What became of a candidate.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Outcome {
    /// It gives the value.
    Won,
    /// Something stronger gives another.
    Lost,
    /// It is there and sets nothing, or is not for this cluster or proxy.
    Silent,
    /// It may be what gives the value.
    Perhaps,
}

/// Something that could have given a cluster its timeout, or a layer that was asked and had nothing.
#[derive(Debug, Clone, PartialEq)]
pub struct Candidate {
    /// Which layer it is of.
    pub layer: Layer,
    /// What and where; `None` where the layer has nothing for this cluster.
    pub origin: Option<Origin>,
    /// The value that it gives; `None` where it sets none.
    pub value: Option<Duration>,
    /// What became of it.
    pub outcome: Outcome,
    /// Why.
    pub reason: String,
}

/// A timeout that is set and then lost, because a stronger block replaces the one it stands in.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Dropped {
    /// Where it is set.
    pub origin: Origin,
    /// The value.
    pub value: Duration,
    /// The block that replaces it.
    pub by: Origin,
}

/// The value so far.
#[derive(Debug, Clone)]
pub(super) struct Resolution {
    /// The value; `None` where nothing sets the field.
    pub(super) value: Option<Duration>,
    /// What gives it.
    pub(super) origin: Origin,
    /// A value that was meant and lost.
    pub(super) dropped: Option<Dropped>,
    /// What may apply on top, and the value it would give.
    pub(super) perhaps: Vec<(Origin, Duration)>,
    /// Why the answer is not certain.
    pub(super) doubt: Option<String>,
    /// Why the mesh's value is not certain, which matters where that is what decides.
    pub(super) mesh_doubt: Option<String>,
    /// What is left where a block that sets nothing replaces everything above it.
    mesh: (Option<Duration>, Origin),
    /// Every candidate, weakest first; `None` where nobody asks.
    pub(super) trail: Option<Vec<Candidate>>,
}

impl Resolution {
    /// Begins with the mesh's value.
    pub(super) fn new(value: Option<Duration>, origin: Origin, trail: bool, reason: impl FnOnce() -> String) -> Self {
        let mut resolution = Self {
            value,
            dropped: None,
            perhaps: Vec::new(),
            doubt: None,
            mesh_doubt: None,
            trail: trail.then(Vec::new),
            mesh: (value, origin.clone()),
            origin,
        };
        if trail {
            let origin = Some(resolution.origin.clone());
            resolution.note(Layer::Mesh, origin, value, Outcome::Won, reason);
        }
        resolution
    }

    fn note(
        &mut self,
        layer: Layer,
        origin: Option<Origin>,
        value: Option<Duration>,
        outcome: Outcome,
        reason: impl FnOnce() -> String,
    ) {
        if let Some(trail) = &mut self.trail {
            trail.push(Candidate { layer, origin, value, outcome, reason: reason() });
        }
    }

    /// Ends with whether the mesh's value decides: where something else gives what the proxy holds, a doubt about the
    /// mesh's value is none about this.
    pub(super) fn settle(&mut self, held: Option<Duration>) {
        let by_mesh = self.origin == self.mesh.1;
        if let Some(doubt) = self.mesh_doubt.take().filter(|_| by_mesh || self.value != held) {
            self.doubt(doubt);
        }
    }

    fn lose(&mut self, reason: &str) {
        for candidate in self.trail.iter_mut().flatten().filter(|candidate| candidate.outcome == Outcome::Won) {
            candidate.outcome = Outcome::Lost;
            reason.clone_into(&mut candidate.reason);
        }
    }

    /// A layer gives a value, and what was there before has lost.
    pub(super) fn offer(
        &mut self,
        layer: Layer,
        origin: Origin,
        value: Duration,
        losers: &str,
        reason: impl FnOnce() -> String,
    ) {
        self.lose(losers);
        self.value = Some(value);
        self.origin = origin.clone();
        self.note(layer, Some(origin), Some(value), Outcome::Won, reason);
    }

    /// A block takes the place of what is above and sets no timeout, so the mesh's value is what is left.
    pub(super) fn replace(&mut self, losers: &str) {
        if self.origin == self.mesh.1 && self.value == self.mesh.0 {
            return;
        }
        self.lose(losers);
        (self.value, self.origin) = self.mesh.clone();
        if let Some(first) = self.trail.iter_mut().flatten().next() {
            first.outcome = Outcome::Won;
            first.reason = format!("what is left: {losers}");
        }
    }

    /// A value that something has and that does not count.
    pub(super) fn lost(
        &mut self,
        layer: Layer,
        origin: Origin,
        value: Option<Duration>,
        reason: impl FnOnce() -> String,
    ) {
        self.note(layer, Some(origin), value, Outcome::Lost, reason);
    }

    /// A layer has nothing to say, or an object sets nothing.
    pub(super) fn silent(&mut self, layer: Layer, origin: Option<Origin>, reason: impl FnOnce() -> String) {
        self.note(layer, origin, None, Outcome::Silent, reason);
    }

    /// Something may apply.
    pub(super) fn perhaps(&mut self, layer: Layer, origin: Origin, value: Duration, reason: &str) {
        self.perhaps.push((origin.clone(), value));
        self.note(layer, Some(origin), Some(value), Outcome::Perhaps, || reason.to_owned());
    }

    /// The answer is not certain; the first reason is the one that is told.
    pub(super) fn doubt(&mut self, reason: impl Into<String>) {
        self.doubt.get_or_insert_with(|| reason.into());
    }

    /// Whether somebody wants to see the trail.
    pub(super) fn is_traced(&self) -> bool {
        self.trail.is_some()
    }
}
