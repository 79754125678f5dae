//! Which path answers what. A value without ports: it can be asked in a test.

use std::{
    panic::{AssertUnwindSafe, catch_unwind},
    sync::Arc,
    time::Duration,
};

use axum::{Router, body::Body, extract::State, response::Response, routing::post};
use http::Request;
use jiff::Timestamp;
use tokio::{
    sync::{OwnedSemaphorePermit, Semaphore},
    time::{Instant, timeout_at},
};

use crate::{
    inject,
    metrics::Metrics,
    review::{admission, conversion, mutation},
    sets::{Look, Sets},
    validate::{self, Rules},
};

mod body;
mod refused;

use refused::Refused;

/// Bodies up to this size wait for nobody and are answered where they are read.
const SMALL: usize = 64 * 1024;
const MIB: usize = 1024 * 1024;

/// What requests may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// How many are worked on at a time; more wait for their turn.
    pub requests: usize,
    /// Of `/validate`.
    pub validate: PathLimits,
    /// Of `/inject`.
    pub inject: PathLimits,
    /// Of `/convert`.
    pub convert: PathLimits,
}

/// What requests to one path may cost.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PathLimits {
    /// Of a body.
    pub bytes: usize,
    /// Of all bodies together that are not small; more wait for their turn.
    pub shared_bytes: usize,
    /// From the head of a request to its answer.
    pub time: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            requests: 256,
            // An API server takes objects of up to 3 MiB, and a review has the old one as well.
            validate: PathLimits {
                bytes: 8 * MIB,
                shared_bytes: 16 * MIB,
                time: Duration::from_secs(10),
            },
            inject: PathLimits {
                bytes: 4 * MIB,
                shared_bytes: 16 * MIB,
                time: Duration::from_secs(5),
            },
            // A list of thousands of objects is converted in one piece; an API server waits 30 s.
            convert: PathLimits {
                bytes: 64 * MIB,
                shared_bytes: 64 * MIB,
                time: Duration::from_secs(30),
            },
        }
    }
}

/// What answers.
struct Door {
    validate: Arc<Path>,
    inject: Arc<Path>,
    convert: Arc<Path>,
    turns: Arc<Semaphore>,
    sets: Arc<Sets>,
    metrics: Metrics,
}

/// One path.
struct Path {
    name: &'static str,
    limits: PathLimits,
    /// Bytes that bodies may still have.
    bytes: Arc<Semaphore>,
    answer: Answerer,
}

type Answerer = Box<dyn Fn(&[u8], Look) -> Result<Answer, Refused> + Send + Sync>;

/// What a request may cost, as long as it is worked on.
type Turn = (OwnedSemaphorePermit, Option<OwnedSemaphorePermit>);

/// A review that was understood.
struct Answer {
    json: Vec<u8>,
    outcome: &'static str,
}

/// All paths.
pub fn router(limits: Limits, rules: Rules, sets: Arc<Sets>, metrics: Metrics) -> Router {
    let path = |name, limits: PathLimits, answer: Answerer| {
        Arc::new(Path {
            name,
            limits,
            bytes: Arc::new(Semaphore::new(limits.shared_bytes.max(limits.bytes))),
            answer,
        })
    };
    let (judging, injecting) = (Arc::clone(&sets), Arc::clone(&sets));
    let door = Arc::new(Door {
        validate: path(
            "/validate",
            limits.validate,
            Box::new(move |body, look| admit(body, rules, &judging, look)),
        ),
        inject: path(
            "/inject",
            limits.inject,
            Box::new(move |body, look| change(body, &injecting, look)),
        ),
        convert: path(
            "/convert",
            limits.convert,
            Box::new(|body, _look| convert(body)),
        ),
        turns: Arc::new(Semaphore::new(limits.requests)),
        sets,
        metrics,
    });
    let validate = |State(door): State<Arc<Door>>, request: Request<Body>| async move {
        door.serve(&door.validate, request).await
    };
    let inject = |State(door): State<Arc<Door>>, request: Request<Body>| async move {
        door.serve(&door.inject, request).await
    };
    let convert = |State(door): State<Arc<Door>>, request: Request<Body>| async move {
        door.serve(&door.convert, request).await
    };
    let lost = |State(door): State<Arc<Door>>, request: Request<Body>| async move {
        let refused = Refused::NoSuchPath(request.uri().path().to_owned());
        door.refuse("other", &refused, 0.0)
    };
    let wrong = |State(door): State<Arc<Door>>, request: Request<Body>| async move {
        let refused = Refused::Method(request.method().clone());
        door.refuse("other", &refused, 0.0)
    };
    Router::new()
        .route("/validate", post(validate))
        .route("/inject", post(inject))
        .route("/convert", post(convert))
        .fallback(lost)
        .method_not_allowed_fallback(wrong)
        .with_state(door)
}

