//! From definitions to instruments: checks, units, and where each metric lies in the cells of a row.

use std::sync::Arc;

use crate::cells::{Address, Shard, space};
use crate::event::{Metadata, Origin};
use crate::exemplar;
use crate::family::{Family, Kind};
use crate::instrument::{
    Buckets, CounterCells, Exponential, GaugeCells, HistogramCells, InfoCells, Instrument, MOST_STATES, Scale,
    SpiralCells, StateCells, SumCells, SummaryCells, UnitOfMetric, Window,
};
use crate::name;
use crate::series::Expiry;
use crate::unit::Unit;

use super::{Fault, Metric, MetricError, Rule, TagChoice, TagSource};

/// A metric that is ready: its family and its instrument, at its place in the rows of its projection.
#[derive(Debug)]
pub(crate) struct Compiled {
    family: Family,
    /// Empty of an instrument that is held.
    event: String,
    /// `None` of a metric that counts all events, or computes its value.
    measurement: Option<String>,
    unit: UnitOfMetric,
    own_scale: Scale,
    instrument: Instrument,
    /// Two cells: measurements that were missing, and those that were rejected.
    skipped: u32,
    exemplars: Option<exemplar::Kept>,
}

impl Compiled {
    pub(crate) fn family(&self) -> &Family {
        &self.family
    }

    /// The event that it is made of; `None` of an instrument that is held.
    pub(crate) fn event(&self) -> Option<&str> {
        Some(self.event.as_str()).filter(|event| !event.is_empty())
    }

    /// The measurement that it is made of; `None` of a metric that counts all events, or computes its value.
    pub(crate) fn measurement(&self) -> Option<&str> {
        self.measurement.as_deref()
    }

    pub(crate) fn unit(&self) -> UnitOfMetric {
        self.unit
    }

    /// From numbers that are in the metric's unit already.
    pub(crate) fn own_scale(&self) -> &Scale {
        &self.own_scale
    }

    #[inline]
    pub(crate) fn instrument(&self) -> &Instrument {
        &self.instrument
    }

    /// Where the exemplars are, if the metric has any.
    #[inline]
    pub(crate) fn exemplars(&self) -> Option<&exemplar::Kept> {
        self.exemplars.as_ref()
    }

    /// Counts an event that has no measurement for this metric.
    #[cold]
    pub(crate) fn miss(&self, shard: &Shard) {
        shard.add(Address::of(self.skipped), 1);
    }

    /// Counts a measurement that the metric can't take.
    #[cold]
    pub(crate) fn reject(&self, shard: &Shard) {
        shard.add(Address::of(self.skipped + 1), 1);
    }

    pub(crate) const fn missing_cell(&self) -> u32 {
        self.skipped
    }

    pub(crate) const fn rejected_cell(&self) -> u32 {
        self.skipped + 1
    }
}

impl Drop for Compiled {
    fn drop(&mut self) {
        space().free(self.skipped, 2);
        if let Some(kept) = &self.exemplars {
            space().free(kept.refused, 1);
        }
    }
}

/// Metrics with equal keys are families over the same rows.
#[derive(Clone)]
pub(crate) struct ProjectionKey {
    pub(crate) event: String,
    pub(crate) tags: Vec<TagChoice>,
    pub(crate) rule: Option<Rule>,
    pub(crate) limit: u32,
    pub(crate) expiry: Option<Expiry>,
}

impl PartialEq for ProjectionKey {
    fn eq(&self, other: &Self) -> bool {
        let same_rule = match (&self.rule, &other.rule) {
            (None, None) => true,
            (Some(a), Some(b)) => Arc::ptr_eq(&a.0, &b.0),
            _ => false,
        };
        let same_tags = self.tags.len() == other.tags.len()
            && self.tags.iter().zip(&other.tags).all(|(a, b)| {
                a.label == b.label
                    && match (&a.source, &b.source) {
                        (TagSource::Named(a), TagSource::Named(b)) => a == b,
                        (TagSource::Computed(a), TagSource::Computed(b)) => Arc::ptr_eq(a, b),
                        (TagSource::Context(a), TagSource::Context(b)) => Arc::ptr_eq(a, b),
                        _ => false,
                    }
            });
        self.event == other.event && same_rule && same_tags && self.limit == other.limit && self.expiry == other.expiry
    }
}

