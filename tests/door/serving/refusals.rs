use door::{
    client::{self, Answer, Http},
    reviews,
    serving::Options,
};
use http::{Method, Request, header};
use http_body_util::Full;
use hyper::body::Bytes;
use serde_json::{Value, json};
use tokio::io::{AsyncReadExt, AsyncWriteExt};
use webhook::router::Limits;

use crate::{connect, serving, trusting};

fn with(name: header::HeaderName, value: &'static str) -> Request<Full<Bytes>> {
    let mut request = client::review("/validate", reviews::create());
    let value = header::HeaderValue::from_static(value);
    request.headers_mut().insert(name, value);
    request
}

fn changed(path: &str, change: impl FnOnce(&mut Value)) -> Request<Full<Bytes>> {
    let mut review = match path {
        "/convert" => reviews::conversion("v1beta1", &[reviews::old_set("web")]),
        _ => reviews::admission("CREATE", &reviews::set("web"), &Value::Null),
    };
    change(&mut review);
    client::review(path, reviews::bytes(&review))
}

/// Requests that get no review for an answer: the status, and what its message says.
fn refusals() -> Vec<(Request<Full<Bytes>>, u16, &'static str)> {
    let post = |path, body: &[u8]| client::review(path, body.to_vec());
    let mut get = client::review("/validate", "");
    *get.method_mut() = Method::GET;
    let create = reviews::create();
    let deep = format!("{}{}", "[".repeat(100_000), "]".repeat(100_000));
    let mut deep_object = create.clone();
    let begin = deep_object.len() - 2;
    deep_object.splice(
        begin..begin,
        format!(r#","object":{}"#, "[".repeat(5000)).into_bytes(),
    );
    vec![
        (post("/mutate", b"{}"), 404, r#"no path "/mutate""#),
        (get, 405, "method GET"),
        (
            with(header::CONTENT_TYPE, "application/yaml"),
            415,
            r#""application/yaml" is not understood"#,
        ),
        (
            with(header::CONTENT_ENCODING, "gzip"),
            415,
            "encoding \"gzip\"",
        ),
        (post("/validate", b""), 400, "EOF while parsing"),
        (post("/convert", b"{"), 400, "EOF while parsing"),
        (
            post("/validate", &create[..create.len() / 2]),
            400,
            "no AdmissionReview: EOF",
        ),
        (post("/validate", b"[]"), 400, "no AdmissionReview"),
        (post("/validate", b"\xff\xfe"), 400, "no AdmissionReview"),
        (
            post("/convert", deep.as_bytes()),
            400,
            "no ConversionReview",
        ),
        (post("/validate", &deep_object), 400, "no AdmissionReview"),
        (
            changed("/validate", |r| {
                r["apiVersion"] = "admission.k8s.io/v1beta1".into();
            }),
            400,
            "only admission.k8s.io/v1/AdmissionReview is answered",
        ),
        (
            changed("/convert", |r| {
                r["apiVersion"] = "apiextensions.k8s.io/v2".into();
            }),
            400,
            "only apiextensions.k8s.io/v1/ConversionReview",
        ),
        (
            changed("/validate", |r| r["request"]["uid"] = "".into()),
            400,
            "no request with a uid",
        ),
        (
            changed("/validate", |r| r["request"] = json!(null)),
            400,
            "no request with a uid",
        ),
        (
            client::review("/convert", reviews::create()),
            400,
            "the body is a admission.k8s.io/v1/AdmissionReview",
        ),
    ]
}

fn expect(answer: &Answer, code: u16, part: &str) {
    let text = answer.text();
    assert_eq!(answer.code, code, "{part}: {text}");
    let status: Value = serde_json::from_str(&text).unwrap();
    assert_eq!(
        (&status["kind"], &status["code"]),
        (&json!("Status"), &json!(code))
    );
    let message = status["message"].as_str().unwrap();
    assert!(message.contains(part), "{message}");
}

#[tokio::test]
async fn what_is_no_review_is_refused_by_name_and_the_connection_goes_on() {
    let serving = serving(Options::default()).await;
    for http in [Http::One, Http::Two] {
        let mut client = connect(&serving, http).await;
        for (request, code, part) in refusals() {
            expect(&client.send(request).await.unwrap(), code, part);
            let good = client.post("/validate", reviews::create()).await.unwrap();
            assert_eq!(good.code, 200, "after {part}");
        }
    }
}

fn small() -> Options {
    let mut requests = Limits::default();
    requests.validate.bytes = 100_000;
    Options {
        requests,
        ..Options::default()
    }
}

#[tokio::test]
async fn a_body_that_is_too_large_is_refused_whether_it_is_announced_or_not() {
    let serving = serving(small()).await;
    let large = "a".repeat(100_001);
    for http in [Http::One, Http::Two] {
        let mut client = connect(&serving, http).await;
        let answer = client.post("/validate", large.clone()).await.unwrap();
        expect(&answer, 413, "more than 100000 bytes");
    }
    let mut stream = client::handshake(serving.address, &trusting(&serving, Http::One))
        .await
        .unwrap();
    let head = "POST /validate HTTP/1.1\r\nhost: a\r\ncontent-type: application/json\r\n\
                connection: close\r\ntransfer-encoding: chunked\r\n\r\n";
    let body = format!("{:x}\r\n{large}\r\n0\r\n\r\n", large.len());
    stream
        .write_all((head.to_owned() + &body).as_bytes())
        .await
        .unwrap();
    let mut answer = String::new();
    stream.read_to_string(&mut answer).await.unwrap();
    assert!(answer.starts_with("HTTP/1.1 413"), "{answer}");
}

#[tokio::test]
async fn a_head_that_is_too_large_is_refused() {
    let serving = serving(Options::default()).await;
    let mut stream = client::handshake(serving.address, &trusting(&serving, Http::One))
        .await
        .unwrap();
    let head = format!(
        "POST /validate HTTP/1.1\r\nhost: a\r\nx: {}\r\n\r\n",
        "x".repeat(20_000)
    );
    stream.write_all(head.as_bytes()).await.unwrap();
    let mut answer = String::new();
    let _ = stream.read_to_string(&mut answer).await;
    assert!(answer.starts_with("HTTP/1.1 431"), "{answer}");
    let mut client = connect(&serving, Http::Two).await;
    let mut request = client::review("/validate", reviews::create());
    let value = header::HeaderValue::from_str(&"x".repeat(20_000)).unwrap();
    request.headers_mut().insert("x", value);
    match client.send(request).await {
        Ok(answer) => assert_eq!(answer.code, 431),
        Err(error) => assert!(format!("{error:#}").contains("http2"), "{error:#}"),
    }
}
