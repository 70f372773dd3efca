//! What instrumentation costs: ours, other libraries, and the limits of the machine, side by side.
//!
//! ```text
//! versus -> for each case a process of its own -> measure: rounds, interleaved over the implementations
//!                                                    Implementation -> Case -> run, settle, counted
//!                                              -> ledger: was every count right?
//!        -> rows -> table, plot, file
//! ```
//!
//! A **case** is one thing that every implementation is made to do. An **implementation** is ours, a peer or a limit of
//! the machine; each is one file in `impls`. A **pattern** is an event of one's own, as one file in `patterns`.
//!
//! `docs/performance.md` tells how to read the figures.

// What is measured.
pub mod case;
pub mod cases;
pub mod implementation;
pub mod impls;
pub mod patterns;
pub mod tags;

// How it is measured, and checked.
mod exposition;
pub mod heap;
pub mod ledger;
pub mod measure;

// How cost grows.
pub mod scale;

// What comes of it.
pub mod arguments;
pub mod plot;
pub mod row;
pub mod table;