/// A definition that was checked.
pub(crate) struct Plan {
    pub(crate) metric: Metric,
    pub(crate) key: ProjectionKey,
    /// The measurement, unless the metric counts all events or computes its value.
    pub(crate) measurement: Option<String>,
    unit: Option<Unit>,
    description: String,
    /// Labels come as they are used: no series is there from the start.
    open: bool,
}

impl Plan {
    /// Checks a definition over events.
    pub(crate) fn over_events(metric: Metric) -> Result<Self, MetricError> {
        let fail = |fault| Err(MetricError::new(&metric.name, fault));
        if let Some(fault) = name::fault(&metric.name) {
            return fail(Fault::Name(fault));
        }
        if matches!(metric.kind, Kind::Info | Kind::StateSet) {
            return fail(Fault::OnlyHeld(metric.kind.name()));
        }
        let source = metric.source.as_deref().unwrap_or(&metric.name);
        let (held_event, held_measurement) = match source.rsplit_once('.') {
            Some((event, measurement)) => (Some(event), measurement),
            None => (None, source),
        };
        let Some(event) = metric.event.as_deref().or(held_event).map(str::to_owned) else {
            return fail(Fault::NoEvent);
        };
        if let Some(fault) = name::fault(&event) {
            return fail(Fault::EventName(event, fault));
        }
        let measurement = metric.measurement.as_deref().unwrap_or(held_measurement).to_owned();
        Self::checked(metric, event, measurement)
    }

    /// Checks a definition of an instrument that is held.
    pub(crate) fn held(metric: Metric) -> Result<Self, MetricError> {
        let fail = |fault| Err(MetricError::new(&metric.name, fault));
        if let Some(fault) = name::fault(&metric.name) {
            return fail(Fault::Name(fault));
        }
        Self::without_event(metric)
    }

    /// Checks a definition of a held instrument whose labels come as they are used. Its name may be any text.
    pub(crate) fn open(metric: Metric) -> Result<Self, MetricError> {
        if !metric.tags.is_empty() || !metric.declared.is_empty() {
            return Err(MetricError::new(&metric.name, Fault::LabelsOfOpen));
        }
        Ok(Self { open: true, ..Self::without_event(metric)? })
    }

    fn without_event(metric: Metric) -> Result<Self, MetricError> {
        let fail = |fault| Err(MetricError::new(&metric.name, fault));
        let computed = metric.tags.iter().any(|tag| !matches!(tag.source, TagSource::Named(_)));
        if computed
            || metric.event.is_some()
            || metric.compute.is_some()
            || metric.keep.is_some()
            || metric.drop.is_some()
        {
            return fail(Fault::EventOfHeld);
        }
        Self::checked(metric, String::new(), String::new())
    }

    fn checked(metric: Metric, event: String, measurement: String) -> Result<Self, MetricError> {
        let error = |fault| MetricError::new(&metric.name, fault);
        check_options(&metric).map_err(error)?;
        check_labels(&metric.tags).map_err(error)?;
        if metric.keep.is_some() && metric.drop.is_some() {
            return Err(error(Fault::KeepAndDrop));
        }
        let counts_all = matches!(metric.kind, Kind::Counter | Kind::Spiral) && measurement == "count";
        let measurement = (!counts_all && metric.compute.is_none() && !event.is_empty()).then_some(measurement);
        let known = Known::look_up(&event);
        known.check(&metric.tags, measurement.as_deref()).map_err(error)?;
        let field = measurement.as_deref().and_then(|measurement| known.field(measurement));
        let unit = match metric.kind {
            Kind::Counter | Kind::Info | Kind::StateSet => None,
            _ => metric.unit.or_else(|| field.and_then(|field| field.unit)),
        };
        if let (Some(from), Some(into)) = (field.and_then(|field| field.unit), unit)
            && from.conversion(into).is_none()
        {
            return Err(error(Fault::Units(from, into)));
        }
        let description = metric.description.clone().filter(|text| !text.is_empty()).unwrap_or_else(|| {
            // A metric that counts events means what the event means.
            let said = match &measurement {
                Some(_) => field.map(|field| field.description),
                None => known.all.iter().map(|known| known.description()).find(|text| !text.is_empty()),
            };
            match (said, event.as_str()) {
                (Some(text), _) if !text.is_empty() => text.to_owned(),
                (_, "") => format!("{} held by the application.", capitalized(metric.kind.name())),
                (_, event) => match &measurement {
                    Some(measurement) => {
                        format!("{} of {measurement} over events {event}.", capitalized(metric.kind.name()))
                    }
                    None => format!("{} over events {event}.", capitalized(metric.kind.name())),
                },
            }
        });
        let expiry = metric.expiry.map(|(hide_after, reclaim_after)| Expiry { hide_after, reclaim_after });
        let key = ProjectionKey {
            event,
            tags: metric.tags.clone(),
            rule: metric.keep.clone().or_else(|| metric.drop.clone()),
            limit: metric.limit,
            expiry,
        };
        let plan = Self { key, measurement, unit, description, metric, open: false };
        plan.declared().map_err(|fault| MetricError::new(&plan.metric.name, fault))?;
        Ok(plan)
    }

