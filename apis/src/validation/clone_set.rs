//! The named checks of a CloneSet, and its spec as the planner reads it.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::core::{Selector, SelectorExt};
use serde_json::Value;

use super::{Checked, FieldError, template, terms};
use crate::clone_set::{CloneSet, CloneSetSpec, ScaleStrategy};
use crate::int_or_percent::IntOrPercent;
use crate::lifecycle::Lifecycle;
use crate::update_strategy::{PodUpdatePolicy, RollingUpdate, UpdateStrategyType};

const ROLLING: &str = "spec.updateStrategy.rollingUpdate";

/// The spec with texts parsed and defaults filled in. Defaults live here and are never written to
/// the user's object.
#[allow(clippy::struct_excessive_bools, reason = "one per field of the API")]
#[derive(Clone, Debug)]
pub struct Effective {
    /// Desired Pods.
    pub replicas: u32,
    /// Ownership.
    pub selector: Selector,
    /// Raw Pod template.
    pub template: Value,
    /// Who starts updates.
    pub strategy: UpdateStrategyType,
    /// Pods kept at the old revision; default 0.
    pub partition: IntOrPercent,
    /// Pods that may be unavailable during an update; default 20%.
    pub max_unavailable: IntOrPercent,
    /// In place or not; default ReCreate.
    pub policy: PodUpdatePolicy,
    /// Choose no further Pods to update.
    pub paused: bool,
    /// Seconds between drain and patch; default 0.
    pub grace_seconds: u32,
    /// Seconds of readiness until a Pod is available; default 0.
    pub min_ready_seconds: u32,
    /// Unused revisions kept; default 10.
    pub revision_history_limit: usize,
    /// Names of Pods to delete.
    pub pods_to_delete: BTreeSet<String>,
    /// Pods there may be above `replicas` while Pods are replaced; default 0.
    pub max_surge: IntOrPercent,
    /// Pods that may be unavailable while Pods are added; default no limit.
    pub scale_max_unavailable: Option<IntOrPercent>,
    /// Claims of vanished Pods are given to new ones; default false.
    pub reuse_claims: bool,
    /// Pods that a hook holds before deletion are not counted as replicas; default false.
    pub exclude_preparing_delete: bool,
    /// Claims made for every Pod.
    pub claims: Vec<ClaimTemplate>,
    /// Hooks.
    pub lifecycle: Lifecycle,
    /// Seconds without progress until the set is called stalled; default never.
    pub progress_deadline_seconds: Option<u32>,
    /// Take updated Pods back when one stays broken past the deadline; default false.
    pub rollback_on_deadline: bool,
    /// Which Pods are updated first; default none.
    pub priority: Priority,
    /// Label pairs whose Pods are spread over the update sequence.
    pub scatter: Vec<(String, String)>,
    /// Seconds until a resize that the node cannot make is made by a new Pod; default never.
    pub resize_deadline_seconds: Option<u32>,
    /// Pull images ahead of updates in place; default not.
    pub warm: Option<Warm>,
}

/// A claim made for every Pod.
#[derive(Clone, Debug, PartialEq)]
pub struct ClaimTemplate {
    /// `metadata.name`; the volume of this name is the claim.
    pub name: String,
    /// The raw claim.
    pub body: Value,
}

/// `priorityStrategy`, parsed. At most one of the two is not empty.
#[derive(Clone, Debug, Default)]
pub struct Priority {
    /// Weights and whom they are given to.
    pub weights: Vec<(u32, Selector)>,
    /// Label keys.
    pub order: Vec<String>,
}

/// Images pulled ahead of updates in place.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Warm {
    /// Nodes at a time; not 0.
    pub parallelism: u32,
    /// Seconds until a pull is called failed; default 600.
    pub timeout_seconds: u32,
    /// Pull ahead only once so many updated Pods are ready; default 0.
    pub min_updated_ready: u32,
}

impl Checked for CloneSet {
    type Effective = Effective;