impl Door {
    async fn serve(self: &Arc<Self>, path: &Arc<Path>, request: Request<Body>) -> Response {
        let begun = Instant::now();
        let answered = self.answer(path, request, begun + path.limits.time).await;
        let seconds = begun.elapsed().as_secs_f64();
        match answered {
            Ok(answer) => {
                self.metrics.answered(path.name, answer.outcome, seconds);
                refused::json(http::StatusCode::OK, answer.json)
            }
            Err(refused) => self.refuse(path.name, &refused, seconds),
        }
    }

    fn refuse(&self, path: &'static str, refused: &Refused, seconds: f64) -> Response {
        self.metrics.answered(path, refused.label(), seconds);
        tracing::debug!(path, error = %refused, "a request was refused");
        refused.response()
    }

    async fn answer(
        self: &Arc<Self>,
        path: &Arc<Path>,
        request: Request<Body>,
        until: Instant,
    ) -> Result<Answer, Refused> {
        let (head, body) = request.into_parts();
        let length = match body::check(&head.headers, path.limits.bytes) {
            Ok(length) => length,
            Err(refused) => {
                body::discard(body).await;
                return Err(refused);
            }
        };
        let turn = async {
            let bytes = match u32::try_from(length).ok().filter(|_| length > SMALL) {
                Some(length) => Some(
                    Arc::clone(&path.bytes)
                        .acquire_many_owned(length)
                        .await
                        .ok()?,
                ),
                None => None,
            };
            // Last, so that whoever waits for memory keeps nobody else from a turn.
            let turn = Arc::clone(&self.turns).acquire_owned().await.ok()?;
            Some((turn, bytes))
        };
        let turn = timeout_at(until, turn).await.ok().flatten();
        let turn = turn.ok_or(Refused::Busy)?;
        let read = timeout_at(until, body::read(body, length)).await;
        let body = Arc::new(read.unwrap_or(Err(Refused::SlowBody))?);
        let turn = Arc::new(turn);
        match path.work(&body, &turn, Look::First, until).await {
            Err(Refused::Missing(missing)) => {
                self.sets.learn(&missing).await;
                path.work(&body, &turn, Look::Last, until).await
            }
            answered => answered,
        }
    }
}

impl Path {
    async fn work(
        self: &Arc<Self>,
        body: &Arc<Vec<u8>>,
        turn: &Arc<Turn>,
        look: Look,
        until: Instant,
    ) -> Result<Answer, Refused> {
        if body.len() <= SMALL {
            return self.answer_caught(body, look);
        }
        // It takes as long as many small ones, which should not stand in line behind it. What it
        // may cost stays reserved until it is done, whoever waits.
        let (path, body, turn) = (Arc::clone(self), Arc::clone(body), Arc::clone(turn));
        let work = tokio::task::spawn_blocking(move || {
            let _turn = turn;
            path.answer_caught(&body, look)
        });
        match timeout_at(until, work).await {
            Err(_elapsed) => Err(Refused::Late),
            Ok(answered) => answered.unwrap_or(Err(Refused::Panicked)),
        }
    }

    fn answer_caught(&self, body: &[u8], look: Look) -> Result<Answer, Refused> {
        let answered = catch_unwind(AssertUnwindSafe(|| (self.answer)(body, look)));
        answered.unwrap_or(Err(Refused::Panicked))
    }
}

/// `/validate`.
fn admit(body: &[u8], rules: Rules, sets: &Sets, look: Look) -> Result<Answer, Refused> {
    let mut outcome = "allowed";
    let answer = admission::answer(body, |request| {
        let verdict = validate::judge(request, rules, sets, look)?;
        outcome = verdict.label();
        Ok::<_, Refused>(verdict)
    })?;
    let json = serde_json::to_vec(&answer).map_err(|_| Refused::Panicked)?;
    Ok(Answer { json, outcome })
}

/// `/inject`.
fn change(body: &[u8], sets: &Sets, look: Look) -> Result<Answer, Refused> {
    let request = mutation::read(body)?;
    let (change, outcome) = inject::judge(&request, &sets.read(), look, Timestamp::now())?;
    let answer = mutation::answer(request.uid, change);
    let json = serde_json::to_vec(&answer).map_err(|_| Refused::Panicked)?;
    Ok(Answer { json, outcome })
}

/// `/convert`.
fn convert(body: &[u8]) -> Result<Answer, Refused> {
    let conversion::Answer { json, is_success } = conversion::answer(body)?;
    let outcome = if is_success { "converted" } else { "failed" };
    Ok(Answer { json, outcome })
}