    /// The values of the series that are declared, in the order of the labels.
    pub(crate) fn declared(&self) -> Result<Vec<Vec<&str>>, Fault> {
        if self.open {
            return Ok(Vec::new());
        }
        let (tags, declared) = (&self.metric.tags, &self.metric.declared);
        if tags.is_empty() {
            // A metric without labels is there from the start.
            return Ok(vec![Vec::new()]);
        }
        if declared.is_empty() {
            return Ok(Vec::new());
        }
        if let Some((label, _)) = declared.iter().find(|(label, _)| !tags.iter().any(|tag| tag.label == *label)) {
            return Err(Fault::UnknownLabel(label.clone()));
        }
        let mut series: Vec<Vec<&str>> = vec![Vec::new()];
        for tag in tags {
            let Some((_, values)) = declared.iter().find(|(label, _)| *label == tag.label) else {
                return Err(Fault::Undeclared(tag.label.clone()));
            };
            let count = series.len().saturating_mul(values.len());
            if count > self.metric.limit as usize {
                return Err(Fault::TooManyDeclared(count, self.metric.limit));
            }
            series = series
                .iter()
                .flat_map(|head| values.iter().map(move |value| head.iter().copied().chain([value.as_str()]).collect()))
                .collect();
        }
        Ok(series)
    }

    /// What is said of all its series.
    pub(crate) fn family(&self) -> Family {
        let labels = self.metric.tags.iter().map(|tag| Arc::<str>::from(tag.label.as_str()));
        let family = Family::new(&self.metric.name, self.metric.kind)
            .unit(self.unit)
            .description(&self.description)
            .labels(labels);
        match window(&self.metric) {
            Some(window) => family.window(window.length()),
            None => family,
        }
    }

    /// Whether a counter of the same rows may leave counting to this distribution.
    fn can_count_for(&self, counter: &Self) -> bool {
        self.metric.kind == Kind::Distribution
            && self.metric.exponential.is_none()
            && self.metric.compute.is_none()
            && (counter.measurement.is_none() || counter.measurement == self.measurement)
            && counter.metric.compute.is_none()
    }
}

