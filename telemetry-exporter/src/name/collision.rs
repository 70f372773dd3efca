//! Names that two families, or two labels of one, would share.

use std::collections::HashMap;
use std::fmt;

use telemetry_core::family::{Family, Kind};
use telemetry_core::registry::Claim;

use super::{Escaping, Names, Naming};

/// Two families, or two labels of one, that an exposition can't tell apart.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum NameCollision {
    /// Two families take one name.
    Families {
        /// The name and the kind of the one that came first.
        first: (String, Kind),
        /// The name and the kind of the other.
        second: (String, Kind),
        /// The name that both take.
        exposed: String,
        /// The escaping under which they do, if they don't under each.
        escaping: Option<Escaping>,
    },
    /// Two labels of one family become one.
    Labels {
        /// The family's name.
        family: String,
        /// The label that stands first.
        first: String,
        /// The other.
        second: String,
        /// The name that both become.
        exposed: String,
        /// The escaping under which they do, if they don't under each.
        escaping: Option<Escaping>,
    },
}

impl fmt::Display for NameCollision {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Families { first, second, exposed, .. } if first == second => write!(
                f,
                "the {} {:?} is defined twice, and both would be exposed as {exposed:?}: remove one, or give it another name",
                first.1.name(),
                first.0,
            ),
            Self::Families { first, second, exposed, escaping } => write!(
                f,
                "the {} {:?} and the {} {:?} would both be exposed as {exposed:?}{}: give one of them another name",
                first.1.name(),
                first.0,
                second.1.name(),
                second.0,
                Where(*escaping),
            ),
            Self::Labels { family, first, second, exposed, escaping } => write!(
                f,
                "the labels {first:?} and {second:?} of {family:?} would both be exposed as {exposed:?}{}: rename one of them",
                Where(*escaping),
            ),
        }
    }
}

impl std::error::Error for NameCollision {}

/// Under which escaping a name is meant.
struct Where(Option<Escaping>);

impl fmt::Display for Where {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self.0 {
            Some(escaping) => {
                write!(f, " to a scraper that asks for names escaped as {:?}", escaping.name())
            }
            None => Ok(()),
        }
    }
}

/// Checks that no two of `families` take the same name, and no two labels of one, whatever a scraper asks for. With UTF-8
/// names: [`Naming::check_collisions`].
///
/// # Errors
///
/// [`NameCollision`], which names both.
///
/// ```
/// use telemetry_core::family::{Family, Kind};
/// use telemetry_exporter::name::check_collisions;
///
/// let families = [Family::new("jobs.done", Kind::LastValue), Family::new("jobs_done", Kind::LastValue)];
/// assert_eq!(
///     check_collisions(&families).unwrap_err().to_string(),
///     "the last_value \"jobs.done\" and the last_value \"jobs_done\" would both be exposed as \"jobs_done\": give one of them another name",
/// );
/// ```
pub fn check_collisions<'a>(families: impl IntoIterator<Item = &'a Family>) -> Result<(), NameCollision> {
    Naming::default().check_collisions(families)
}

impl Naming {
    /// Checks that no two of `families` take the same name, and no two labels of one, under any escaping.
    ///
    /// # Errors
    ///
    /// [`NameCollision`], which names both.
    ///
    /// ```
    /// use telemetry_core::family::{Family, Kind};
    /// use telemetry_exporter::name::Naming;
    ///
    /// // They stay apart for a scraper that reads UTF-8 names, and meet for one that doesn't.
    /// let families = [Family::new("jobs.done", Kind::LastValue), Family::new("jobs_done", Kind::LastValue)];
    /// assert!(Naming::default().utf8(true).check_collisions(&families).is_err());
    /// ```
    pub fn check_collisions<'a>(self, families: impl IntoIterator<Item = &'a Family>) -> Result<(), NameCollision> {
        let mut schemes = Escaping::ALL.map(|escaping| (escaping, Taken::default()));
        for family in families {
            for (escaping, taken) in &mut schemes {
                let naming = self.escaping(*escaping);
                // Names that meet when they are not escaped meet always.
                let escaping = (*escaping != Escaping::AllowUtf8).then_some(*escaping);
                naming.check_labels(family, escaping)?;
                taken.take(family, &naming.names(family)).map_err(|collision| collision.under(escaping))?;
            }
        }
        Ok(())
    }

    /// What `family` takes in a registry: every name of it, and of its labels, under every escaping.
    pub(crate) fn claims(self, family: &Family) -> Vec<Claim> {
        let mut claims = Vec::new();
        for escaping in Escaping::ALL {
            let naming = self.escaping(escaping);
            let names = naming.names(family);
            let labels = family.label_names().iter().map(|label| Claim::label(&**label, naming.label(label)));
            let labels = labels.chain(names.state_label().map(|label| Claim::label(family.name(), label)));
            let claimed = labels.chain(names.occupied().into_iter().map(Claim::family));
            claims.extend(claimed.map(|claim| match escaping {
                // Names that meet when they are not escaped meet always: nothing is to be said of an escaping.
                Escaping::AllowUtf8 => claim,
                _ => claim.escaping(escaping.name()),
            }));
        }
        claims
    }

    fn check_labels(self, family: &Family, escaping: Option<Escaping>) -> Result<(), NameCollision> {
        let mut seen: HashMap<String, &str> = HashMap::new();
        if let Some(state) = self.names(family).state_label() {
            seen.insert(state.to_owned(), family.name());
        }
        for name in family.label_names() {
            let exposed = self.label(name).into_owned();
            if let Some(first) = seen.insert(exposed.clone(), name) {
                return Err(NameCollision::Labels {
                    family: family.name().to_owned(),
                    first: first.to_owned(),
                    second: name.to_string(),
                    exposed,
                    escaping,
                });
            }
        }
        Ok(())
    }
}

impl NameCollision {
    fn under(mut self, scheme: Option<Escaping>) -> Self {
        let (Self::Families { escaping, .. } | Self::Labels { escaping, .. }) = &mut self;
        *escaping = scheme;
        self
    }
}

/// The names that families took so far.
#[derive(Debug, Default)]
pub(crate) struct Taken {
    families: Vec<(String, Kind)>,
    // By name, the index of the family that took it.
    by_name: HashMap<String, usize>,
}

impl Taken {
    /// Takes the names of `family`, or none of them if another has one.
    pub(crate) fn take(&mut self, family: &Family, names: &Names) -> Result<(), NameCollision> {
        let occupied = names.occupied();
        if let Some((exposed, first)) = occupied.iter().find_map(|name| Some((name, *self.by_name.get(name)?))) {
            return Err(NameCollision::Families {
                first: self.families[first].clone(),
                second: (family.name().to_owned(), family.kind()),
                exposed: exposed.clone(),
                escaping: None,
            });
        }
        let index = self.families.len();
        self.families.push((family.name().to_owned(), family.kind()));
        self.by_name.extend(occupied.into_iter().map(|name| (name, index)));
        Ok(())
    }
}
