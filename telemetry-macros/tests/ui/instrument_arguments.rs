#![allow(unused_variables)]

use telemetry_core::instrument;

#[instrument]
fn no_name() {}

#[instrument(name = "shop.payment")]
fn named() {}

#[instrument("shop..payment")]
fn bad_name() {}

#[instrument("shop.payment", skip(card))]
fn unknown(card: u8) {}

#[instrument("shop.payment", tags(provider))]
fn not_a_parameter(provder: &str) {}

#[instrument("shop.payment", tags(self))]
fn own(a: u8) {}

#[instrument("shop.payment", tags(a, a))]
fn twice(a: u8) {}

#[instrument("shop.payment", tags(outcome))]
fn reserved(outcome: u8) {}

#[instrument("shop.payment", tags(a), tags(a))]
fn tags_twice(a: u8) {}

#[instrument("shop.payment" tags(a))]
fn no_comma(a: u8) {}

fn main() {
    no_name();
    unknown(1);
    not_a_parameter("acme");
}