/// Checks that each option belongs to the metric's kind and has a sensible value.
fn check_options(metric: &Metric) -> Result<(), Fault> {
    let kind = metric.kind;
    let only = |given: bool, option, kinds: &[Kind], of| {
        if given && !kinds.contains(&kind) { Err(Fault::Option(option, of)) } else { Ok(()) }
    };
    only(metric.buckets.is_some(), "buckets", &[Kind::Distribution], "distributions")?;
    only(metric.exponential.is_some(), "exponential", &[Kind::Distribution], "distributions")?;
    only(metric.quantiles.is_some(), "quantiles", &[Kind::Summary], "summaries")?;
    only(metric.window.is_some(), "window", &[Kind::Summary, Kind::Spiral], "summaries and spirals")?;
    only(
        metric.exemplars.is_some(),
        "exemplars",
        &[Kind::Counter, Kind::Sum, Kind::Distribution],
        "counters, sums and distributions",
    )?;
    only(
        metric.unit.is_some() && kind == Kind::Counter,
        "unit",
        &[],
        "metrics of a measurement; a counter counts events",
    )?;
    let (has_values, of) = (!matches!(kind, Kind::Info | Kind::StateSet), "metrics of values");
    only(metric.unit.is_some() && !has_values, "unit", &[], of)?;
    only(metric.expiry.is_some() && !has_values, "expiry", &[], of)?;
    if kind == Kind::StateSet {
        check_states(&metric.states)?;
    }
    if let Some(quantiles) = &metric.quantiles {
        let mut sorted = quantiles.clone();
        sorted.sort_by(f64::total_cmp);
        sorted.dedup();
        if quantiles.is_empty() || sorted.len() < quantiles.len() || !quantiles.iter().all(|q| (0.0..=1.0).contains(q))
        {
            return Err(Fault::Quantiles);
        }
    }
    if let Some(fault) = metric.exponential.as_ref().and_then(Exponential::fault) {
        return Err(Fault::Exponential(fault));
    }
    if metric.limit == 0 {
        return Err(Fault::NoSeries);
    }
    if metric.expiry.is_some_and(|(hide_after, _)| hide_after.is_zero()) {
        return Err(Fault::Expiry);
    }
    Ok(())
}

fn check_states(states: &[String]) -> Result<(), Fault> {
    if states.is_empty() || states.len() > MOST_STATES {
        return Err(Fault::StateCount { given: states.len(), most: MOST_STATES });
    }
    for (position, state) in states.iter().enumerate() {
        if state.is_empty() || states[..position].contains(state) {
            return Err(Fault::State(state.clone()));
        }
    }
    Ok(())
}

fn check_labels(tags: &[TagChoice]) -> Result<(), Fault> {
    for (position, tag) in tags.iter().enumerate() {
        let label = &tag.label;
        if let Some(fault) = label_fault(label) {
            return Err(fault);
        }
        if tags[..position].iter().any(|before| before.label == *label) {
            return Err(Fault::RepeatedLabel(label.clone()));
        }
    }
    Ok(())
}

/// What is wrong with the name of a label.
pub(crate) fn label_fault(label: &str) -> Option<Fault> {
    // Dots as in the names of metrics: how they are exposed is the exporter's choice.
    if name::fault(label).is_some() || label.as_bytes()[0].is_ascii_digit() {
        return Some(Fault::LabelName(label.to_owned()));
    }
    let reserved = label == "le" || label == "quantile" || label.starts_with("__");
    reserved.then(|| Fault::ReservedLabel(label.to_owned()))
}

fn capitalized(word: &str) -> String {
    let mut word = word.replace('_', " ");
    word[..1].make_ascii_uppercase();
    word
}

/// What the program's callsites say of an event.
struct Known {
    all: Vec<&'static Metadata>,
}

impl Known {
    fn look_up(event: &str) -> Self {
        let all =
            crate::callsite::callsites().map(|callsite| callsite.metadata()).filter(|known| known.name() == event);
        Self { all: all.collect() }
    }

    fn field(&self, measurement: &str) -> Option<crate::event::MeasurementField> {
        let fields = self.all.iter().flat_map(|known| known.measurements());
        let mut named = fields.filter(|field| field.name == measurement);
        let first = named.clone().next().copied();
        // A place that declares the unit is better than one that doesn't.
        named.find(|field| field.unit.is_some()).copied().or(first)
    }

    /// A typed event has the fields that it declares, and no others.
    fn check(&self, tags: &[TagChoice], measurement: Option<&str>) -> Result<(), Fault> {
        if self.all.is_empty() || self.all.iter().any(|known| known.origin() != Origin::Typed) {
            return Ok(());
        }
        if let Some(measurement) = measurement
            && self.field(measurement).is_none()
        {
            let fields = self.all.iter().flat_map(|known| known.measurements());
            return Err(Fault::UnknownMeasurement(measurement.to_owned(), fields.map(|field| field.name).collect()));
        }
        for tag in tags {
            if let TagSource::Named(named) = &tag.source
                && !self.all.iter().any(|known| known.tag(named).is_some())
            {
                let fields = self.all.iter().flat_map(|known| known.tags());
                return Err(Fault::UnknownTag(named.clone(), fields.map(|field| field.name).collect()));
            }
        }
        Ok(())
    }
}

