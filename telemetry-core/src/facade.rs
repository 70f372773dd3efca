//! The facade of the crate [`metrics`], both ways.
//!
//! ```text
//!  counter!("jobs_done", ..)                                            emit!("shop.checkout", ..)
//!        |                                                                    |
//!        v                                                                    v
//!  Recorder ---> Registry, beside metrics made of events              Forward ---> any recorder of the facade
//!        \---> Ready: the handle of each series, found without a lock
//! ```
//!
//! - **[`Recorder`]**: what any crate records through `counter!`, `gauge!` and `histogram!` is counted in a [`Registry`],
//!   in the same cells, with the same limits, and is served beside the metrics that are made of events.
//! - **[`Shape`]**: how metrics are kept, by their names: buckets, quantiles, windows, limits, expiry.
//! - **[`Forward`]**: a handler that records the metrics of events through whatever recorder an application has.
//!
//! ```
//! use telemetry_core::Registry;
//! use telemetry_core::facade::{Recorder, Shape};
//! use telemetry_core::instrument::Buckets;
//!
//! let registry = Registry::new();
//! let recorder = Recorder::builder(&registry)
//!     .shape("*_bytes", Shape::new().buckets(Buckets::exponential(64.0, 4.0, 8)?).limit(500))
//!     .shape("rpc.wait", Shape::new().summary([0.5, 0.99]))
//!     .build();
//!
//! // For the whole process: `recorder.install()?`. For this thread and this closure:
//! metrics::with_local_recorder(&recorder, || {
//!     metrics::counter!("jobs_done", "queue" => "mail").increment(3);
//!     metrics::counter!("jobs_done", "shard" => "7", "queue" => "mail").increment(4);
//!     metrics::histogram!("body_bytes").record(1_500);
//! });
//!
//! let snapshot = registry.snapshot();
//! assert_eq!(snapshot.total("jobs_done", &[("queue", "mail")]), Some(3.0));
//! assert_eq!(snapshot.total("jobs_done", &[("queue", "mail"), ("shard", "7")]), Some(4.0));
//! assert_eq!(snapshot.total("body_bytes", &[]), Some(1.0));
//! # Ok::<(), Box<dyn std::error::Error>>(())
//! ```
//!
//! # What is refused
//!
//! Code that records can't be given an error. So a metric that the registry can't take (its name is another's, or there are
//! as many as [`Builder::metrics`] allows) gets a handle that does nothing; the event `telemetry.facade.refused` tells of it
//! once, with the metric and the reason, and a counter of that name counts every call.

mod families;
mod forward;
mod handle;
mod label;
mod ready;
mod recorder;
mod refusal;
mod shape;

pub use forward::Forward;
pub use recorder::{Builder, DEFAULT_METRICS, InstallError, Recorder};
pub use shape::{Matcher, Shape};

#[cfg(doc)]
use crate::registry::Registry;
