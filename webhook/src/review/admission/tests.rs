use apis::validation::FieldErrorKind;

use super::*;

fn answered(operation: &str, verdict: &Verdict) -> Value {
    let body = json!({"apiVersion": "admission.k8s.io/v1", "kind": "AdmissionReview", "request": {
        "uid": "u-1", "operation": operation, "name": "web", "unknown": {"fields": "pass"},
        "kind": {"group": "apps.kruise.io", "version": "v1beta1", "kind": "CloneSet"}}});
    let body = serde_json::to_vec(&body).unwrap();
    let answer = answer(&body, |_| Ok::<_, Refusal>(verdict.clone())).unwrap();
    serde_json::to_value(answer).unwrap()["response"].clone()
}

#[test]
fn what_is_allowed_may_come_with_warnings() {
    let plain = Verdict::Allowed { warnings: vec![] };
    assert_eq!(
        answered("CREATE", &plain),
        json!({"uid": "u-1", "allowed": true})
    );
    let warned = Verdict::Allowed {
        warnings: vec!["Pods are made anew".into()],
    };
    assert_eq!(
        answered("UPDATE", &warned)["warnings"],
        json!(["Pods are made anew"])
    );
}

#[test]
fn everything_that_is_wrong_is_said_at_once_and_by_field() {
    let error = |path: &str| FieldError {
        path: path.into(),
        message: "is -1; use 0 or more".into(),
        kind: FieldErrorKind::Invalid,
    };
    let two = Verdict::Invalid(vec![error("spec.replicas"), error("spec.minReadySeconds")]);
    let response = answered("CREATE", &two);
    assert_eq!(response["allowed"], false);
    let status = &response["status"];
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(422), &json!("Invalid"))
    );
    assert_eq!(
        status["message"],
        "CloneSet.apps.kruise.io \"web\" is invalid: [spec.replicas: is -1; use 0 or more, \
         spec.minReadySeconds: is -1; use 0 or more]"
    );
    assert_eq!(
        status["details"]["causes"][1]["field"],
        "spec.minReadySeconds"
    );
    let one = Verdict::Invalid(vec![error("spec.replicas")]);
    let message = &answered("CREATE", &one)["status"]["message"];
    assert!(
        message
            .as_str()
            .unwrap()
            .ends_with("is invalid: spec.replicas: is -1; use 0 or more")
    );
}

#[test]
fn what_is_not_wanted_is_forbidden() {
    let response = answered("DELETE", &Verdict::Forbidden("it is protected".into()));
    let status = &response["status"];
    assert_eq!(
        (&status["code"], &status["reason"]),
        (&json!(403), &json!("Forbidden"))
    );
    let message = "CloneSet.apps.kruise.io \"web\" is forbidden: it is protected";
    assert_eq!(status["message"], message);
}

#[test]
fn an_operation_of_the_future_is_no_reason_to_fail() {
    let allowed = Verdict::Allowed { warnings: vec![] };
    assert_eq!(answered("FLY", &allowed)["allowed"], true);
}

#[test]
fn other_versions_of_the_review_are_refused() {
    let body = br#"{"apiVersion": "admission.k8s.io/v1beta1", "kind": "AdmissionReview"}"#;
    let never = |_: &mut Request| -> Result<Verdict, Refusal> { panic!("nothing was asked") };
    let refusal = answer(body, never).err().unwrap();
    assert!(
        refusal.to_string().contains("admission.k8s.io/v1beta1"),
        "{refusal}"
    );
}
