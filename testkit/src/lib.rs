//! What tests against real programs share: how to find them, run them, and ask them.
//!
//! A [`peer`] is a program that others wrote, such as Prometheus. A test whose peer is missing says so and succeeds,
//! unless `TELEMETRY_REQUIRE_PEERS=1`: then it fails, so that a machine that is to have them all can't pass without.
//! `ci/peers` installs them.

pub mod client;
pub mod peer;
pub mod process;
