//! What tests share: how to find real programs, run them, and ask them; and which files a crate has.
//!
//! A [`peer`] is a program that others wrote, such as Prometheus. A test whose peer is missing says so and succeeds,
//! unless `TELEMETRY_REQUIRE_PEERS=1`: then it fails, so that a machine that is to have them all can't pass without.
//! `ci/peers` installs them.

pub mod client;
pub mod peer;
pub mod process;
pub mod source;
