//! `?name[]=`: only the families that a scrape asks for.
//!
//! A family is asked for by any name that one of its samples has, suffix or not, or by its own name with its dots:
//! `http_request_seconds`, `http_request_seconds_bucket` and `http.request` are all the same histogram. Names as they are
//! escaped for this scrape count, too.

use std::collections::HashSet;
use std::error::Error;
use std::fmt;
use std::sync::Arc;

use telemetry_core::family::Family;
use telemetry_core::scrape::{Series, Visit};

use crate::name::{Names, Naming};

/// The parameter, as Prometheus' own libraries call it.
const PARAMETER: &str = "name[]";
/// The most names that one scrape may ask for.
const MOST_NAMES: usize = 256;
/// The most bytes of a name.
const LONGEST_NAME: usize = 1024;

/// The names that a scrape asks for; clones share them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Filter {
    names: Arc<HashSet<String>>,
    naming: Naming,
}

/// Why a query asks for nothing that can be answered.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum FilterError {
    Names,
    Length,
    Empty,
}

impl fmt::Display for FilterError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Names => write!(f, "more than {MOST_NAMES} names in {PARAMETER}; ask for fewer, or for everything"),
            Self::Length => write!(f, "a name in {PARAMETER} is longer than {LONGEST_NAME} bytes"),
            Self::Empty => write!(f, "a name in {PARAMETER} is empty; leave it out to ask for everything"),
        }
    }
}

impl Error for FilterError {}

impl Filter {
    /// Reads a query; `None` when it asks for everything. Other parameters are passed over.
    pub(crate) fn parse(query: Option<&str>) -> Result<Option<Self>, FilterError> {
        let mut names = HashSet::new();
        let parameters = form_urlencoded::parse(query.unwrap_or_default().as_bytes());
        for (number, (_, name)) in parameters.filter(|(parameter, _)| parameter == PARAMETER).enumerate() {
            if number == MOST_NAMES {
                return Err(FilterError::Names);
            }
            if name.is_empty() {
                return Err(FilterError::Empty);
            }
            if name.len() > LONGEST_NAME {
                return Err(FilterError::Length);
            }
            names.insert(name.into_owned());
        }
        Ok((!names.is_empty()).then(|| Self { names: Arc::new(names), naming: Naming::default() }))
    }

    /// The names may also be those that the scrape's answer has.
    pub(crate) fn naming(self, naming: Naming) -> Self {
        Self { naming, ..self }
    }

    /// Whether `family` is asked for.
    pub(crate) fn takes(&self, family: &Family) -> bool {
        let has = |names: Names| names.occupied().iter().any(|name| self.names.contains(name));
        self.names.contains(family.name()) || has(Names::new(family)) || has(self.naming.names(family))
    }
}

/// Hands on the families that are asked for, and their series.
pub(crate) struct Filtered<'a, V> {
    pub(crate) filter: Option<&'a Filter>,
    /// Whether the series that come are of a family that is asked for; it outlives one step of a walk.
    pub(crate) takes: &'a mut bool,
    pub(crate) visitor: &'a mut V,
}

impl<V: Visit> Visit for Filtered<'_, V> {
    fn family(&mut self, family: &Family) {
        *self.takes = self.filter.is_none_or(|filter| filter.takes(family));
        if *self.takes {
            self.visitor.family(family);
        }
    }

    #[inline]
    fn series(&mut self, series: &Series<'_>) {
        if *self.takes {
            self.visitor.series(series);
        }
    }
}

#[cfg(test)]
mod tests {
    use telemetry_core::Unit;
    use telemetry_core::family::Kind;

    use super::*;

    fn filter(query: &str) -> Filter {
        Filter::parse(Some(query)).expect("a query").expect("a name")
    }

    #[test]
    fn a_query_without_names_asks_for_everything() {
        for query in [None, Some(""), Some("a=b&c"), Some("name=x&names[]=y"), Some("&&=&")] {
            assert_eq!(Filter::parse(query), Ok(None), "{query:?}");
        }
    }

    #[test]
    fn a_family_is_asked_for_by_every_name_that_it_has() {
        let family = Family::new("http.request.duration", Kind::Distribution).unit(Some(Unit::Second));
        for name in ["http.request.duration", "http_request_duration_seconds", "http_request_duration_seconds_bucket"] {
            assert!(filter(&format!("name[]={name}")).takes(&family), "{name}");
            assert!(filter(&format!("x=1&name%5B%5D={name}&name[]=other")).takes(&family), "{name}");
        }
        for name in ["http_request_duration", "http_request_duration_seconds_", "HTTP.request.duration", "*"] {
            assert!(!filter(&format!("name[]={name}")).takes(&family), "{name}");
        }
    }

    /// V4: as it is called in the answer, and as it is called in others.
    #[test]
    fn a_family_is_asked_for_by_escaped_names_too() {
        let family = Family::new("http.errors", Kind::Counter);
        let values = Naming::default().utf8(true).escaping(crate::Escaping::Values);
        for name in ["http.errors", "http_errors_total", "U__http_2e_errors__total"] {
            assert!(filter(&format!("name[]={name}")).naming(values).takes(&family), "{name}");
        }
        assert!(!filter("name[]=U__http_2e_errors__total").takes(&family));
    }

    #[test]
    fn too_many_or_too_long_or_empty_names_are_errors() {
        let many = "name[]=a&".repeat(MOST_NAMES + 1);
        assert_eq!(Filter::parse(Some(&many)), Err(FilterError::Names));
        assert!(Filter::parse(Some(&"name[]=a&".repeat(MOST_NAMES))).is_ok());
        let long = format!("name[]={}", "x".repeat(LONGEST_NAME + 1));
        assert_eq!(Filter::parse(Some(&long)), Err(FilterError::Length));
        assert_eq!(Filter::parse(Some("name[]=")), Err(FilterError::Empty));
    }
}
