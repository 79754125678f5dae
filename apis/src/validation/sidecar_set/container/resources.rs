//! Checks of `resourcesPolicy`.

use serde_json::Value;

use super::{List, Lists, Resources};
use crate::sidecar_set::container::{Expressions, SidecarContainer};
use crate::sidecar_set::expression::{Expression, Variable};
use crate::sidecar_set::white_list::expression;

impl Lists<'_> {
    pub(super) fn resources(
        &mut self,
        path: &str,
        container: &SidecarContainer,
        list: List,
    ) -> Option<Resources> {
        let policy = container.resources_policy.as_ref()?;
        let own = container.container.get("resources");
        let has = |key: &str| {
            let amounts = own.and_then(|own| own.get(key)).and_then(Value::as_object);
            amounts.is_some_and(|amounts| !amounts.is_empty())
        };
        if has("limits") || has("requests") {
            self.refuse(
                format!("{path}.resources"),
                "stands beside resourcesPolicy, which computes them; remove one",
            );
        }
        let path = format!("{path}.resourcesPolicy");
        if list == List::Init && !container.restarts_always() {
            self.refuse(
                &path,
                "is for containers that run beside the Pod's own; set restartPolicy to Always, or \
                 remove it",
            );
        }
        let text = policy.target_containers_name_regex.as_deref();
        let regex_path = format!("{path}.targetContainersNameRegex");
        if text == Some("") {
            self.refuse(&regex_path, "is empty; use .* for all containers");
        }
        let targets = match expression(text.unwrap_or(".*")) {
            Ok(regex) => Some(regex),
            Err(why) => {
                self.refuse(regex_path, why);
                None
            }
        };
        let exprs = policy.resources_expr.clone().unwrap_or_default();
        let path = format!("{path}.resourcesExpr");
        let limits = self.expressions(&format!("{path}.limits"), exprs.limits.as_ref());
        let requests = self.expressions(&format!("{path}.requests"), exprs.requests.as_ref());
        if exprs.limits.is_none() && exprs.requests.is_none() {
            self.refuse(path, "is empty; set limits or requests, or remove it");
        }
        Some(Resources {
            mode: policy.target_containers_mode,
            targets: targets?,
            limits,
            requests,
        })
    }

    fn expressions(
        &mut self,
        path: &str,
        expressions: Option<&Expressions>,
    ) -> Vec<(Variable, Expression)> {
        let Some(expressions) = expressions else {
            return Vec::new();
        };
        let mut parsed = Vec::new();
        for (variable, text) in [
            (Variable::Cpu, &expressions.cpu),
            (Variable::Memory, &expressions.memory),
        ] {
            let Some(text) = text.as_ref().filter(|text| !text.is_empty()) else {
                continue;
            };
            match Expression::parse(text, variable) {
                Ok(expression) => parsed.push((variable, expression)),
                Err(why) => self.refuse(format!("{path}.{}", variable.as_str()), why),
            }
        }
        parsed
    }
}
