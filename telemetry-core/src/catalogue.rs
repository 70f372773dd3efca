//! Every event that a program can emit, with what is said of it and what listens to it.
//!
//! All of it is known when the program is linked: no code has to have run that emits.
//!
//! ```
//! use std::time::Duration;
//! use telemetry_core::catalogue::Catalogue;
//! use telemetry_core::metric::distribution;
//! use telemetry_core::{Event, Registry, Unit, emit};
//!
//! /// A parcel has left the house.
//! ///
//! /// Returns are not among them.
//! #[derive(Event)]
//! #[event(name = "catalogue.parcel.sent")]
//! struct ParcelSent<'a> {
//!     /// From the order to the door.
//!     #[measurement]
//!     took: Duration,
//!     #[tag]
//!     carrier: &'a str,
//! }
//!
//! fn never_called() {
//!     emit!("catalogue.parcel.lost", { value: 3.5 }, { carrier: "post" });
//! }
//!
//! let registry = Registry::new();
//! registry.aggregator([distribution(ParcelSent::TOOK).tags([ParcelSent::CARRIER])])?;
//!
//! let catalogue = Catalogue::of_program().only(["catalogue.parcel.*"])?.registry(&registry);
//! let [lost, sent] = catalogue.events() else { panic!("two events") };
//! assert_eq!((lost.name, sent.name), ("catalogue.parcel.lost", "catalogue.parcel.sent"));
//! assert_eq!(sent.documentation, "A parcel has left the house.\n\nReturns are not among them.");
//! assert_eq!(sent.measurements[0].description, "From the order to the door.");
//! assert_eq!(sent.measurements[0].unit, Some(Unit::Second));
//! assert_eq!(sent.metrics[0].name, "catalogue.parcel.sent.took");
//! assert_eq!(lost.tags[0].name, "carrier");
//! catalogue.check()?;
//! # never_called();
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! [`Catalogue::to_markdown`] makes a page of it, which a test of the application keeps up to date: see
//! `assert_catalogue!`, in `test`. The exporter serves it as JSON.
//!
//! # What is known
//!
//! - Of `#[derive(Event)]`: doc comments, units, the values of tags that are enums.
//! - Of `emit!`, `span!` and `#[instrument]`: names, units where they are declared, and places. Places that emit one event
//!   are put together.
//! - Of a `DynamicEvent`: nothing before it is made; [`Catalogue::with_dynamic`] adds those that are.
//!
//! A crate that the program names nowhere is not linked, and neither are its events.

mod conflict;
mod markdown;

use std::collections::BTreeMap;

use crate::callsite::{Callsite, callsites};
use crate::dispatch::Dispatch;
use crate::event::{Location, MeasurementField, Metadata, Origin, TagField};
use crate::family::Kind;
use crate::handler::Delivery;
use crate::name::{NameError, Pattern};
use crate::registry::Registry;
use crate::unit::Unit;

pub use conflict::{CatalogueError, Conflict};

/// The events of a program, by name: see the head of this module.
#[derive(Clone, Debug)]
pub struct Catalogue {
    events: Vec<Entry>,
    conflicts: Vec<Conflict>,
    orphans: Vec<Orphan>,
}

/// An event, with all places that declare or emit it put together.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub struct Entry {
    /// Its name.
    pub name: &'static str,
    /// All that is said of it, as Markdown; empty where nobody said.
    pub documentation: &'static str,
    /// Typed if any place declares a type.
    pub origin: Origin,
    /// Where it is declared or emitted.
    pub places: Vec<Location>,
    /// What it measures.
    pub measurements: Vec<MeasurementField>,
    /// What it is told apart by.
    pub tags: Vec<TagField>,
    /// The metrics that are made of it, of the registries that the catalogue was given.
    pub metrics: Vec<MetricEntry>,
    /// The handlers that listen to it, of the dispatchers that the catalogue was given.
    pub handlers: Vec<HandlerEntry>,
}

/// A metric that is made of an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct MetricEntry {
    /// Its name.
    pub name: String,
    /// Its kind.
    pub kind: Kind,
    /// The unit of its values.
    pub unit: Option<Unit>,
    /// The measurement; `None` of a metric that counts all events, or computes its value.
    pub measurement: Option<String>,
    /// The names of its labels.
    pub labels: Vec<String>,
    /// What it means.
    pub help: String,
}

/// A metric over an event that the program does not have.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Orphan {
    /// The name of the event.
    pub event: String,
    /// The metric.
    pub metric: MetricEntry,
}

/// A handler that listens to an event.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct HandlerEntry {
    /// What it is attached by.
    pub id: String,
    /// What it is attached to.
    pub pattern: Pattern,
    /// Where it runs.
    pub delivery: Delivery,
}

impl Catalogue {
    /// The events of the program as it is linked.
    #[must_use]
    pub fn of_program() -> Self {
        Self::of(callsites().map(Callsite::metadata).filter(|metadata| metadata.origin() != Origin::Dynamic))
    }

    /// The events of the program as it is linked, and those that were made at run time so far.
    #[must_use]
    pub fn with_dynamic() -> Self {
        Self::of(callsites().map(Callsite::metadata))
    }

    fn of(all: impl Iterator<Item = &'static Metadata>) -> Self {
        let mut by_name: BTreeMap<&'static str, Vec<&'static Metadata>> = BTreeMap::new();
        all.for_each(|metadata| by_name.entry(metadata.name()).or_default().push(metadata));
        let (mut events, mut conflicts) = (Vec::new(), Vec::new());
        for (name, mut places) in by_name {
            // The linker's order is none; types first, since they know most.
            places.sort_by_key(|place| {
                let Location { module, file, line } = place.location();
                (place.origin() != Origin::Typed, module, file, line)
            });
            conflicts.extend(conflict::find(&places));
            events.push(Entry::of(name, &places));
        }
        Self { events, conflicts, orphans: Vec::new() }
    }

