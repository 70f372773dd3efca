//! Event patterns of one's own: what an application emits, and what it makes of it.
//!
//! To add one: copy `patterns/checkout.rs`, and name it in [`all`]. A pattern is a case like the others: it is measured in
//! rounds that are interleaved with its variants, and every count is checked.

use crate::case::{Expected, Setup};
use crate::implementation::Kind;

mod checkout;

/// All of them.
#[must_use]
pub fn all() -> Vec<Pattern> {
    vec![checkout::pattern()]
}

/// One event pattern.
#[derive(Debug)]
pub struct Pattern {
    /// The name of its case.
    pub name: &'static str,
    /// What it is, in one line.
    pub about: &'static str,
    /// What the exposition of each variant must show.
    pub expected: Expected,
    /// Ways to implement it.
    pub variants: Vec<Variant>,
}

/// One way to implement a pattern.
#[derive(Debug)]
pub struct Variant {
    /// Its name in tables and files.
    pub name: &'static str,
    /// What it is to be compared as.
    pub kind: Kind,
    /// Sets it up.
    pub setup: fn() -> Setup,
}
