//! Checks of hooks.

use super::Checks;
use crate::clone_set::CloneSetSpec;
use crate::lifecycle::Lifecycle;
use crate::validation::FieldError;

impl Checks<'_> {
    pub(super) fn lifecycle(&mut self, spec: &CloneSetSpec) -> Lifecycle {
        let lifecycle = spec.lifecycle.clone().unwrap_or_default();
        let hooks = [
            ("preDelete", &lifecycle.pre_delete),
            ("inPlaceUpdate", &lifecycle.in_place_update),
            ("preNormal", &lifecycle.pre_normal),
        ];
        for (name, hook) in hooks {
            let Some(hook) = hook else { continue };
            let path = format!("spec.lifecycle.{name}");
            // An empty value is a label like any other; an empty key is none.
            if hook.labels_handler.keys().any(String::is_empty) {
                self.errors.push(FieldError::invalid(
                    format!("{path}.labelsHandler"),
                    "has an empty key, which no Pod can carry; name a label",
                ));
            }
            for (i, _) in hook
                .finalizers_handler
                .iter()
                .enumerate()
                .filter(|(_, f)| f.is_empty())
            {
                self.errors.push(FieldError::invalid(
                    format!("{path}.finalizersHandler[{i}]"),
                    "is empty, which no Pod can carry; name a finalizer",
                ));
            }
        }
        lifecycle
    }
}