    /// Only the events that one of these patterns matches, and their conflicts.
    ///
    /// # Errors
    ///
    /// [`NameError`] when a pattern is not the name of an event, nor such a name followed by `.*`, nor `*`.
    pub fn only<P: AsRef<str>>(mut self, patterns: impl IntoIterator<Item = P>) -> Result<Self, NameError> {
        let patterns: Vec<Pattern> =
            patterns.into_iter().map(|pattern| Pattern::parse(pattern.as_ref())).collect::<Result<_, _>>()?;
        let is_meant = |name: &str| patterns.iter().any(|pattern| pattern.matches(name));
        self.events.retain(|event| is_meant(event.name));
        self.conflicts.retain(|conflict| is_meant(conflict.event));
        Ok(self)
    }

    /// Adds the metrics of a registry to the events that they are made of.
    #[must_use]
    pub fn registry(mut self, registry: &Registry) -> Self {
        for entry in registry.entries().iter() {
            let (metric, family) = (&entry.metric, entry.metric.family());
            let Some(event) = metric.event() else { continue };
            let shown = || MetricEntry {
                name: family.name().to_owned(),
                kind: family.kind(),
                unit: family.values_unit(),
                measurement: metric.measurement().map(str::to_owned),
                labels: family.label_names().iter().map(ToString::to_string).collect(),
                help: family.help().to_owned(),
            };
            match self.events.iter_mut().find(|own| own.name == event) {
                Some(own) => own.metrics.push(shown()),
                // An event that is only left out of this catalogue is there all the same.
                None if callsites().any(|callsite| callsite.metadata().name() == event) => {}
                None => self.orphans.push(Orphan { event: event.to_owned(), metric: shown() }),
            }
        }
        self
    }

    /// Adds the handlers of a dispatcher to the events that they listen to.
    #[must_use]
    pub fn dispatch(mut self, dispatch: &Dispatch) -> Self {
        for handler in dispatch.handlers("") {
            for event in self.events.iter_mut().filter(|event| handler.pattern.matches(event.name)) {
                event.handlers.push(HandlerEntry {
                    id: handler.id.clone(),
                    pattern: handler.pattern.clone(),
                    delivery: handler.delivery.clone(),
                });
            }
        }
        self
    }

    /// The events, by name.
    #[must_use]
    pub fn events(&self) -> &[Entry] {
        &self.events
    }

    /// The event of this name.
    #[must_use]
    pub fn event(&self, name: &str) -> Option<&Entry> {
        self.events.iter().find(|event| event.name == name)
    }

    /// The metrics, of the registries that the catalogue was given, whose event the program does not have.
    ///
    /// One may be right: its event is a `DynamicEvent` that nobody has made yet. Otherwise the name is
    /// misspelt, or the crate that emits is not linked, and the metric stays empty.
    ///
    /// ```
    /// use telemetry_core::catalogue::Catalogue;
    /// use telemetry_core::metric::counter;
    /// use telemetry_core::{Registry, emit};
    ///
    /// emit!("catalogue.door.opened");
    /// let registry = Registry::new();
    /// registry.aggregator([counter("catalogue.door.opened.count"), counter("catalogue.dor.closed.count")])?;
    ///
    /// let catalogue = Catalogue::of_program().registry(&registry);
    /// let [orphan] = catalogue.orphans() else { panic!("one of the two") };
    /// assert_eq!((&*orphan.event, &*orphan.metric.name), ("catalogue.dor.closed", "catalogue.dor.closed.count"));
    /// # Ok::<(), Box<dyn std::error::Error>>(())
    /// ```
    #[must_use]
    pub fn orphans(&self) -> &[Orphan] {
        &self.orphans
    }

    /// The places that do not agree on an event.
    #[must_use]
    pub fn conflicts(&self) -> &[Conflict] {
        &self.conflicts
    }

    /// That all places agree on each event: on its fields, their units and their values.
    ///
    /// # Errors
    ///
    /// [`CatalogueError`] shows each event that is declared in different ways, both places, and in what they differ.
    pub fn check(&self) -> Result<(), CatalogueError> {
        if self.conflicts.is_empty() { Ok(()) } else { Err(CatalogueError::new(self.conflicts.clone())) }
    }
}

impl Entry {
    /// `places` is not empty.
    fn of(name: &'static str, places: &[&'static Metadata]) -> Self {
        let (mut measurements, mut tags): (Vec<MeasurementField>, Vec<TagField>) = (Vec::new(), Vec::new());
        for place in places {
            for field in place.measurements() {
                match measurements.iter_mut().find(|known| known.name == field.name) {
                    Some(known) => {
                        known.unit = known.unit.or(field.unit);
                        known.description = first_said(known.description, field.description);
                    }
                    None => measurements.push(*field),
                }
            }
            for field in place.tags() {
                match tags.iter_mut().find(|known| known.name == field.name) {
                    Some(known) => {
                        known.variants = known.variants.or(field.variants);
                        known.description = first_said(known.description, field.description);
                    }
                    None => tags.push(*field),
                }
            }
        }
        let said = places.iter().map(|place| place.documentation());
        Self {
            name,
            documentation: said.into_iter().find(|text| !text.is_empty()).unwrap_or_default(),
            origin: places.first().map_or(Origin::AdHoc, |place| place.origin()),
            places: places.iter().map(|place| place.location()).collect(),
            measurements,
            tags,
            metrics: Vec::new(),
            handlers: Vec::new(),
        }
    }
}

const fn first_said(known: &'static str, other: &'static str) -> &'static str {
    if known.is_empty() { other } else { known }
}
