//! What was measured against what it should be, for people and for programs.

use serde_json::{Map, Value, json};

/// What a measure should be.
#[derive(Clone, Copy)]
pub(crate) enum Goal {
    AtMost(f64),
    AtLeast(f64),
    /// It only explains others.
    None,
}

struct Row {
    measure: &'static str,
    value: f64,
    decimals: usize,
    goal: Goal,
}

pub(crate) struct Table {
    title: String,
    rows: Vec<Row>,
}

impl Table {
    pub(crate) fn new(title: String) -> Self {
        Self {
            title,
            rows: Vec::new(),
        }
    }

    pub(crate) fn row(&mut self, measure: &'static str, value: f64, decimals: usize, goal: Goal) {
        self.rows.push(Row {
            measure,
            value,
            decimals,
            goal,
        });
    }

    pub(crate) fn count(&mut self, measure: &'static str, value: usize, goal: Goal) {
        let value = u32::try_from(value).map_or(f64::INFINITY, f64::from);
        self.row(measure, value, 0, goal);
    }

    pub(crate) fn print(&self) {
        println!("\n{}\n", self.title);
        println!(
            "  {:<24} {:>10}  {:<10} verdict",
            "measure", "value", "target"
        );
        for Row {
            measure,
            value,
            decimals,
            goal,
        } in &self.rows
        {
            let (target, verdict) = match goal {
                Goal::AtMost(most) => (format!("<= {most}"), verdict(value <= most)),
                Goal::AtLeast(least) => (format!(">= {least}"), verdict(value >= least)),
                Goal::None => (String::new(), ""),
            };
            let line = format!("  {measure:<24} {value:>10.decimals$}  {target:<10} {verdict}");
            println!("{}", line.trim_end());
        }
        println!();
    }

    /// Values by measure.
    pub(crate) fn json(&self) -> Value {
        let rounded = |row: &Row| (row.value * 1e4).round() / 1e4;
        let fields = self
            .rows
            .iter()
            .map(|row| (row.measure.to_owned(), json!(rounded(row))));
        Value::Object(fields.collect::<Map<_, _>>())
    }
}

fn verdict(is_met: bool) -> &'static str {
    if is_met { "met" } else { "MISSED" }
}
