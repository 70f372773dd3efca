//! From the names of definitions to those of an exposition.

use std::collections::BTreeMap;
use std::time::Duration;

use proptest::prelude::*;
use telemetry_core::Unit;
use telemetry_core::family::{Family, Kind};
use telemetry_core::scrape::{
    Exemplars, HistogramSample, Labels, Sample, Series, SpiralSample, States, SummarySample, Total, Visit,
};
use telemetry_exporter::Format;
use telemetry_exporter::encode::Options;
use telemetry_exporter::name::{Escaping, NameCollision, Names, Naming, check_collisions, label};

fn main_name(name: &str, kind: Kind, unit: Option<Unit>) -> String {
    Names::new(&Family::new(name, kind).unit(unit)).main().into_owned()
}

/// V4: the names, by kind and unit.
#[test]
fn names_get_the_suffixes_of_their_kind_and_unit() {
    use Kind::{Counter, Distribution, LastValue, Spiral, Sum, Summary};
    let (second, byte) = (Some(Unit::Second), Some(Unit::Byte));
    for (name, kind, unit, expected) in [
        ("http.server.request.stop.count", Counter, None, "http_server_request_stop_total"),
        ("http.server.request.stop.count", Spiral, None, "http_server_request_stop_total"),
        ("http.server.request.stop.count", LastValue, None, "http_server_request_stop_count"),
        ("http.server.request.stop.discount", Counter, None, "http_server_request_stop_discount_total"),
        ("count", Counter, None, "count_total"),
        ("total", Counter, None, "total_total"),
        ("_total", Counter, None, "_total_total"),
        ("jobs.total", Counter, None, "jobs_total"),
        ("jobs_total", Sum, None, "jobs_total"),
        ("jobs.total", Distribution, None, "jobs_total"),
        ("body", Sum, byte, "body_bytes_total"),
        ("body.bytes", Sum, byte, "body_bytes_total"),
        ("body.bytes.total", Sum, byte, "body_bytes_total"),
        ("body.total", Sum, byte, "body_bytes_total"),
        ("body.kilobytes", LastValue, byte, "body_kilobytes_bytes"),
        ("duration", Distribution, second, "duration_seconds"),
        ("duration.seconds", Summary, second, "duration_seconds"),
        ("milliseconds", Distribution, second, "milliseconds_seconds"),
        ("seconds", LastValue, second, "seconds"),
        ("fill", LastValue, Some(Unit::Ratio), "fill_ratio"),
        ("fill", LastValue, Some(Unit::Percent), "fill_percent"),
        ("wait", LastValue, Some(Unit::Millisecond), "wait_milliseconds"),
        ("size", LastValue, Some(Unit::Mebibyte), "size_mebibytes"),
        ("rate", LastValue, Some(Unit::Other("items/s")), "rate_items_s"),
    ] {
        assert_eq!(main_name(name, kind, unit), expected, "{name} {kind:?} {unit:?}");
    }
}

/// The unit is stated only where the name ends in it.
#[test]
fn a_unit_is_a_suffix_or_not_stated() {
    let names = |name: &str, kind| Names::new(&Family::new(name, kind).unit(Some(Unit::Second)));
    assert_eq!(names("cpu", Kind::Sum).unit(), Some("seconds"));
    assert_eq!(names("cpu", Kind::Sum).base(), "cpu_seconds");
    assert_eq!(names("seconds", Kind::LastValue).unit(), None);
    assert_eq!(Names::new(&Family::new("cpu", Kind::Sum)).unit(), None);
}

/// A character that an exposition doesn't have becomes an underscore, each for itself.
#[test]
fn illegal_characters_become_underscores() {
    for (name, expected) in [
        ("http.status:sum", "http_status:sum"),
        ("my_metric", "my_metric"),
        ("a.b_c", "a_b_c"),
        ("métrica", "m_trica"),
        ("label with 😱", "label_with__"),
        ("0foo", "_0foo"),
        ("", "_"),
        ("a\nb\"c\\d\0", "a_b_c_d_"),
    ] {
        assert_eq!(main_name(name, Kind::LastValue, None), expected, "{name:?}");
    }
    assert_eq!(label("http.status:sum"), "http_status_sum");
    assert_eq!(label("0"), "_0");
    assert_eq!(label("route"), "route");
}

