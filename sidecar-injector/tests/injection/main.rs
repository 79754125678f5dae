//! What Pods are given: as files (`goldens`), as tables (`cases`), and of random Pods (`properties`).

#![allow(clippy::unwrap_used, clippy::panic, reason = "tests")]
#![allow(
    clippy::needless_pass_by_value,
    reason = "values are written where they are passed"
)]

mod again;
mod cases;
mod goldens;
mod index;
mod policies;
mod properties;
mod world;
