//! What every registry has, and how it is written.

use std::fmt;

use prometheus_client::{
    encoding::text,
    metrics::{
        family::{Family, MetricConstructor},
        histogram::Histogram,
    },
    registry::Registry,
};

mod process;

/// The media type of [`encode`].
pub const CONTENT_TYPE: &str = "application/openmetrics-text; version=1.0.0; charset=utf-8";

/// A registry with what the system knows of this process.
pub fn registry() -> Registry {
    let mut registry = Registry::default();
    registry.register_collector(Box::new(process::Process));
    registry
}

/// The text that a scrape gets, in the `OpenMetrics` format.
///
/// # Errors
/// Only when a label cannot be written, which is a bug.
pub fn encode(registry: &Registry) -> Result<String, fmt::Error> {
    let mut out = String::with_capacity(16 * 1024);
    text::encode(&mut out, registry)?;
    Ok(out)
}

/// Bucket bounds in seconds, as a type so that families can be built by default.
#[derive(Debug, Clone, Copy)]
pub struct Buckets(pub &'static [f64]);

impl MetricConstructor<Histogram> for Buckets {
    fn new_metric(&self) -> Histogram {
        Histogram::new(self.0.iter().copied())
    }
}

/// Histograms by labels.
pub type Histograms<L> = Family<L, Histogram, Buckets>;

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_process_shows_its_memory_and_cpu() {
        let text = encode(&registry()).unwrap();
        let value = |name: &str| -> f64 {
            let line = text
                .lines()
                .find(|line| line.starts_with(&format!("{name} ")))
                .unwrap();
            line.rsplit(' ').next().unwrap().parse().unwrap()
        };
        assert!(value("process_resident_memory_bytes") > 1e6);
        assert!(value("process_cpu_seconds_total") >= 0.0);
    }
}
