//! Places that do not agree on an event.
//!
//! Two types of one name are to have the same fields, units and values: a type says that these are all fields that the event
//! has. A place that emits the event without the type is to keep to the type's fields. Places that all emit it ad hoc may
//! carry different fields, but not one measurement in units that don't convert into each other.

use std::fmt;

use crate::event::{Location, MeasurementField, Metadata, Origin, TagField};
use crate::unit::Unit;

/// Two places that do not agree on an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Conflict {
    /// The name of the event.
    pub event: &'static str,
    /// One place.
    pub first: Location,
    /// The other.
    pub second: Location,
    /// In what they differ, a sentence for each field.
    pub differences: Vec<String>,
}

impl fmt::Display for Conflict {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { event, first, second, differences } = self;
        write!(f, "the event {event:?} is declared differently at\n  {first} and\n  {second}:")?;
        differences.iter().try_for_each(|difference| write!(f, "\n    {difference}"))
    }
}

/// Events that are declared in different ways.
#[derive(Clone, PartialEq, Eq)]
pub struct CatalogueError {
    conflicts: Vec<Conflict>,
}

impl CatalogueError {
    pub(super) const fn new(conflicts: Vec<Conflict>) -> Self {
        Self { conflicts }
    }

    /// Each two places that do not agree.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }
}

impl fmt::Display for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for conflict in &self.conflicts {
            writeln!(f, "{conflict}")?;
        }
        f.write_str("declare each event once and use the type everywhere, or give one of the events another name")
    }
}

/// The same as [`Display`](fmt::Display): `unwrap`, and a `main` that returns the error, print this form.
impl fmt::Debug for CatalogueError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

impl std::error::Error for CatalogueError {}

/// The conflicts of one event, at most one for each place; `places` has its types first.
pub(super) fn find(places: &[&'static Metadata]) -> Vec<Conflict> {
    let with_one_before = |at: usize| places[..at].iter().find_map(|first| between(first, places[at]));
    (1..places.len()).filter_map(with_one_before).collect()
}

fn between(first: &'static Metadata, second: &'static Metadata) -> Option<Conflict> {
    let differences = match (first.origin(), second.origin()) {
        (Origin::Typed, Origin::Typed) => between_types(first, second),
        (Origin::Typed, _) => beyond_the_type(first, second),
        _ => between_units(first, second),
    };
    let (first, second, event) = (first.location(), second.location(), first.name());
    (!differences.is_empty()).then_some(Conflict { event, first, second, differences })
}

fn between_types(first: &Metadata, second: &Metadata) -> Vec<String> {
    let mut differences = Vec::new();
    missing(first, second, "only the first has", &mut differences);
    missing(second, first, "only the second has", &mut differences);
    for (a, b) in shared(first.measurements(), second.measurements(), |field: &MeasurementField| field.name) {
        if a.unit != b.unit {
            differences.push(format!("the measurement `{}` is in {} and in {}", a.name, shown(a.unit), shown(b.unit)));
        }
    }
    for (a, b) in shared(first.tags(), second.tags(), |field: &TagField| field.name) {
        if let (Some(here), Some(there)) = (a.variants, b.variants)
            && here != there
        {
            differences.push(format!(
                "the tag `{}` is one of {} and one of {}",
                a.name,
                here.join(", "),
                there.join(", ")
            ));
        }
    }
    if !first.documentation().is_empty()
        && !second.documentation().is_empty()
        && first.documentation() != second.documentation()
    {
        differences.push(format!("it is said to be {:?} and {:?}", first.description(), second.description()));
    }
    differences
}

fn beyond_the_type(ty: &Metadata, place: &Metadata) -> Vec<String> {
    let mut differences = between_units(ty, place);
    missing(place, ty, "the type does not have", &mut differences);
    differences
}

fn between_units(first: &Metadata, second: &Metadata) -> Vec<String> {
    let fields = shared(first.measurements(), second.measurements(), |field: &MeasurementField| field.name);
    let apart = fields.filter(|(a, b)| match (a.unit, b.unit) {
        (Some(a), Some(b)) => a.dimension() != b.dimension(),
        _ => false,
    });
    let told = apart.map(|(a, b)| {
        format!("the measurement `{}` is in {} and in {}, which do not convert", a.name, shown(a.unit), shown(b.unit))
    });
    told.collect()
}

/// What `of` has and `from` lacks.
fn missing(of: &Metadata, from: &Metadata, who: &str, differences: &mut Vec<String>) {
    let measurements = of.measurements().iter().filter(|field| from.measurement(field.name).is_none());
    differences.extend(measurements.map(|field| format!("{who} the measurement `{}`", field.name)));
    let tags = of.tags().iter().filter(|field| from.tag(field.name).is_none());
    differences.extend(tags.map(|field| format!("{who} the tag `{}`", field.name)));
}

fn shared<'a, F>(
    first: &'a [F],
    second: &'a [F],
    name: impl Fn(&F) -> &'static str + Copy + 'a,
) -> impl Iterator<Item = (&'a F, &'a F)> {
    first.iter().filter_map(move |a| second.iter().find(|b| name(a) == name(b)).map(|b| (a, b)))
}

fn shown(unit: Option<Unit>) -> String {
    unit.map_or_else(|| "no unit".to_owned(), |unit| unit.to_string())
}
