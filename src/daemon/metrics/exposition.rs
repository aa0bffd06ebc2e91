//! Prometheus' text form, version 0.0.4.

use std::fmt::{Display, Write};

use crate::store::Histogram;

/// Metrics as text.
#[derive(Default)]
pub(super) struct Exposition {
    text: String,
}

/// What a value means.
#[derive(Debug, Clone, Copy)]
pub(super) enum Kind {
    /// Only grows.
    Counter,
    /// Goes up and down.
    Gauge,
}

impl Exposition {
    /// A metric without labels.
    pub(super) fn one(&mut self, kind: Kind, name: &str, help: &str, value: impl Display) {
        self.family(kind, name, help, "", [("", value)]);
    }

    /// A metric with one label. Label values come from the program or its configuration, never from callers.
    pub(super) fn family<L: AsRef<str>, V: Display>(
        &mut self,
        kind: Kind,
        name: &str,
        help: &str,
        label: &str,
        samples: impl IntoIterator<Item = (L, V)>,
    ) {
        self.head(
            name,
            help,
            match kind {
                Kind::Counter => "counter",
                Kind::Gauge => "gauge",
            },
        );
        for (value_of_label, value) in samples {
            if label.is_empty() {
                self.line(format_args!("{name} {value}"));
            } else {
                // No name that is used here needs escapes.
                self.line(format_args!("{name}{{{label}=\"{}\"}} {value}", value_of_label.as_ref()));
            }
        }
    }

    /// A histogram whose bounds are `per_unit` times finer than the metric's unit.
    pub(super) fn histogram(&mut self, name: &str, help: &str, histogram: &Histogram, per_unit: u32) {
        self.head(name, help, "histogram");
        let in_unit = |value: u64| value as f64 / f64::from(per_unit);
        let mut count = 0;
        for (bound, in_bucket) in histogram.buckets() {
            count += in_bucket;
            match bound {
                Some(bound) => self.line(format_args!("{name}_bucket{{le=\"{}\"}} {count}", in_unit(bound))),
                None => self.line(format_args!("{name}_bucket{{le=\"+Inf\"}} {count}")),
            }
        }
        self.line(format_args!("{name}_sum {}", in_unit(histogram.sum())));
        self.line(format_args!("{name}_count {count}"));
    }

    pub(super) fn into_text(self) -> String {
        self.text
    }

    fn head(&mut self, name: &str, help: &str, kind: &str) {
        self.line(format_args!("# HELP {name} {help}"));
        self.line(format_args!("# TYPE {name} {kind}"));
    }

    fn line(&mut self, line: std::fmt::Arguments<'_>) {
        // Writing to a string does not fail.
        let _ = writeln!(self.text, "{line}");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn metrics_are_written_as_prometheus_reads_them() {
        let mut exposition = Exposition::default();
        exposition.one(Kind::Gauge, "recalld_active_calls", "Active calls", 3);
        exposition.family(Kind::Counter, "recalld_x_total", "X", "method", [("ping", 1), ("call.start", 2)]);
        assert_eq!(
            exposition.into_text(),
            "# HELP recalld_active_calls Active calls\n# TYPE recalld_active_calls gauge\nrecalld_active_calls 3\n\
             # HELP recalld_x_total X\n# TYPE recalld_x_total counter\nrecalld_x_total{method=\"ping\"} 1\n\
             recalld_x_total{method=\"call.start\"} 2\n"
        );
    }
}
