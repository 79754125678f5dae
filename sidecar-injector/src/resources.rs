//! `resourcesPolicy`: cpu and memory of a sidecar, computed from the Pod's own containers.

use std::collections::BTreeSet;

use apis::quantity::Quantity;
use apis::sidecar_set::container::TargetMode;
use apis::sidecar_set::expression::{Expression, Variable};
use apis::validation::sidecar_set::{Resources, Sidecar};
use serde_json::{Map, Value};

use crate::pod::{Pod, is_injected, text};
use crate::warning::Reason;

/// The `resources` of `sidecar`; None where it has no policy. Containers that are called one of
/// `sidecars` are none of the Pod's own.
pub(crate) fn compute(
    sidecar: &Sidecar,
    pod: &Pod<'_>,
    sidecars: &BTreeSet<String>,
) -> Result<Option<Value>, Reason> {
    let Some(policy) = &sidecar.resources else {
        return Ok(None);
    };
    let natives = pod.init_containers.iter();
    let natives = natives.filter(|c| text(c, "restartPolicy") == "Always" && !is_injected(c));
    let targets: Vec<&Value> = pod
        .own
        .iter()
        .copied()
        .chain(natives)
        .filter(|c| !sidecars.contains(text(c, "name")))
        .filter(|c| policy.targets.is_match(text(c, "name")))
        .collect();
    if targets.is_empty() {
        return Err(Reason::NoTarget {
            container: sidecar.name.clone(),
            regex: policy.targets.as_str().to_owned(),
        });
    }
    let no_result = |field: String, why: String| Reason::NoResult {
        container: sidecar.name.clone(),
        field,
        why,
    };
    let amounts = |field: &str, expressions: &[(Variable, Expression)]| {
        amounts(field, expressions, policy, &targets).map_err(|(field, why)| no_result(field, why))
    };
    let limits = amounts("limits", &policy.limits)?;
    let requests = amounts("requests", &policy.requests)?;
    for (variable, request) in &requests {
        let limit = limits.iter().find(|(other, _)| other == variable);
        if let Some((_, limit)) = limit.filter(|(_, limit)| limit.nanos() < request.nanos()) {
            // No API server would let such a Pod in.
            let field = format!("requests.{}", variable.as_str());
            return Err(no_result(
                field,
                format!("is {request}, more than its limit, {limit}"),
            ));
        }
    }
    let mut resources = Map::new();
    for (field, amounts) in [("limits", limits), ("requests", requests)] {
        if !amounts.is_empty() {
            let texts = amounts.into_iter().map(|(variable, amount)| {
                (variable.as_str().to_owned(), amount.to_string().into())
            });
            resources.insert(field.to_owned(), texts.collect::<Map<_, _>>().into());
        }
    }
    Ok(Some(resources.into()))
}

type Amounts = Vec<(Variable, Quantity)>;

fn amounts(
    field: &str,
    expressions: &[(Variable, Expression)],
    policy: &Resources,
    targets: &[&Value],
) -> Result<Amounts, (String, String)> {
    let mut amounts = Vec::new();
    for (variable, expression) in expressions {
        let of = |target: &&Value| {
            let amount = target
                .get("resources")?
                .get(field)?
                .get(variable.as_str())?;
            let parsed = match amount {
                Value::String(text) => Quantity::parse(text),
                other => Quantity::parse(&other.to_string()),
            };
            parsed.map(Quantity::nanos)
        };
        let values: Vec<Option<i128>> = targets.iter().map(of).collect();
        // Where one may use all there is, so may all of them together.
        if field == "limits" && values.contains(&None) {
            continue;
        }
        let mut values = values.into_iter().map(Option::unwrap_or_default);
        let together = match policy.mode {
            TargetMode::Sum => values.try_fold(0_i128, i128::checked_add),
            TargetMode::Max => values.max(),
        };
        let together = together.unwrap_or(i128::MAX);
        let amount = expression
            .evaluate(together)
            .map_err(|why| (format!("{field}.{}", variable.as_str()), why))?;
        amounts.push((*variable, amount));
    }
    Ok(amounts)
}
