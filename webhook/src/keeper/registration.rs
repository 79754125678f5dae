//! Where API servers learn whom to believe: the bundles in an object, and a patch that sets them.

use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use json_patch::Patch;
use serde_json::{Value, json};

use crate::certs::Names;
use crate::certs::bundle::{self, Certificate};

/// One `clientConfig` that leads to us.
struct Client<'a> {
    pointer: String,
    bundle: &'a str,
}

/// Those of a CustomResourceDefinition or of either kind of webhook configuration. What leads to
/// somebody else is theirs, whatever the name of the object.
fn clients<'a>(object: &'a Value, names: &Names) -> Vec<Client<'a>> {
    let webhooks = object.get("webhooks").and_then(Value::as_array);
    let count = webhooks.map_or(0, Vec::len);
    let pointers = (0..count).map(|n| format!("/webhooks/{n}/clientConfig"));
    let conversion = "/spec/conversion/webhook/clientConfig".to_owned();
    let all = pointers.chain([conversion]);
    all.filter_map(|pointer| {
        let config = object.pointer(&pointer)?;
        let bundle = config.get("caBundle").and_then(Value::as_str);
        leads_to_us(config, names).then(|| Client {
            pointer,
            bundle: bundle.unwrap_or_default(),
        })
    })
    .collect()
}

fn leads_to_us(config: &Value, names: &Names) -> bool {
    let is = |key: &str, wanted: &str| {
        let text = config.pointer(&format!("/service/{key}"));
        text.and_then(Value::as_str) == Some(wanted)
    };
    is("name", &names.service) && is("namespace", &names.namespace)
}

/// Whom clients of `object` believe, a list each.
pub fn published(object: &Value, names: &Names) -> Vec<Vec<Certificate>> {
    let read = |client: Client<'_>| {
        let pem = STANDARD.decode(client.bundle).unwrap_or_default();
        bundle::read(&pem)
    };
    clients(object, names).into_iter().map(read).collect()
}

/// Sets every bundle that leads to us to `pem` and touches nothing else: of others' tools that own
/// the object, only those who insist on an empty bundle object. None when there is nothing to do.
pub fn publish(object: &Value, names: &Names, pem: &[u8]) -> Option<Patch> {
    let wanted = STANDARD.encode(pem);
    let differing = clients(object, names)
        .into_iter()
        .filter(|client| client.bundle != wanted);
    let bundles: Vec<Value> = differing
        .map(|Client { pointer, .. }| {
            json!({"op": "add", "path": format!("{pointer}/caBundle"), "value": wanted})
        })
        .collect();
    if bundles.is_empty() {
        return None;
    }
    // Places are counted, so nobody may have moved them meanwhile.
    let version = object.pointer("/metadata/resourceVersion")?;
    let mut operations =
        vec![json!({"op": "test", "path": "/metadata/resourceVersion", "value": version})];
    operations.extend(bundles);
    serde_json::from_value(Value::Array(operations)).ok()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn names() -> Names {
        Names {
            service: "insitu-webhook".into(),
            namespace: "insitu-system".into(),
        }
    }

    fn door(bundle: Option<&str>) -> Value {
        let mut config =
            json!({"service": {"name": "insitu-webhook", "namespace": "insitu-system"}});
        if let Some(bundle) = bundle {
            config["caBundle"] = STANDARD.encode(bundle).into();
        }
        config
    }

    fn configuration() -> Value {
        json!({"metadata": {"resourceVersion": "7"}, "webhooks": [
            {"name": "a", "clientConfig": door(Some("new"))},
            {"name": "b", "clientConfig": {"service": {"name": "kruise-webhook-service", "namespace": "kruise-system"}, "caBundle": "eA=="}},
            {"name": "c", "clientConfig": door(None), "failurePolicy": "Fail"},
            {"name": "d", "clientConfig": {"url": "https://elsewhere/"}},
            {"name": "e", "clientConfig": {"service": {"name": "insitu-webhook", "namespace": "shop"}}},
        ]})
    }

    fn patched(object: &Value, pem: &str) -> Value {
        let patch = publish(object, &names(), pem.as_bytes()).expect("something to do");
        let mut next = object.clone();
        json_patch::patch(&mut next, &patch).expect("a patch that fits");
        next
    }

    #[test]
    fn only_bundles_that_lead_to_us_are_set() {
        let before = configuration();
        let after = patched(&before, "new");
        let mut wanted = before;
        wanted["webhooks"][2]["clientConfig"]["caBundle"] = STANDARD.encode("new").into();
        assert_eq!(after, wanted);
        assert_eq!(publish(&after, &names(), b"new"), None);
    }

    #[test]
    fn a_bundle_of_a_definition_is_set() {
        let before = json!({"metadata": {"resourceVersion": "7"}, "spec": {"conversion":
            {"strategy": "Webhook", "webhook": {"clientConfig": door(Some("old"))}}}});
        let after = patched(&before, "new");
        let at = "/spec/conversion/webhook/clientConfig/caBundle";
        assert_eq!(after.pointer(at), Some(&STANDARD.encode("new").into()));
    }

    #[test]
    fn an_object_that_was_written_meanwhile_is_left() {
        let before = configuration();
        let patch = publish(&before, &names(), b"new").expect("something to do");
        let mut later = before;
        later["metadata"]["resourceVersion"] = "8".into();
        assert!(json_patch::patch(&mut later, &patch).is_err());
    }

    #[test]
    fn nonsense_has_no_clients() {
        for object in [
            json!(null),
            json!({"webhooks": {}}),
            json!({"spec": {"conversion": {"strategy": "None"}}}),
            json!({"webhooks": [7, {"clientConfig": []}]}),
        ] {
            assert_eq!(publish(&object, &names(), b"new"), None, "{object}");
            assert!(published(&object, &names()).is_empty(), "{object}");
        }
    }

    #[test]
    fn a_bundle_that_cannot_be_read_trusts_nobody() {
        let mut object = configuration();
        object["webhooks"][0]["clientConfig"]["caBundle"] = "???".into();
        assert_eq!(published(&object, &names()), [vec![], vec![]]);
    }
}
