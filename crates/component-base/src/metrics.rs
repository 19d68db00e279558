//! Counters, gauges and histograms, written in Prometheus' text format. A registry is passed in at build; there is no
//! global one.

use std::collections::BTreeMap;
use std::fmt::Write as _;
use std::sync::Arc;
use std::sync::atomic::{AtomicI64, AtomicU64, Ordering};

use parking_lot::Mutex;

/// Label values of one series, in the order of the family's label names.
type LabelValues = Vec<String>;

/// The most series one family keeps; further label values are counted together under `other`.
/// 64 resources × 10 verbs × 12 codes stay below it.
pub const SERIES_MAX: usize = 8192;

/// All metric families of a process.
#[derive(Debug, Default, Clone)]
pub struct Registry {
    families: Arc<Mutex<BTreeMap<&'static str, Family>>>,
}

#[derive(Debug)]
struct Family {
    help: &'static str,
    kind: &'static str,
    labels: &'static [&'static str],
    series: Arc<Mutex<BTreeMap<LabelValues, Series>>>,
    buckets: &'static [f64],
}

#[derive(Debug, Clone)]
enum Series {
    Counter(Arc<AtomicU64>),
    Gauge(Arc<AtomicI64>),
    Histogram(Arc<Mutex<HistogramState>>),
}

#[derive(Debug)]
struct HistogramState {
    counts: Vec<u64>,
    sum: f64,
    count: u64,
}

/// A family of counters.
#[derive(Debug, Clone)]
pub struct Counter(Arc<Mutex<BTreeMap<LabelValues, Series>>>);
/// A family of gauges.
#[derive(Debug, Clone)]
pub struct Gauge(Arc<Mutex<BTreeMap<LabelValues, Series>>>);
/// A family of histograms.
#[derive(Debug, Clone)]
pub struct Histogram(Arc<Mutex<BTreeMap<LabelValues, Series>>>, &'static [f64]);

impl Registry {
    /// A registry without families.
    pub fn new() -> Self {
        Self::default()
    }

    /// The counter family `name`, made if it is not there yet.
    pub fn counter(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Counter {
        Counter(self.family(name, help, "counter", labels, &[]))
    }

    /// The gauge family `name`.
    pub fn gauge(&self, name: &'static str, help: &'static str, labels: &'static [&'static str]) -> Gauge {
        Gauge(self.family(name, help, "gauge", labels, &[]))
    }

    /// The histogram family `name` with the upper bounds `buckets`, ascending.
    pub fn histogram(
        &self,
        name: &'static str,
        help: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
    ) -> Histogram {
        Histogram(self.family(name, help, "histogram", labels, buckets), buckets)
    }

    fn family(
        &self,
        name: &'static str,
        help: &'static str,
        kind: &'static str,
        labels: &'static [&'static str],
        buckets: &'static [f64],
    ) -> Arc<Mutex<BTreeMap<LabelValues, Series>>> {
        let mut families = self.families.lock();
        let family =
            families.entry(name).or_insert_with(|| Family { help, kind, labels, series: Arc::default(), buckets });
        family.series.clone()
    }

    /// Everything in Prometheus' text format.
    pub fn render(&self) -> String {
        let mut out = String::new();
        for (name, family) in self.families.lock().iter() {
            let _ = writeln!(out, "# HELP {name} {}", family.help);
            let _ = writeln!(out, "# TYPE {name} {}", family.kind);
            for (values, series) in family.series.lock().iter() {
                let labels = label_text(family.labels, values);
                match series {
                    Series::Counter(value) => {
                        let _ = writeln!(out, "{name}{} {}", braced(&labels), value.load(Ordering::Relaxed));
                    }
                    Series::Gauge(value) => {
                        let _ = writeln!(out, "{name}{} {}", braced(&labels), value.load(Ordering::Relaxed));
                    }
                    Series::Histogram(state) => {
                        render_histogram(&mut out, name, &labels, family.buckets, &state.lock());
                    }
                }
            }
        }
        out
    }
}

fn render_histogram(out: &mut String, name: &str, labels: &str, buckets: &[f64], state: &HistogramState) {
    let comma = if labels.is_empty() { "" } else { "," };
    let mut total = 0;
    for (bound, count) in buckets.iter().zip(&state.counts) {
        total += count;
        let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"{bound}\"}} {total}");
    }
    let _ = writeln!(out, "{name}_bucket{{{labels}{comma}le=\"+Inf\"}} {}", state.count);
    let _ = writeln!(out, "{name}_sum{} {}", braced(labels), state.sum);
    let _ = writeln!(out, "{name}_count{} {}", braced(labels), state.count);
}

fn braced(labels: &str) -> String {
    if labels.is_empty() { String::new() } else { format!("{{{labels}}}") }
}

fn label_text(names: &[&str], values: &[String]) -> String {
    let mut out = String::new();
    for (i, (name, value)) in names.iter().zip(values).enumerate() {
        let comma = if i > 0 { "," } else { "" };
        let escaped = value.replace('\\', "\\\\").replace('"', "\\\"").replace('\n', "\\n");
        let _ = write!(out, "{comma}{name}=\"{escaped}\"");
    }
    out
}

fn series(map: &Mutex<BTreeMap<LabelValues, Series>>, values: &[&str], make: impl FnOnce() -> Series) -> Series {
    let mut map = map.lock();
    let mut key: LabelValues = values.iter().map(|v| (*v).to_owned()).collect();
    if let Some(found) = map.get(&key) {
        return found.clone();
    }
    if map.len() >= SERIES_MAX {
        key = vec!["other".to_owned(); values.len()];
    }
    map.entry(key).or_insert_with(make).clone()
}

impl Counter {
    /// Adds `n` to the series with these label values.
    pub fn add(&self, values: &[&str], n: u64) {
        if let Series::Counter(value) = series(&self.0, values, || Series::Counter(Arc::default())) {
            value.fetch_add(n, Ordering::Relaxed);
        }
    }

    /// Adds one.
    pub fn increment(&self, values: &[&str]) {
        self.add(values, 1);
    }
}

impl Gauge {
    /// Sets the series with these label values.
    pub fn set(&self, values: &[&str], to: i64) {
        if let Series::Gauge(value) = series(&self.0, values, || Series::Gauge(Arc::default())) {
            value.store(to, Ordering::Relaxed);
        }
    }

    /// Adds `n`, which may be negative.
    pub fn add(&self, values: &[&str], n: i64) {
        if let Series::Gauge(value) = series(&self.0, values, || Series::Gauge(Arc::default())) {
            value.fetch_add(n, Ordering::Relaxed);
        }
    }
}

impl Histogram {
    /// Records one observation.
    pub fn observe(&self, values: &[&str], observation: f64) {
        let buckets = self.1;
        let made = series(&self.0, values, || {
            Series::Histogram(Arc::new(Mutex::new(HistogramState {
                counts: vec![0; buckets.len()],
                sum: 0.0,
                count: 0,
            })))
        });
        if let Series::Histogram(state) = made {
            let mut state = state.lock();
            if let Some(i) = buckets.iter().position(|bound| observation <= *bound) {
                state.counts[i] += 1;
            }
            state.sum += observation;
            state.count += 1;
        }
    }
}

#[cfg(test)]
mod tests;