/// V4: the reference client's escapings, byte for byte.
#[test]
fn names_are_escaped_as_by_the_reference_client() {
    for (name, underscores, dots, values) in [
        ("http.status:sum", "http_status:sum", "http_dot_status:sum", "U__http_2e_status:sum"),
        ("my_metric", "my_metric", "my__metric", "my_metric"),
        ("a.b_c", "a_b_c", "a_dot_b__c", "U__a_2e_b__c"),
        ("0foo", "_foo", "__foo", "U___30_foo"),
        ("métrica", "m_trica", "m__trica", "U__m_e9_trica"),
        ("label with 😱", "label_with__", "label__with____", "U__label_20_with_20__1f631_"),
        ("", "", "", ""),
    ] {
        assert_eq!(Escaping::AllowUtf8.metric(name), name);
        assert_eq!(Escaping::Underscores.metric(name), underscores);
        assert_eq!(Escaping::Dots.metric(name), dots);
        assert_eq!(Escaping::Values.metric(name), values);
    }
    // In the name of a label `:` is no plain character.
    for (escaping, escaped) in
        [(Escaping::Underscores, "a_b"), (Escaping::Dots, "a__b"), (Escaping::Values, "U__a_3a_b")]
    {
        assert_eq!(escaping.label("a:b"), escaped);
    }
}

/// V4: what becomes of a name with its suffixes, for an application that keeps UTF-8 names and for one that doesn't.
#[test]
fn suffixes_are_escaped_with_the_names_that_they_end() {
    use Kind::{Counter, Distribution, Info, LastValue, StateSet, Sum};
    let (utf8, plain) = (Naming::default().utf8(true), Naming::default());
    let byte = Some(Unit::Byte);
    for (naming, kind, unit, [allow, underscores, dots, values]) in [
        (utf8, Counter, None, ["a.b_total", "a_b_total", "a_dot_b__total", "U__a_2e_b__total"]),
        (utf8, Sum, byte, ["a.b_bytes_total", "a_b_bytes_total", "a_dot_b__bytes__total", "U__a_2e_b__bytes__total"]),
        (utf8, LastValue, byte, ["a.b_bytes", "a_b_bytes", "a_dot_b__bytes", "U__a_2e_b__bytes"]),
        (utf8, Distribution, None, ["a.b", "a_b", "a_dot_b", "U__a_2e_b"]),
        (utf8, Info, None, ["a.b_info", "a_b_info", "a_dot_b__info", "U__a_2e_b__info"]),
        (utf8, StateSet, None, ["a.b", "a_b", "a_dot_b", "U__a_2e_b"]),
        (plain, Counter, None, ["a_b_total", "a_b_total", "a__b__total", "a_b_total"]),
        (plain, StateSet, None, ["a_b", "a_b", "a__b", "a_b"]),
    ] {
        let family = Family::new("a.b", kind).unit(unit);
        for (escaping, main) in [
            (Escaping::AllowUtf8, allow),
            (Escaping::Underscores, underscores),
            (Escaping::Dots, dots),
            (Escaping::Values, values),
        ] {
            let names = naming.escaping(escaping).names(&family);
            assert_eq!(names.main(), main, "{kind:?} {escaping:?}");
            assert!(main.starts_with(names.base()));
            assert_eq!(names.state_label(), (kind == StateSet).then_some(main));
            // A unit is stated where the name of the family ends in it, which is what readers check.
            assert_eq!(names.unit().is_some(), names.base().ends_with("_bytes"), "{kind:?} {escaping:?}");
        }
    }
}

