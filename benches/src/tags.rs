//! What is drawn for each operation: a pair of tags and a value, pseudo-random and repeatable.
//!
//! Every operation draws exactly once, so that who knows a seed and a number of operations can tell what was counted.

use std::sync::LazyLock;

/// The upper bounds of all histograms, which are those of `Buckets::latency()`.
pub const BOUNDS: [f64; 11] = [0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0];

/// The values that histograms and gauges are given; some lie on a bound, one beyond the last.
const VALUES: [f64; 16] =
    [0.0007, 0.002, 0.004, 0.005, 0.008, 0.011, 0.02, 0.031, 0.05, 0.07, 0.12, 0.2, 0.4, 0.9, 2.0, 12.0];

/// Values of the tags `route` and `status`, in strings of their own.
#[derive(Debug)]
pub struct Tags {
    routes: Vec<String>,
    statuses: Vec<String>,
}

/// What one operation is given.
#[derive(Clone, Copy, Debug)]
pub struct Drawn<'t> {
    /// The value of the tag `route`.
    pub route: &'t str,
    /// The value of the tag `status`.
    pub status: &'t str,
    /// The number of the pair, below [`Tags::pairs`].
    pub pair: usize,
    /// What is measured.
    pub value: f64,
}

impl Tags {
    /// 16 routes and 8 statuses: 128 series.
    #[must_use]
    pub fn few() -> &'static Self {
        static FEW: LazyLock<Tags> = LazyLock::new(|| Tags {
            routes: (0..16).map(|n| format!("/api/v1/orders/{n:02}")).collect(),
            statuses: [200, 201, 204, 301, 400, 404, 500, 503].iter().map(ToString::to_string).collect(),
        });
        &FEW
    }

    /// 1,000 routes and 100 statuses: 100,000 series.
    #[must_use]
    pub fn many() -> &'static Self {
        static MANY: LazyLock<Tags> = LazyLock::new(|| Tags {
            routes: (0..1000).map(|n| format!("/api/v1/orders/{n:03}")).collect(),
            statuses: (400..500).map(|n| n.to_string()).collect(),
        });
        &MANY
    }

    /// The words of [`Endpoint`] and [`Outcome`]: 128 series.
    #[must_use]
    pub fn words() -> &'static Self {
        static WORDS: LazyLock<Tags> = LazyLock::new(|| Tags {
            routes: Endpoint::ALL.iter().map(|(_, text)| (*text).to_owned()).collect(),
            statuses: Outcome::ALL.iter().map(|(_, text)| (*text).to_owned()).collect(),
        });
        &WORDS
    }

    /// How many different pairs there are.
    #[must_use]
    pub fn pairs(&self) -> usize {
        self.routes.len() * self.statuses.len()
    }

    /// The tags of a pair.
    #[must_use]
    pub fn pair(&self, pair: usize) -> (&str, &str) {
        (&self.routes[pair / self.statuses.len()], &self.statuses[pair % self.statuses.len()])
    }

    /// All pairs, in the order of their numbers.
    pub fn iter(&self) -> impl Iterator<Item = (&str, &str)> {
        (0..self.pairs()).map(|pair| self.pair(pair))
    }
}

/// A pseudo-random sequence (xorshift64*), the same for the same seed.
#[derive(Clone, Debug)]
pub struct Draw(u64);

impl Draw {
    /// The sequence of a seed.
    #[must_use]
    pub const fn seeded(seed: u64) -> Self {
        // Spreads neighbouring seeds, and is never zero, which the sequence could not leave.
        Self((seed.wrapping_add(1)).wrapping_mul(0x9E37_79B9_7F4A_7C15) | 1)
    }

    #[inline]
    const fn next(&mut self) -> u64 {
        self.0 ^= self.0 >> 12;
        self.0 ^= self.0 << 25;
        self.0 ^= self.0 >> 27;
        self.0.wrapping_mul(0x2545_F491_4F6C_DD1D)
    }

    /// A pair of tags and a value.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // Indexes are below the lengths.
    pub fn event<'t>(&mut self, tags: &'t Tags) -> Drawn<'t> {
        let bits = self.next();
        let route = (((bits >> 32) * tags.routes.len() as u64) >> 32) as usize;
        let status = (((bits & 0xFFFF_FFFF) * tags.statuses.len() as u64) >> 32) as usize;
        Drawn {
            route: &tags.routes[route],
            status: &tags.statuses[status],
            pair: route * tags.statuses.len() + status,
            value: VALUES[(bits >> 8 & 15) as usize],
        }
    }

    /// A number below a bound.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // It is below the bound.
    pub const fn below(&mut self, bound: usize) -> usize {
        (((self.next() >> 32) * bound as u64) >> 32) as usize
    }

    /// A value, for operations without tags.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // An index is below 16.
    pub const fn value(&mut self) -> f64 {
        VALUES[(self.next() >> 8 & 15) as usize]
    }

    /// A pair of tags that are enums, and a value.
    #[inline]
    #[allow(clippy::cast_possible_truncation)] // Indexes are below the lengths.
    pub const fn words(&mut self) -> (Endpoint, Outcome, f64) {
        let bits = self.next();
        let route = ((bits >> 32) * Endpoint::ALL.len() as u64) >> 32;
        let status = ((bits & 0xFFFF_FFFF) * Outcome::ALL.len() as u64) >> 32;
        (Endpoint::ALL[route as usize].0, Outcome::ALL[status as usize].0, VALUES[(bits >> 8 & 15) as usize])
    }
}

