use super::*;

fn set(name: &str) -> Value {
    json!({"apiVersion": "apps.kruise.io/v1beta1", "kind": "CloneSet",
        "metadata": {"name": name, "namespace": "shop"},
        "spec": {"updateStrategy": {"type": "RollingUpdate",
            "rollingUpdate": {"podUpdatePolicy": "InPlaceOnly"}}}})
}

fn review(objects: &Value) -> Value {
    json!({"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview",
        "request": {"uid": "u-1", "desiredAPIVersion": "apps.kruise.io/v1alpha1",
            "objects": objects}})
}

fn answered(review: &Value) -> Value {
    let body = serde_json::to_vec(review).unwrap();
    let answer = answer(&body).unwrap();
    let value: Value = serde_json::from_slice(&answer.json).unwrap();
    let status = &value["response"]["result"]["status"];
    assert_eq!(status == "Success", answer.is_success);
    value
}

fn refused(body: &[u8]) -> String {
    match answer(body) {
        Err(refusal) => refusal.to_string(),
        Ok(answer) => panic!("{}", String::from_utf8_lossy(&answer.json)),
    }
}

#[test]
fn objects_come_back_in_their_order() {
    let names: Vec<String> = (0..3000).map(|n| format!("web-{n}")).collect();
    let sets: Vec<Value> = names.iter().map(|name| set(name)).collect();
    let answer = answered(&review(&sets.into()));
    let (kind, response) = (&answer["kind"], &answer["response"]);
    assert_eq!(
        (kind, &response["uid"]),
        (&json!("ConversionReview"), &json!("u-1"))
    );
    assert_eq!(response["result"]["status"], "Success");
    let converted = response["convertedObjects"].as_array().unwrap();
    for (name, object) in names.iter().zip(converted) {
        assert_eq!(object["metadata"]["name"], json!(name));
        assert_eq!(object["apiVersion"], "apps.kruise.io/v1alpha1");
        assert_eq!(object["spec"]["updateStrategy"]["type"], "InPlaceOnly");
    }
    assert_eq!(converted.len(), names.len());
}

#[test]
fn one_that_cannot_be_converted_is_named_and_none_is() {
    let mut other = set("b");
    other["kind"] = "DaemonSet".into();
    let answer = answered(&review(&json!([set("a"), other])));
    let response = &answer["response"];
    assert_eq!(response["result"]["status"], "Failure");
    let message = response["result"]["message"].as_str().unwrap();
    assert!(
        message.starts_with("shop/b: kind \"DaemonSet\""),
        "{message}"
    );
    assert_eq!(response["convertedObjects"], json!([]));
}

#[test]
fn a_version_that_is_not_served_is_said_to_be_so() {
    let mut review = review(&json!([set("a")]));
    review["request"]["desiredAPIVersion"] = "apps.kruise.io/v2".into();
    let answer = answered(&review);
    let message = answer["response"]["result"]["message"].as_str().unwrap();
    assert!(message.contains("\"apps.kruise.io/v2\""), "{message}");
}

#[test]
fn what_is_no_review_is_refused_with_what_was_expected() {
    let whole = serde_json::to_vec(&review(&json!([]))).unwrap();
    let text = refused(&whole[..whole.len() - 3]);
    assert!(text.contains("EOF"), "{text}");
    for (body, part) in [
        ("", "the body is no ConversionReview: EOF"),
        ("[1]", "the body is no ConversionReview"),
        ("{}", "only apiextensions.k8s.io/v1/ConversionReview"),
        (
            r#"{"apiVersion": "apiextensions.k8s.io/v1beta1", "kind": "ConversionReview"}"#,
            "is a apiextensions.k8s.io/v1beta1/ConversionReview",
        ),
        (
            r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview"}"#,
            "has no request with a uid",
        ),
        (
            r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": {"uid": ""}}"#,
            "has no request with a uid",
        ),
        (
            r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": {"uid": "u", "desiredAPIVersion": "apps.kruise.io/v1beta1", "objects": 5}}"#,
            "expected a sequence",
        ),
    ] {
        let text = refused(body.as_bytes());
        assert!(text.contains(part), "{body}: {text}");
    }
}

#[test]
fn objects_that_are_asked_about_twice_are_refused() {
    let body = r#"{"apiVersion": "apiextensions.k8s.io/v1", "kind": "ConversionReview", "request": {
        "uid": "u", "desiredAPIVersion": "apps.kruise.io/v1beta1", "objects": [], "objects": []}}"#;
    let text = refused(body.as_bytes());
    assert!(text.contains("duplicate field `objects`"), "{text}");
}

#[test]
fn nothing_of_what_was_converted_before_a_failure_is_sent() {
    let mut other = set("z");
    other["apiVersion"] = "apps.kruise.io/v7".into();
    let many: Vec<Value> = (0..50)
        .map(|n| set(&n.to_string()))
        .chain([other])
        .collect();
    let answer = answered(&review(&many.into()));
    assert_eq!(answer["response"]["convertedObjects"], json!([]));
    let message = answer["response"]["result"]["message"].as_str().unwrap();
    assert!(message.starts_with("shop/z: apiVersion"), "{message}");
}

/// Found by the fuzzer: the answer was nested deeper than anybody reads, this process included.
#[test]
fn one_that_is_nested_too_deep_is_named_and_not_converted() {
    let nested = |levels: usize| (0..levels).fold(json!(1), |inner, _| json!([inner]));
    for (levels, expected) in [(108, "Success"), (109, "Failure")] {
        let mut deep = set("deep");
        // The object and its spec are two more.
        deep["spec"]["ofTomorrow"] = nested(levels);
        let answer = answered(&review(&json!([deep])));
        let result = &answer["response"]["result"];
        assert_eq!(result["status"], expected, "{result}");
        let message = result["message"].as_str().unwrap_or_default();
        let told = "shop/deep: it is nested deeper than 110 levels";
        assert_eq!(message, if expected == "Failure" { told } else { "" });
    }
}
