//! One metric with its samples, as they are read at the time of the request.

use prometheus_client::encoding::{
    DescriptorEncoder, EncodeCounterValue, EncodeGaugeValue, EncodeLabelSet, NoLabelSet,
};
use prometheus_client::metrics::MetricType;
use prometheus_client::registry::Unit;
use std::fmt;

/// The labels of a metric that has one sample.
pub const NO_LABELS: [(&str, &str); 0] = [];

/// The type of a metric.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Kind {
    /// Never decreases while the process runs; its name gets the suffix `_total`.
    Counter,
    /// Also goes down.
    Gauge,
}

/// What a metric is.
#[derive(Clone, Copy, Debug)]
pub struct Metric<'a> {
    /// Without the prefix of the process, the unit and the suffix.
    pub name: &'a str,
    /// One sentence for operators.
    pub help: &'a str,
    /// Base units only: seconds, bytes. `None`: a number of things.
    pub unit: Option<&'a Unit>,
    /// Its type.
    pub kind: Kind,
}

impl<'a> Metric<'a> {
    /// A number of events.
    pub const fn counter(name: &'a str, help: &'a str) -> Self {
        Self { name, help, unit: None, kind: Kind::Counter }
    }

    /// A number of things that exist.
    pub const fn gauge(name: &'a str, help: &'a str) -> Self {
        Self { name, help, unit: None, kind: Kind::Gauge }
    }

    /// The same with a unit.
    pub const fn in_unit(mut self, unit: &'a Unit) -> Self {
        self.unit = Some(unit);
        self
    }

    /// Writes the metric with one sample, without labels.
    ///
    /// # Errors
    ///
    /// Only if the writer fails, which a `String` does not.
    pub fn write(
        self,
        encoder: &mut DescriptorEncoder<'_>,
        value: impl EncodeCounterValue + EncodeGaugeValue,
    ) -> fmt::Result {
        self.write_each(encoder, [(NO_LABELS, value)])
    }

    /// Writes the metric with all its samples: labels and value.
    ///
    /// # Errors
    ///
    /// Only if the writer fails, which a `String` does not.
    pub fn write_each<L: EncodeLabelSet, V: EncodeCounterValue + EncodeGaugeValue>(
        self,
        encoder: &mut DescriptorEncoder<'_>,
        samples: impl IntoIterator<Item = (L, V)>,
    ) -> fmt::Result {
        let metric_type = match self.kind {
            Kind::Counter => MetricType::Counter,
            Kind::Gauge => MetricType::Gauge,
        };
        let mut encoder = encoder.encode_descriptor(self.name, self.help, self.unit, metric_type)?;
        for (labels, value) in samples {
            let mut encoder = encoder.encode_family(&labels)?;
            match self.kind {
                Kind::Counter => encoder.encode_counter::<NoLabelSet, _, f64>(&value, None)?,
                Kind::Gauge => encoder.encode_gauge(&value)?,
            }
        }
        Ok(())
    }
}
