//! What one decision about a large CloneSet costs, in two shapes, and what it costs to find that
//! nothing changed. Writes `target/bench/planner.json` from criterion's own estimates.

mod cpu_time;
mod world;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::Criterion;
use planner::Memo;
use serde_json::{Value, json};

use crate::cpu_time::CpuTime;
use crate::world::{Shape, World};

const PODS: usize = 5_000;
/// Microseconds of a decision, and of a pass in which nothing changed.
const MOST: [f64; 2] = [2_000.0, 50.0];

fn main() {
    let target = Path::new(env!("CARGO_TARGET_TMPDIR"));
    let target = target.parent().expect("it is below the target folder");
    let folder = target.join("criterion");
    let mut criterion = Criterion::default()
        .with_measurement(CpuTime)
        .output_directory(&folder)
        .without_plots()
        .configure_from_args();
    full(&mut criterion, "at_rest", Shape::AtRest);
    full(&mut criterion, "rollout", Shape::Rollout);
    unchanged(&mut criterion);
    criterion.final_summary();

    let micros = |name: &str| median(&folder.join(name).join("new/estimates.json"));
    let (Some(at_rest), Some(rollout), Some(unchanged)) =
        (micros("at_rest"), micros("rollout"), micros("unchanged"))
    else {
        return; // Only some were asked for, and the others never ran.
    };
    let full = at_rest.max(rollout);
    let result = json!({
        "pods": PODS,
        "full_us": full,
        "unchanged_us": unchanged,
        "full_at_rest_us": at_rest,
        "full_rollout_us": rollout,
    });
    write(&target.join("bench"), &result);
    for (name, value, most) in [("full", full, MOST[0]), ("unchanged", unchanged, MOST[1])] {
        let verdict = if value <= most { "met" } else { "MISSED" };
        println!("{name}: {value} us of CPU time, at most {most}: {verdict}");
    }
}

/// A decision about Pods that were decoded before.
fn full(criterion: &mut Criterion<CpuTime>, name: &str, shape: Shape) {
    let snapshot = World::new(shape, PODS).snapshot();
    let plan = planner::clone_set::plan(&snapshot);
    assert_eq!(plan.effects.is_empty(), shape == Shape::AtRest);
    criterion.bench_function(name, |b| {
        b.iter(|| planner::clone_set::plan(black_box(&snapshot)));
    });
}

/// A pass over another snapshot of the same objects.
fn unchanged(criterion: &mut Criterion<CpuTime>) {
    let world = World::new(Shape::AtRest, PODS);
    let mut memo = Memo::default();
    let first = memo.plan(&world.snapshot());
    let snapshot = world.snapshot();
    assert!(std::sync::Arc::ptr_eq(&first, &memo.plan(&snapshot)));
    criterion.bench_function("unchanged", |b| {
        b.iter(|| memo.plan(black_box(&snapshot)));
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
