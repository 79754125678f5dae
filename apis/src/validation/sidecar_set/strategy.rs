//! Checks of the fields that say who is updated, and what new Pods are given.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;
use kube::ResourceExt;

use super::{Checks, Pinned, PinnedTo, Update};
use crate::int_or_percent::IntOrPercent;
use crate::names::{CANARY_ANNOTATION, CANARY_BASE_ANNOTATION};
use crate::schema::{PARTITION_BESIDE_SELECTOR, REVISION_WITHOUT_NAME};
use crate::sidecar_set::{SidecarSet, SidecarSetSpec, SidecarUpdateStrategy, SidecarUpdateType};
use crate::validation::terms;

const UPDATE: &str = "spec.updateStrategy";

impl Checks {
    fn share(
        &mut self,
        field: &str,
        value: Option<&IntOrString>,
        default: IntOrPercent,
    ) -> IntOrPercent {
        terms::share(
            &mut self.errors,
            &format!("{UPDATE}.{field}"),
            value,
            default,
        )
    }

    pub(super) fn update(&mut self, strategy: Option<&SidecarUpdateStrategy>) -> Update {
        let strategy = strategy.cloned().unwrap_or_default();
        let type_ = strategy.type_.unwrap_or_default();
        let partition = strategy.partition.as_ref();
        let is_zero = matches!(partition, None | Some(IntOrString::Int(0)));
        if type_ == SidecarUpdateType::RollingUpdate && strategy.selector.is_some() && !is_zero {
            self.refuse(format!("{UPDATE}.partition"), PARTITION_BESIDE_SELECTOR);
        }
        Update {
            type_,
            paused: strategy.paused.unwrap_or_default(),
            selector: strategy
                .selector
                .as_ref()
                .map(|selector| self.selector(&format!("{UPDATE}.selector"), selector)),
            partition: self.share("partition", partition, IntOrPercent::Int(0)),
            max_unavailable: self.share(
                "maxUnavailable",
                strategy.max_unavailable.as_ref(),
                IntOrPercent::Int(1),
            ),
            mark_pod_not_ready: strategy.mark_pod_not_ready.unwrap_or_default(),
            priority: terms::priority(
                &mut self.errors,
                UPDATE,
                strategy.priority_strategy.as_ref(),
            ),
            scatter: terms::scatter(&mut self.errors, UPDATE, &strategy.scatter_strategy),
        }
    }

    pub(super) fn pinned(&mut self, spec: &SidecarSetSpec) -> Option<Pinned> {
        let revision = spec.injection_strategy.as_ref()?.revision.as_ref()?;
        let filled = |text: &Option<String>| text.clone().filter(|text| !text.is_empty());
        let name = filled(&revision.revision_name).map(PinnedTo::Name);
        let Some(to) =
            name.or_else(|| filled(&revision.custom_version).map(PinnedTo::CustomVersion))
        else {
            self.refuse("spec.injectionStrategy.revision", REVISION_WITHOUT_NAME);
            return None;
        };
        Some(Pinned {
            revision: to,
            policy: revision.policy.unwrap_or_default(),
        })
    }

    pub(super) fn history_limit(&mut self, spec: &SidecarSetSpec) -> usize {
        let limit = spec.revision_history_limit.unwrap_or(10);
        usize::try_from(limit).unwrap_or_else(|_| {
            self.refuse(
                "spec.revisionHistoryLimit",
                format!("{limit} is negative; use 0 or a positive number"),
            );
            0
        })
    }

    pub(super) fn canary_of(&mut self, set: &SidecarSet) -> Option<String> {
        let annotations = set.annotations();
        let is_canary = annotations
            .get(CANARY_ANNOTATION)
            .is_some_and(|value| value == "true");
        let base = annotations
            .get(CANARY_BASE_ANNOTATION)
            .filter(|base| is_canary && !base.is_empty())?;
        let path = format!("metadata.annotations[{CANARY_BASE_ANNOTATION}]");
        if set.metadata.name.as_ref() == Some(base) {
            self.refuse(
                path,
                format!("{base:?} is the set itself; name the set that it stands in for"),
            );
        }
        let strategy = set.spec.update_strategy.clone().unwrap_or_default();
        if strategy.type_.unwrap_or_default() != SidecarUpdateType::NotUpdate {
            self.refuse(
                format!("{UPDATE}.type"),
                "is RollingUpdate, and a canary set updates no Pods; use NotUpdate",
            );
        }
        Some(base.clone())
    }
}
