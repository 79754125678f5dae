//! What one decision about a large CloneSet costs, in two shapes: of which some Pods changed since
//! the last one, and of which nothing is known. And what it costs to find that nothing changed.
//! Writes `target/bench/planner.json` from criterion's samples: of the CPU times the one that a tenth
//! of them stay below. What else runs on the machine takes the caches away, and adds to the others.

mod cpu_time;
mod world;

use std::fs;
use std::hint::black_box;
use std::path::{Path, PathBuf};

use criterion::Criterion;
use planner::{Effect, Memo};
use serde_json::{Value, json};

use crate::cpu_time::CpuTime;
use crate::world::{Shape, World};

#[global_allocator]
static THE_MANAGERS: mimalloc::MiMalloc = mimalloc::MiMalloc;

const PODS: usize = 5_000;
/// A smaller set, for what a decision grows by.
const FEWER: usize = 1_000;
/// Pods that change between two decisions.
const CHANGED: usize = 50;
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
    full(&mut criterion, "at_rest", (Shape::AtRest, PODS));
    full(&mut criterion, "rollout", (Shape::Rollout, PODS));
    full(&mut criterion, "patches", (Shape::Patches, PODS));
    full(&mut criterion, "fewer", (Shape::Rollout, FEWER));
    first(&mut criterion, "first_at_rest", Shape::AtRest);
    first(&mut criterion, "first_rollout", Shape::Rollout);
    unchanged(&mut criterion);
    criterion.final_summary();

    let micros = |name: &str| low(&folder.join(name).join("new/sample.json"));
    let (Some(at_rest), Some(rollout), Some(patches), Some(unchanged)) = (
        micros("at_rest"),
        micros("rollout"),
        micros("patches"),
        micros("unchanged"),
    ) else {
        return; // Only some were asked for, and the others never ran.
    };
    let full = at_rest.max(rollout).max(patches);
    let result = json!({
        "pods": PODS,
        "full_us": full,
        "unchanged_us": unchanged,
        "full_at_rest_us": at_rest,
        "full_rollout_us": rollout,
        "full_patches_us": patches,
        "full_rollout_of_1000_us": micros("fewer"),
        "first_at_rest_us": micros("first_at_rest"),
        "first_rollout_us": micros("first_rollout"),
    });
    write(&target.join("bench"), &result);
    for (name, value, most) in [("full", full, MOST[0]), ("unchanged", unchanged, MOST[1])] {
        let verdict = if value <= most { "met" } else { "MISSED" };
        println!("{name}: {value} us of CPU time, at most {most}: {verdict}");
    }
}

/// A decision about all Pods, of which [`CHANGED`] are other ones than those of the decision before,
/// and so is the set.
fn full(criterion: &mut Criterion<CpuTime>, name: &str, (shape, pods): (Shape, usize)) {
    let mut world = World::new(shape, pods);
    let mut snapshots = vec![world.snapshot()];
    world.touch(CHANGED);
    snapshots.push(world.snapshot());
    let plan = planner::clone_set::plan(&snapshots[0]);
    assert_eq!(plan.effects.is_empty(), shape == Shape::AtRest);
    let is_patch = |effect: &Effect| matches!(effect, Effect::PatchPod { .. });
    assert!(shape != Shape::Patches || plan.effects.iter().all(is_patch));
    let mut memo = Memo::default();
    criterion.bench_function(name, |b| {
        b.iter(|| {
            snapshots.rotate_left(1);
            memo.plan(black_box(&snapshots[0]))
        });
    });
}

/// The first decision, about Pods that were decoded, and introduced to each other, before. What was
/// found out is kept for the next one.
fn first(criterion: &mut Criterion<CpuTime>, name: &str, shape: Shape) {
    let snapshot = World::new(shape, PODS).snapshot();
    criterion.bench_function(name, |b| {
        b.iter_with_large_drop(|| {
            let mut memo = Memo::default();
            (memo.plan(black_box(&snapshot)), memo)
        });
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
fn low(samples: &PathBuf) -> Option<f64> {
    let text = fs::read_to_string(samples).ok()?;
    let value: Value = serde_json::from_str(&text).ok()?;
    let numbers = |key| {
        value[key]
            .as_array()
            .into_iter()
            .flatten()
            .map(Value::as_f64)
    };
    let per_pass = numbers("times").zip(numbers("iters"));
    let mut per_pass: Vec<f64> = per_pass
        .map(|(t, n)| Some(t? / n?))
        .collect::<Option<_>>()?;
    per_pass.sort_by(f64::total_cmp);
    let nanos = per_pass.get(per_pass.len() / 10)?;
    Some((nanos / 100.0).round() / 10.0)
}

fn write(folder: &Path, result: &Value) {
    let path = folder.join("planner.json");
    fs::create_dir_all(folder)
        .and_then(|()| fs::write(&path, format!("{result:#}\n")))
        .expect("the target folder can be written");
    println!("{result:#}\nwritten to {}", path.display());
}
