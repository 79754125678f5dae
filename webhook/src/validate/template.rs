//! Can it be read as a Pod template? The schema keeps it raw, so nobody else has looked yet.

use apis::FieldError;
use k8s_openapi::api::core::v1::PodTemplateSpec;
use serde::Deserialize;
use serde_json::Value;

/// The first place of `template` that is of the wrong type, as a path below `at`. Fields that are not known here may be
/// those of a newer Kubernetes.
///
/// # Errors
/// Where it is, and what belongs there.
pub(super) fn readable(template: &Value, at: &str) -> Result<(), FieldError> {
    // Nearly all can be read as they are; finding out where one cannot costs several times as much.
    if PodTemplateSpec::deserialize(template).is_ok() {
        return Ok(());
    }
    let mut template = template.clone();
    spell_quantities(&mut template);
    match serde_path_to_error::deserialize::<_, PodTemplateSpec>(&template) {
        Ok(_) => Ok(()),
        Err(error) => Err(super::invalid(
            format!("{at}{}", error.path()),
            format!("cannot be read: {}", error.inner()),
        )),
    }
}

/// Kubernetes takes numbers for quantities (`cpu: 2`), the types here are strict.
fn spell_quantities(value: &mut Value) {
    match value {
        Value::Array(items) => items.iter_mut().for_each(spell_quantities),
        Value::Object(fields) => {
            for (key, field) in fields {
                match (key.as_str(), field) {
                    ("limits" | "requests" | "overhead" | "capacity", Value::Object(amounts)) => {
                        amounts.values_mut().for_each(spell);
                    }
                    ("sizeLimit" | "divisor", amount) => spell(amount),
                    (_, field) => spell_quantities(field),
                }
            }
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

fn spell(amount: &mut Value) {
    if let Value::Number(number) = amount {
        *amount = Value::String(number.to_string());
    }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn template(container: Value) -> Value {
        let mut container = container;
        container["name"] = "main".into();
        container["image"] = "web:1".into();
        json!({"metadata": {"labels": {"app": "web"}}, "spec": {"containers": [container]}})
    }

    #[track_caller]
    fn refused(container: Value) -> String {
        let error = readable(&template(container), "spec.template.").expect_err("a wrong type");
        error.to_string()
    }

    #[test]
    fn a_wrong_type_is_named_with_its_place() {
        let error = refused(json!({"env": [{"name": "PORT", "value": 8080}]}));
        assert!(
            error.starts_with("spec.template.spec.containers[0].env[0].value: "),
            "{error}"
        );
        let error = refused(json!({"ports": {"containerPort": 80}}));
        assert!(
            error.starts_with("spec.template.spec.containers[0].ports: "),
            "{error}"
        );
    }

    #[test]
    fn what_kubernetes_reads_is_read() {
        for container in [
            json!({}),
            json!({"resources": {"requests": {"cpu": 2, "memory": "1Gi"}, "limits": {"cpu": 0.5}}}),
            json!({"ports": null, "env": null}),
            json!({"aFieldOfTomorrow": {"a": [1]}}),
            json!({"livenessProbe": {"httpGet": {"port": "http"}}}),
            json!({"env": [{"name": "A", "valueFrom": {"resourceFieldRef": {"resource": "limits.cpu", "divisor": 1}}}]}),
        ] {
            assert_eq!(
                readable(&template(container.clone()), ""),
                Ok(()),
                "{container}"
            );
        }
    }

    #[test]
    fn size_limits_and_overhead_may_be_numbers() {
        let template = json!({"metadata": {"creationTimestamp": null}, "spec": {
            "overhead": {"cpu": 1},
            "volumes": [{"name": "v", "emptyDir": {"sizeLimit": 1024}}],
            "containers": [{"name": "main", "image": "web:1"}]}});
        assert_eq!(readable(&template, ""), Ok(()));
    }
}
