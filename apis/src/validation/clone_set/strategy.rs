//! Checks of the fields that say who goes first, how far and how long.

use std::collections::BTreeSet;

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use serde_json::Value;

use super::{Checks, ClaimTemplate, Priority, ROLLING, Warm};
use crate::clone_set::{CloneSetSpec, ScaleStrategy};
use crate::int_or_percent::IntOrPercent;
use crate::schema::{DEADLINE_TOO_SHORT, ROLLBACK_WITHOUT_DEADLINE, SURGE_IN_PLACE_ONLY};
use crate::update_strategy::{PodUpdatePolicy, PriorityStrategy, RollingUpdate, ScatterTerm};
use crate::validation::{FieldError, terms};

/// OpenKruise's word for "never".
const NEVER: i32 = i32::MAX;

impl Checks<'_> {
    fn refuse(&mut self, path: impl Into<String>, message: impl Into<String>) {
        self.errors.push(FieldError::invalid(path, message));
    }

    pub(super) fn max_surge(&mut self, rolling: &RollingUpdate) -> IntOrPercent {
        let surge = self.share("maxSurge", rolling.max_surge.as_ref(), IntOrPercent::Int(0));
        if rolling.pod_update_policy == Some(PodUpdatePolicy::InPlaceOnly) && !surge.is_zero() {
            self.refuse(format!("{ROLLING}.maxSurge"), SURGE_IN_PLACE_ONLY);
        }
        surge
    }

    pub(super) fn scale_max_unavailable(
        &mut self,
        scale: Option<&ScaleStrategy>,
    ) -> Option<IntOrPercent> {
        match IntOrPercent::parse(scale?.max_unavailable.as_ref()?) {
            Ok(max) => Some(max),
            Err(message) => {
                self.refuse("spec.scaleStrategy.maxUnavailable", message);
                None
            }
        }
    }

    pub(super) fn claims(&mut self, templates: &[Value]) -> Vec<ClaimTemplate> {
        let mut names = BTreeSet::new();
        let mut claims = Vec::new();
        for (i, body) in templates.iter().enumerate() {
            let path = format!("spec.volumeClaimTemplates[{i}].metadata.name");
            let name = body.pointer("/metadata/name").and_then(Value::as_str);
            match name.filter(|name| !name.is_empty()) {
                None => self.refuse(path, "is required: claims are named by it"),
                Some(name) if !names.insert(name.to_owned()) => {
                    self.refuse(path, format!("{name:?} is used twice"));
                }
                Some(name) => claims.push(ClaimTemplate {
                    name: name.to_owned(),
                    body: body.clone(),
                }),
            }
        }
        claims
    }

    pub(super) fn progress_deadline(&mut self, spec: &CloneSetSpec) -> Option<u32> {
        let path = "spec.progressDeadlineSeconds";
        let seconds = spec.progress_deadline_seconds.filter(|s| *s != NEVER)?;
        let ready = spec.min_ready_seconds.unwrap_or_default();
        if seconds >= 0 && seconds <= ready {
            self.refuse(path, DEADLINE_TOO_SHORT);
        }
        Some(self.natural(path, seconds))
    }

    pub(super) fn rollback_on_deadline(
        &mut self,
        spec: &CloneSetSpec,
        rolling: &RollingUpdate,
    ) -> bool {
        let on = rolling.rollback_on_deadline.unwrap_or_default();
        let deadline = spec.progress_deadline_seconds.filter(|s| *s != NEVER);
        if on && deadline.is_none() {
            self.refuse(
                format!("{ROLLING}.rollbackOnDeadline"),
                ROLLBACK_WITHOUT_DEADLINE,
            );
        }
        on
    }

    pub(super) fn priority(&mut self, strategy: Option<&PriorityStrategy>) -> Priority {
        terms::priority(self.errors, ROLLING, strategy)
    }

    pub(super) fn scatter(&mut self, scatter: &[ScatterTerm]) -> Vec<(String, String)> {
        terms::scatter(self.errors, ROLLING, scatter)
    }

    pub(super) fn resize_deadline(&mut self, rolling: &RollingUpdate) -> Option<u32> {
        let seconds = rolling
            .in_place_update_strategy
            .as_ref()?
            .resize_deadline_seconds?;
        let path = format!("{ROLLING}.inPlaceUpdateStrategy.resizeDeadlineSeconds");
        Some(self.natural(&path, seconds))
    }

    pub(super) fn warm(&mut self, rolling: &RollingUpdate) -> Option<Warm> {
        let strategy = rolling.in_place_update_strategy.as_ref()?;
        let path = format!("{ROLLING}.inPlaceUpdateStrategy");
        let timeout = strategy.image_pre_download_timeout_seconds.unwrap_or(600);
        let ready = strategy
            .image_pre_download_min_updated_ready_pods
            .unwrap_or_default();
        let timeout_seconds =
            self.natural(&format!("{path}.imagePreDownloadTimeoutSeconds"), timeout);
        let min_updated_ready = self.natural(
            &format!("{path}.imagePreDownloadMinUpdatedReadyPods"),
            ready,
        );
        // OpenKruise takes a number or a numeric text here, and no percentage.
        let number = match strategy.image_pre_download_parallelism.as_ref()? {
            IntOrString::Int(n) => Some(*n),
            IntOrString::String(text) => Some(text)
                .filter(|t| t.len() <= 9 && t.bytes().all(|b| b.is_ascii_digit()))
                .and_then(|t| t.parse().ok()),
        };
        let path = format!("{path}.imagePreDownloadParallelism");
        let Some(parallelism) = number.and_then(|n| u32::try_from(n).ok()) else {
            self.refuse(path, "is not a number of nodes, 0 or more");
            return None;
        };
        (parallelism > 0).then_some(Warm {
            parallelism,
            timeout_seconds,
            min_updated_ready,
        })
    }
}