/// V4: who keeps UTF-8 names changes nothing for a scraper that can't read them; so one may be switched at a time.
#[test]
fn a_scraper_that_asks_for_underscores_gets_what_it_always_got() {
    use Kind::{Counter, Distribution, Info, LastValue, Spiral, Sum};
    for name in ["a.b", "a.count", "a.b.count", "a.b.total", "a.b.bytes", "a.b.bytes.total", "total", "a.info", "é"] {
        for kind in [Counter, Sum, LastValue, Distribution, Spiral, Info] {
            for unit in [None, Some(Unit::Byte), Some(Unit::Other("items/s"))] {
                let family = Family::new(name, kind).unit(unit).window(Duration::from_secs(60));
                assert_eq!(Naming::default().utf8(true).names(&family), Names::new(&family), "{name} {kind:?}");
            }
        }
    }
    assert_eq!(Naming::default().utf8(true).label("http.status"), label("http.status"));
}

/// V4: names that stay apart as they are, and meet for a scraper that asks for them otherwise.
#[test]
fn families_that_become_one_under_an_escaping_are_refused() {
    use Kind::{Counter, Distribution, LastValue};
    let utf8 = Naming::default().utf8(true);
    for (first, second, exposed, escaping) in [
        (Family::new("a.b", LastValue), Family::new("a_b", LastValue), "a_b", "underscores"),
        (Family::new("aéb", LastValue), Family::new("aüb", LastValue), "a_b", "underscores"),
        (Family::new("a.é", LastValue), Family::new("a._", LastValue), "a__", "underscores"),
        (Family::new("a.b_sum", LastValue), Family::new("a_b", Distribution), "a_b_sum", "underscores"),
        (Family::new("a.b", Counter), Family::new("a_b_total", LastValue), "a_b_total", "underscores"),
        (Family::new("a.b", LastValue), Family::new("U__a_2e_b", LastValue), "U__a_2e_b", "values"),
        (Family::new("1_a", LastValue), Family::new("éa_", LastValue), "__a", "none"),
    ] {
        let checked = utf8.check_collisions([&first, &second]);
        if escaping == "none" {
            checked.unwrap();
            continue;
        }
        let error = checked.unwrap_err();
        let NameCollision::Families { exposed: name, escaping: scheme, .. } = &error else { panic!("{error}") };
        assert_eq!((name.as_str(), scheme.unwrap().name()), (exposed, escaping));
        for word in [first.name(), second.name(), exposed, escaping, "another name"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
    // They meet under each escaping: nothing is to be said of one.
    let error = utf8.check_collisions(&[Family::new("a", LastValue), Family::new("a", Distribution)]).unwrap_err();
    assert!(!error.to_string().contains("escaped"), "{error}");
}

/// V4: the same of labels, and of the label that names a state.
#[test]
fn labels_that_become_one_under_an_escaping_are_refused() {
    let utf8 = Naming::default().utf8(true);
    let family = Family::new("x", Kind::LastValue).labels(["a.b", "c", "a_b"]);
    assert_eq!(
        utf8.check_collisions([&family]).unwrap_err().to_string(),
        "the labels \"a.b\" and \"a_b\" of \"x\" would both be exposed as \"a_b\" to a scraper that asks for names \
         escaped as \"underscores\": rename one of them"
    );
    let family = Family::new("pool.state", Kind::StateSet).labels(["pool.state"]);
    assert!(matches!(utf8.check_collisions([&family]), Err(NameCollision::Labels { escaping: None, .. })));
    let family = Family::new("pool.state", Kind::StateSet).labels(["pool_state"]);
    assert!(matches!(utf8.check_collisions([&family]), Err(NameCollision::Labels { escaping: Some(_), .. })));
}

/// The gauge of a spiral names its window: in seconds when they are whole, else in the largest unit that fits.
#[test]
fn a_spiral_names_its_window() {
    for (window, expected) in [
        (Duration::from_secs(60), "items_window60s"),
        (Duration::from_secs(7_200), "items_window7200s"),
        (Duration::from_millis(500), "items_window500ms"),
        (Duration::from_millis(1_500), "items_window1500ms"),
        (Duration::from_micros(10), "items_window10us"),
        (Duration::from_nanos(1_001), "items_window1001ns"),
    ] {
        let names = Names::new(&Family::new("items", Kind::Spiral).window(window));
        assert_eq!((names.main().as_ref(), names.window()), ("items_total", Some(expected)));
    }
    assert_eq!(Names::new(&Family::new("items", Kind::Counter)).window(), None);
}

/// V4: what a family occupies, in any format.
#[test]
fn a_family_occupies_all_names_of_its_samples() {
    let occupied = |kind| Names::new(&Family::new("x", kind).window(Duration::from_secs(1))).occupied();
    assert_eq!(occupied(Kind::LastValue), ["x"]);
    assert_eq!(occupied(Kind::Counter), ["x", "x_total", "x_created"]);
    assert_eq!(occupied(Kind::Sum), ["x", "x_total", "x_created"]);
    assert_eq!(occupied(Kind::Distribution), ["x", "x_bucket", "x_sum", "x_count", "x_created"]);
    assert_eq!(occupied(Kind::Summary), ["x", "x_sum", "x_count", "x_created"]);
    assert_eq!(occupied(Kind::Spiral), ["x", "x_total", "x_created", "x_window1s"]);
    assert_eq!(occupied(Kind::Info), ["x", "x_info"]);
    assert_eq!(occupied(Kind::StateSet), ["x"]);
}

/// V4: two families that become one are refused, and the error names both and the name that they share.
#[test]
fn families_that_become_one_are_refused() {
    use Kind::{Counter, Distribution, LastValue, Spiral, Sum, Summary};
    let minute = Duration::from_secs(60);
    for (first, second, exposed) in [
        (Family::new("a.b", LastValue), Family::new("a_b", LastValue), "a_b"),
        (Family::new("a.b", LastValue), Family::new("a.b", Summary), "a_b"),
        (Family::new("a.count", Counter), Family::new("a.total", Counter), "a"),
        (Family::new("a", Distribution), Family::new("a.sum", LastValue), "a_sum"),
        (Family::new("a.bucket", LastValue), Family::new("a", Distribution), "a_bucket"),
        (Family::new("a", Summary), Family::new("a.count", LastValue), "a_count"),
        (Family::new("a", Sum), Family::new("a.created", LastValue), "a_created"),
        (Family::new("a", Sum), Family::new("a", LastValue), "a"),
        (Family::new("a", LastValue).unit(Some(Unit::Byte)), Family::new("a.bytes", LastValue), "a_bytes"),
        (Family::new("a", Spiral).window(minute), Family::new("a.window60s", LastValue), "a_window60s"),
        (Family::new("a", Spiral).window(minute), Family::new("a", Spiral).window(2 * minute), "a"),
    ] {
        let error = check_collisions([&first, &Family::new("other", LastValue), &second]).unwrap_err();
        let NameCollision::Families { first: one, second: other, exposed: name, .. } = &error else {
            panic!("{error}");
        };
        assert_eq!(*one, (first.name().to_owned(), first.kind()));
        assert_eq!(*other, (second.name().to_owned(), second.kind()));
        assert_eq!(name, exposed);
        for word in [first.name(), second.name(), exposed, "name"] {
            assert!(error.to_string().contains(word), "{error}");
        }
    }
}

/// V4: the same metric defined twice is said to be that.
#[test]
fn a_family_defined_twice_is_refused() {
    let family = Family::new("a.b", Kind::Counter);
    let message = check_collisions([&family, &family]).unwrap_err().to_string();
    assert!(message.contains("\"a.b\" is defined twice"), "{message}");
}

/// V4: neighbours in name that stay apart are not refused.
#[test]
fn families_that_stay_apart_are_accepted() {
    check_collisions(&[
        Family::new("a.count", Kind::Counter),
        Family::new("a.duration", Kind::Distribution).unit(Some(Unit::Second)),
        Family::new("a.duration", Kind::Sum).unit(Some(Unit::Millisecond)),
        Family::new("a.total.now", Kind::LastValue),
        Family::new("a.body", Kind::Summary).labels(["a.b", "a.c"]),
    ])
    .unwrap();
}

/// V4: two labels that become one are refused as well.
#[test]
fn labels_that_become_one_are_refused() {
    let family = Family::new("x", Kind::LastValue).labels(["a.b", "c", "a_b"]);
    let message = check_collisions([&family]).unwrap_err().to_string();
    assert_eq!(message, "the labels \"a.b\" and \"a_b\" of \"x\" would both be exposed as \"a_b\": rename one of them");
}

const KINDS: [Kind; 8] = [
    Kind::Counter,
    Kind::Sum,
    Kind::LastValue,
    Kind::Distribution,
    Kind::Summary,
    Kind::Spiral,
    Kind::Info,
    Kind::StateSet,
];

/// The names of the samples of one family, and those in its metadata, as they stand in a body.
fn exposed(family: &Family, format: Format, options: Options) -> Vec<String> {
    let sample = match family.kind() {
        Kind::Counter | Kind::Sum => Sample::Total(Total::U64(1)),
        Kind::LastValue => Sample::Gauge(1.0),
        Kind::Distribution => {
            Sample::Histogram(HistogramSample { bounds: &[1.0], counts: &[1, 0], sum: 1.0, exponential: None })
        }
        Kind::Summary => Sample::Summary(SummarySample { count: 1, sum: 1.0, quantiles: &[(0.5, 1.0)] }),
        Kind::Spiral => Sample::Spiral(SpiralSample { count: 1, one: 1 }),
        Kind::Info => Sample::Info,
        _ => Sample::States(States::from_pairs(&[("up", true)])),
    };
    let mut encoder = format.encoder(options.created(true));
    let visitor: &mut dyn Visit = &mut encoder.as_mut();
    visitor.family(family);
    let created = Some(Duration::from_secs(1));
    visitor.series(&Series { labels: Labels::from_pairs(&[]), created, sample, exemplars: Exemplars::default() });
    encoder.finish();
    let body = String::from_utf8(encoder.take()).unwrap();
    let lines = body.lines().filter(|line| *line != "# EOF");
    let names = lines.map(|line| {
        let line = ["# TYPE ", "# UNIT "].iter().fold(line, |line, keyword| line.trim_start_matches(keyword));
        let line = line.trim_start_matches('{').trim_start_matches('"');
        line.split(['"', '{', ' ']).next().expect("a name").to_owned()
    });
    names.collect()
}

proptest! {
    /// V4: whatever is accepted, no name stands under two families, in any text format and under any escaping; and what is
    /// refused is refused for a name that two of them would have.
    #[test]
    fn what_is_accepted_stays_apart_under_each_escaping(
        names in prop::collection::vec("a([._é]|[._]?(b|sum|bucket|count|total|created|info|dot|window60s|bytes)){0,2}", 2..4),
        kinds in prop::collection::vec(prop::sample::select(KINDS.to_vec()), 4),
        has_unit in any::<bool>(),
        utf8 in any::<bool>(),
    ) {
        let unit = has_unit.then_some(Unit::Byte);
        let families: Vec<Family> = names.iter().zip(kinds).map(|(name, kind)| {
            // Facts and states have no unit.
            let unit = unit.filter(|_| !matches!(kind, Kind::Info | Kind::StateSet));
            Family::new(name.as_str(), kind).unit(unit).window(Duration::from_secs(60))
        }).collect();
        let is_accepted = Naming::default().utf8(utf8).check_collisions(&families).is_ok();
        let mut meets = false;
        for escaping in Escaping::ALL {
            let options = Options::default().utf8_names(utf8).escaping(escaping);
            // Of all formats together, since a scraper may ask for one and then for the other.
            let mut owners: BTreeMap<String, usize> = BTreeMap::new();
            for format in [Format::Text1, Format::OpenMetrics] {
                for (at, family) in families.iter().enumerate() {
                    for name in exposed(family, format, options) {
                        let owner = *owners.entry(name.clone()).or_insert(at);
                        meets |= owner != at;
                        prop_assert!(owner == at || !is_accepted, "{name} is of {:?} and {family:?}", families[owner]);
                    }
                }
            }
        }
        prop_assert!(is_accepted || meets, "nothing meets of {families:?}");
    }
}
