//! How costs grow with the number of Pods: no worse than linearly.

use serde_json::Value;

use crate::table::{Goal, Table};

/// Prints each of `results` against the first.
pub(crate) fn print(results: &[Value]) {
    let Some((first, others)) = results.split_first() else {
        return;
    };
    let of = |result: &Value, field: &str| result[field].as_f64().unwrap_or_default();
    for other in others {
        let title = format!("Growth from {} to {} Pods", first["pods"], other["pods"]);
        let mut table = Table::new(title);
        let times = |field| of(other, field) / of(first, field);
        table.row("ratio", times("ratio"), 2, Goal::AtLeast(0.9));
        table.row(
            "cpu_ms_per_pod",
            times("cpu_ms_per_pod"),
            2,
            Goal::AtMost(1.0),
        );
        table.row(
            "writes_per_pod",
            times("writes_per_pod"),
            2,
            Goal::AtMost(1.05),
        );
        table.row(
            "rss_kb_per_pod",
            times("rss_kb_per_pod"),
            2,
            Goal::AtMost(1.0),
        );
        table.print();
    }
}
