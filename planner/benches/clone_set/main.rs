//! What one decision about a large CloneSet costs, in two shapes, and what it costs to find that
//! nothing changed. Writes `target/bench/planner.json` from criterion's own estimates.

mod world;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::Criterion;
use serde_json::{Value, json};

use crate::world::{Shape, World};

const PODS: usize = 5_000;

fn main() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().expect("it is below the target folder");
    let criterion = target.join("criterion");
    let mut runner = Criterion::default()
        .output_directory(&criterion)
        .without_plots()
        .configure_from_args();
    full(&mut runner, "at_rest", Shape::AtRest);
    full(&mut runner, "rollout", Shape::Rollout);
    runner.final_summary();

    let micros = |name: &str| median(&criterion.join(name).join("new/estimates.json"));
    let (Some(at_rest), Some(rollout)) = (micros("at_rest"), micros("rollout")) else {
        return; // Only some were asked for, or this is `cargo test`.
    };
    let result = json!({
        "pods": PODS,
        "full_us": at_rest.max(rollout),
        "full_at_rest_us": at_rest,
        "full_rollout_us": rollout,
    });
    write(&target.join("bench"), &result);
}

fn full(runner: &mut Criterion, name: &str, shape: Shape) {
    let snapshot = World::new(shape, PODS).snapshot();
    let plan = planner::clone_set::plan(&snapshot);
    println!(
        "{name}: {} effects, {:?}",
        plan.effects.len(),
        plan.status.reasons
    );
    runner.bench_function(name, |b| {
        b.iter_with_large_drop(|| planner::clone_set::plan(black_box(&snapshot)));
    });
}

/// Microseconds, with one decimal.
fn median(estimates: &PathBuf) -> Option<f64> {
    let text = fs::read_to_string(estimates).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let nanos = value.pointer("/median/point_estimate")?.as_f64()?;
    Some((nanos / 100.0).round() / 10.0)
}

fn write(folder: &Path, result: &Value) {
    let path = folder.join("planner.json");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, format!("{result:#}\n")))
        .expect("the target folder can be written");
    println!("{result:#}\nwritten to {}", path.display());
}