    fn check(&self) -> Result<Effective, Vec<FieldError>> {
        let spec = &self.spec;
        let mut errors = template::check(&spec.template);
        let mut checks = Checks {
            errors: &mut errors,
        };
        let strategy = spec.update_strategy.clone().unwrap_or_default();
        let rolling = strategy.rolling_update.unwrap_or_default();
        let scale = spec.scale_strategy.clone().unwrap_or_default();
        let effective = Effective {
            replicas: checks.natural("spec.replicas", spec.replicas),
            selector: checks.selector(spec),
            template: spec.template.clone(),
            strategy: strategy.type_.unwrap_or_default(),
            partition: checks.share(
                "partition",
                rolling.partition.as_ref(),
                IntOrPercent::Int(0),
            ),
            max_unavailable: checks.share(
                "maxUnavailable",
                rolling.max_unavailable.as_ref(),
                IntOrPercent::Percent(20),
            ),
            policy: rolling.pod_update_policy.unwrap_or_default(),
            paused: rolling.paused.unwrap_or_default(),
            grace_seconds: checks.grace(&rolling),
            min_ready_seconds: checks.natural(
                "spec.minReadySeconds",
                spec.min_ready_seconds.unwrap_or_default(),
            ),
            revision_history_limit: checks.natural(
                "spec.revisionHistoryLimit",
                spec.revision_history_limit.unwrap_or(10),
            ) as usize,
            pods_to_delete: checks.pods_to_delete(spec.scale_strategy.as_ref()),
            max_surge: checks.max_surge(&rolling),
            scale_max_unavailable: checks.scale_max_unavailable(spec.scale_strategy.as_ref()),
            reuse_claims: scale.enable_pvc_reuse.unwrap_or_default(),
            exclude_preparing_delete: scale.exclude_preparing_delete.unwrap_or_default(),
            claims: checks.claims(&spec.volume_claim_templates),
            lifecycle: checks.lifecycle(spec),
            progress_deadline_seconds: checks.progress_deadline(spec),
            rollback_on_deadline: checks.rollback_on_deadline(spec, &rolling),
            priority: checks.priority(rolling.priority_strategy.as_ref()),
            scatter: checks.scatter(&rolling.scatter_strategy),
            resize_deadline_seconds: checks.resize_deadline(&rolling),
            warm: checks.warm(&rolling),
        };
        if errors.is_empty() {
            Ok(effective)
        } else {
            Err(errors)
        }
    }
}

/// Collects what is wrong, so that all of it is told at once.
struct Checks<'a> {
    errors: &'a mut Vec<FieldError>,
}

impl Checks<'_> {
    fn natural(&mut self, path: &str, value: i32) -> u32 {
        u32::try_from(value).unwrap_or_else(|_| {
            self.errors.push(FieldError::invalid(
                path,
                format!("{value} is negative; use 0 or a positive number"),
            ));
            0
        })
    }

    fn share(
        &mut self,
        field: &str,
        value: Option<&IntOrString>,
        default: IntOrPercent,
    ) -> IntOrPercent {
        terms::share(self.errors, &format!("{ROLLING}.{field}"), value, default)
    }

    fn selector(&mut self, spec: &CloneSetSpec) -> Selector {
        let empty = spec
            .selector
            .match_labels
            .as_ref()
            .is_none_or(std::collections::BTreeMap::is_empty)
            && spec
                .selector
                .match_expressions
                .as_ref()
                .is_none_or(Vec::is_empty);
        if empty {
            self.errors.push(FieldError::invalid(
                "spec.selector",
                "is empty and would select every Pod; name at least one label",
            ));
        }
        let selector = match Selector::try_from(spec.selector.clone()) {
            Ok(selector) => selector,
            Err(error) => {
                self.errors
                    .push(FieldError::invalid("spec.selector", error.to_string()));
                return Selector::default();
            }
        };
        if !empty && !selector.matches(&template::labels(&spec.template)) {
            self.errors.push(FieldError::invalid(
                "spec.template.metadata.labels",
                "do not match spec.selector; Pods made from the template would not belong to the set",
            ));
        }
        selector
    }

    fn grace(&mut self, rolling: &RollingUpdate) -> u32 {
        let seconds = rolling
            .in_place_update_strategy
            .as_ref()
            .and_then(|s| s.grace_period_seconds);
        self.natural(
            "spec.updateStrategy.rollingUpdate.inPlaceUpdateStrategy.gracePeriodSeconds",
            seconds.unwrap_or_default(),
        )
    }

    fn pods_to_delete(&mut self, scale: Option<&ScaleStrategy>) -> BTreeSet<String> {
        let mut names = BTreeSet::new();
        for (i, name) in scale.iter().flat_map(|s| &s.pods_to_delete).enumerate() {
            if !names.insert(name.clone()) {
                self.errors.push(FieldError::invalid(
                    format!("spec.scaleStrategy.podsToDelete[{i}]"),
                    format!("{name:?} is listed twice"),
                ));
            }
        }
        names
    }
}

mod lifecycle;
mod strategy;

#[cfg(test)]
mod tests;
