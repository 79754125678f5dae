//! What of a SidecarSet cannot be changed.

use crate::FieldError;
use crate::sidecar_set::SidecarSet;
use crate::sidecar_set::container::{SidecarContainer, UpgradeType};

/// Everything in `new` that cannot follow upon `old`.
pub fn check(old: &SidecarSet, new: &SidecarSet) -> Vec<FieldError> {
    let mut errors = Vec::new();
    let base = |set: &SidecarSet| {
        let annotations = set.metadata.annotations.as_ref();
        annotations.and_then(|all| all.get(crate::names::CANARY_BASE_ANNOTATION).cloned())
    };
    if base(old).is_some() && base(old) != base(new) {
        errors.push(FieldError::invalid(
            format!(
                "metadata.annotations[{}]",
                crate::names::CANARY_BASE_ANNOTATION
            ),
            "cannot be changed; make another canary set",
        ));
    }
    for (field, old, new) in [
        ("containers", &old.spec.containers, &new.spec.containers),
        (
            "initContainers",
            &old.spec.init_containers,
            &new.spec.init_containers,
        ),
    ] {
        containers(field, old, new, &mut errors);
    }
    errors
}

fn containers(
    field: &str,
    old: &[SidecarContainer],
    new: &[SidecarContainer],
    errors: &mut Vec<FieldError>,
) {
    for (i, container) in new.iter().enumerate() {
        let path = format!("spec.{field}[{i}]");
        let name = container.text("name");
        let before = old.iter().find(|before| before.text("name") == name);
        match before {
            // Pods that exist cannot be given a container. An init container is for new Pods only.
            None if field == "containers" && !old.is_empty() => {
                errors.push(FieldError::invalid(
                    format!("{path}.name"),
                    format!(
                        "{name:?} is new, and Pods that exist cannot be given a container; make \
                         another SidecarSet for it"
                    ),
                ));
            }
            None => {}
            Some(before) => {
                if let Some(type_) = upgrade_type(before)
                    && upgrade_type(container).unwrap_or_default() != type_
                {
                    errors.push(FieldError::invalid(
                        format!("{path}.upgradeStrategy.upgradeType"),
                        "cannot be changed: Pods that exist have as many containers as it asks for",
                    ));
                }
            }
        }
    }
}

fn upgrade_type(container: &SidecarContainer) -> Option<UpgradeType> {
    container.upgrade_strategy.as_ref()?.upgrade_type
}