/// Values of the tag `route`, known at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, telemetry_core::TagValue, measured::FixedCardinalityLabel)]
#[allow(missing_docs)] // The words mean nothing.
pub enum Endpoint {
    Accounts,
    Articles,
    Baskets,
    Carts,
    Checkout,
    Coupons,
    Deliveries,
    Health,
    Invoices,
    Login,
    Logout,
    Orders,
    Payments,
    Returns,
    Search,
    Wishes,
}

impl Endpoint {
    /// Every word, with its text.
    pub const ALL: &[(Self, &'static str)] = &[
        (Self::Accounts, "accounts"),
        (Self::Articles, "articles"),
        (Self::Baskets, "baskets"),
        (Self::Carts, "carts"),
        (Self::Checkout, "checkout"),
        (Self::Coupons, "coupons"),
        (Self::Deliveries, "deliveries"),
        (Self::Health, "health"),
        (Self::Invoices, "invoices"),
        (Self::Login, "login"),
        (Self::Logout, "logout"),
        (Self::Orders, "orders"),
        (Self::Payments, "payments"),
        (Self::Returns, "returns"),
        (Self::Search, "search"),
        (Self::Wishes, "wishes"),
    ];

    /// Its text.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// Values of the tag `status`, known at compile time.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, telemetry_core::TagValue, measured::FixedCardinalityLabel)]
#[allow(missing_docs)] // The words mean nothing.
pub enum Outcome {
    Ok,
    Created,
    Empty,
    Moved,
    Refused,
    Missing,
    Broken,
    Busy,
}

impl Outcome {
    /// Every word, with its text.
    pub const ALL: &[(Self, &'static str)] = &[
        (Self::Ok, "ok"),
        (Self::Created, "created"),
        (Self::Empty, "empty"),
        (Self::Moved, "moved"),
        (Self::Refused, "refused"),
        (Self::Missing, "missing"),
        (Self::Broken, "broken"),
        (Self::Busy, "busy"),
    ];

    /// Its text.
    #[inline]
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        Self::ALL[self as usize].1
    }
}

/// The labels of the n-th of a million series: `cluster`, `host` and `queue`, 31 bytes of text.
#[derive(Debug)]
pub struct ThreeLabels {
    clusters: Vec<String>,
    hosts: Vec<String>,
    queues: Vec<String>,
}

impl ThreeLabels {
    /// The names of the labels.
    pub const NAMES: [&'static str; 3] = ["cluster", "host", "queue"];

    /// All of them.
    #[must_use]
    pub fn all() -> &'static Self {
        static ALL: LazyLock<ThreeLabels> = LazyLock::new(|| ThreeLabels {
            clusters: (0..10).map(|n| format!("cluster-{n:02}")).collect(),
            hosts: (0..1000).map(|n| format!("host-{n:05}")).collect(),
            queues: (0..100).map(|n| format!("queue-{n:05}")).collect(),
        });
        &ALL
    }

    /// The labels of the n-th series.
    #[must_use]
    pub fn of(&self, n: usize) -> [&str; 3] {
        [&self.clusters[n % 10], &self.hosts[n / 10 % 1000], &self.queues[n / 10_000 % 100]]
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_same_seed_draws_the_same_and_reaches_every_pair() {
        let mut seen = vec![0_u32; Tags::few().pairs()];
        let (mut one, mut other) = (Draw::seeded(3), Draw::seeded(3));
        for _ in 0..20_000 {
            let drawn = one.event(Tags::few());
            assert_eq!(drawn.pair, other.event(Tags::few()).pair);
            assert_eq!((drawn.route, drawn.status), Tags::few().pair(drawn.pair));
            seen[drawn.pair] += 1;
        }
        assert!(seen.iter().all(|count| (80..240).contains(count)), "{seen:?}");
    }

    #[test]
    fn words_have_the_texts_that_tags_have() {
        use telemetry_core::TagValue;
        for (word, text) in Endpoint::ALL {
            assert!(word.value() == *text && word.as_str() == *text);
        }
        for (word, text) in Outcome::ALL {
            assert!(word.value() == *text && word.as_str() == *text);
        }
        let (mut one, mut other) = (Draw::seeded(5), Draw::seeded(5));
        for _ in 0..100 {
            let (route, status, value) = one.words();
            let drawn = other.event(Tags::words());
            assert_eq!((route.as_str(), status.as_str(), value), (drawn.route, drawn.status, drawn.value));
        }
    }

    #[test]
    fn a_million_series_have_labels_of_their_own() {
        let labels = ThreeLabels::all();
        let all: std::collections::HashSet<_> = (0..1_000_000).map(|n| labels.of(n)).collect();
        assert_eq!(all.len(), 1_000_000);
        assert_eq!(labels.of(7).concat().len(), 31);
    }
}