/// Lays out the metrics of one projection, one after the other in the cells of a row; gives them in the order of the
/// plans, and how many cells a row takes.
pub(crate) fn compile(plans: &[&Plan]) -> (Vec<Arc<Compiled>>, u32) {
    // The touch cell, by which idle series are found out.
    let mut next = u32::from(plans[0].key.expiry.is_some());
    let mut compiled: Vec<Option<Arc<Compiled>>> = vec![None; plans.len()];
    // Counters last: a counter may count by the buckets of a distribution.
    let is_counter = |plan: &Plan| plan.metric.kind == Kind::Counter;
    let order = (0..plans.len())
        .filter(|at| !is_counter(plans[*at]))
        .chain((0..plans.len()).filter(|at| is_counter(plans[*at])));
    for at in order.collect::<Vec<_>>() {
        let plan = plans[at];
        let unit = UnitOfMetric::new(plan.unit);
        let fused = plans
            .iter()
            .zip(&compiled)
            .filter(|(other, _)| is_counter(plan) && other.can_count_for(plan))
            .find_map(|(_, compiled)| compiled.as_ref());
        let (instrument, cells) = instrument(&plan.metric, unit, next, fused.map(|compiled| &compiled.instrument));
        next += cells;
        let exemplars = plan.metric.exemplars.as_ref().map(|sampler| {
            let place = exemplar::Place { offset: next, slots: instrument.exemplar_slots() };
            next += 1;
            exemplar::Kept { place, sampler: sampler.clone(), refused: space().allocate(1) }
        });
        let family = plan.family();
        let own_scale = Scale::of(unit);
        let skipped = space().allocate(2);
        let (event, measurement) = (plan.key.event.clone(), plan.measurement.clone());
        compiled[at] =
            Some(Arc::new(Compiled { family, event, measurement, unit, own_scale, instrument, skipped, exemplars }));
    }
    (compiled.into_iter().flatten().collect(), next)
}

fn window(metric: &Metric) -> Option<Window> {
    match metric.kind {
        Kind::Spiral => Some(metric.window.unwrap_or(Window::MINUTE)),
        Kind::Summary => Some(metric.window.unwrap_or(Window::MINUTE_IN_SIX)),
        _ => None,
    }
}

fn instrument(metric: &Metric, unit: UnitOfMetric, offset: u32, fused: Option<&Instrument>) -> (Instrument, u32) {
    match metric.kind {
        Kind::Counter => {
            let fused = match fused {
                Some(Instrument::Distribution(histogram)) => Some(histogram),
                _ => None,
            };
            (Instrument::Counter(CounterCells::new(offset, fused)), CounterCells::CELLS)
        }
        Kind::Sum => (Instrument::Sum(SumCells { offset, unit }), SumCells::CELLS),
        Kind::LastValue => (Instrument::LastValue(GaugeCells { offset, unit }), GaugeCells::CELLS),
        Kind::Distribution => {
            let latency = Buckets::latency();
            let buckets = metric.buckets.as_ref().or_else(|| metric.exponential.is_none().then_some(&latency));
            let histogram = HistogramCells::new(offset, unit, buckets, metric.exponential);
            let cells = histogram.cells();
            (Instrument::Distribution(histogram), cells)
        }
        Kind::Summary => {
            let quantiles = metric.quantiles.clone().unwrap_or_else(|| vec![0.5, 0.9, 0.99]);
            let window = metric.window.unwrap_or(Window::MINUTE_IN_SIX);
            let summary = SummaryCells::new(offset, unit, window, quantiles);
            let cells = summary.cells();
            (Instrument::Summary(summary), cells)
        }
        Kind::Spiral => {
            let window = metric.window.unwrap_or(Window::MINUTE);
            (Instrument::Spiral(SpiralCells { offset, window, unit }), SpiralCells::cells(window))
        }
        Kind::Info => (Instrument::Info(InfoCells { offset }), InfoCells::CELLS),
        Kind::StateSet => {
            let states = metric.states.iter().map(|state| Arc::from(state.as_str())).collect();
            (Instrument::StateSet(StateCells { offset, states }), StateCells::CELLS)
        }
    }
}
