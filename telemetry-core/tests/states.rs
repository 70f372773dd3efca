//! Infos and state sets, and the names that families claim.

use std::collections::BTreeMap;
use std::sync::Barrier;
use std::sync::atomic::{AtomicU32, Ordering};
use std::thread;
use std::time::Duration;

use telemetry_core::family::{Family, Kind};
use telemetry_core::instrument::{Counter, Info, StateSet};
use telemetry_core::metric::{Fault, Metric, counter, info, last_value, state_set, state_set_of};
use telemetry_core::registry::Claim;
use telemetry_core::snapshot::ValueSnapshot;
use telemetry_core::{Registry, TagValue, Unit};

#[derive(TagValue)]
enum Phase {
    Open,
    HalfOpen,
    Closed,
}

/// The states that hold, by series.
fn holding(registry: &Registry, name: &str) -> Vec<(String, Vec<String>)> {
    let snapshot = registry.snapshot();
    let series = snapshot.family(name).unwrap().series.iter().map(|series| {
        let ValueSnapshot::States(states) = &series.value else { panic!("{series:?} is no state set") };
        let labels: Vec<String> = series.labels.values().cloned().collect();
        let holding = states.iter().filter(|(_, holds)| **holds).map(|(state, _)| state.clone());
        (labels.join(","), holding.collect())
    });
    series.collect()
}

fn fault(metric: Metric) -> Fault {
    let registry = Registry::new();
    let error = match metric {
        metric if format!("{metric:?}").contains("StateSet") => registry.register::<StateSet>(metric).unwrap_err(),
        metric => registry.register::<Info>(metric).unwrap_err(),
    };
    assert!(error.to_string().starts_with("the metric \"m.x\": "), "{error}");
    error.fault().clone()
}

/// An info is there when it was asked for, and says what its labels say.
#[test]
fn an_info_is_shown_from_the_first_time_it_is_asked_for() {
    let registry = Registry::new();
    let config = registry.register::<Info>(info("shop.config").tags(["profile", "hash"])).unwrap();
    assert!(registry.snapshot().family("shop.config").unwrap().series.is_empty());
    drop(config.with(["production", "5f3a"]).unwrap());
    let snapshot = registry.snapshot();
    let family = snapshot.family("shop.config").unwrap();
    assert_eq!((family.family.kind(), family.series.len()), (Kind::Info, 1));
    assert_eq!(family.series[0].value, ValueSnapshot::Info);
    assert_eq!(snapshot.total("shop.config", &[("profile", "production"), ("hash", "5f3a")]), Some(1.0));
    assert!(config.with(["production"]).is_err(), "one value for each label");
}

/// V9: facts that changed are removed, and may come back.
#[test]
fn a_removed_info_is_gone_until_it_is_asked_for_again() {
    let registry = Registry::new();
    let config = registry.register::<Info>(info("shop.config").tags(["hash"])).unwrap();
    let hashes = || {
        let snapshot = registry.snapshot();
        let series = snapshot.family("shop.config").unwrap().series.iter();
        series.map(|series| series.labels["hash"].clone()).collect::<Vec<_>>()
    };
    config.with(["a"]).unwrap();
    assert_eq!(registry.reset("shop.config", &[]), 1);
    assert_eq!(hashes(), ["a"], "there is nothing to set to zero");
    assert_eq!(registry.remove("shop.config", &[("hash", "a")]), 1);
    config.with(["b"]).unwrap();
    assert_eq!(hashes(), ["b"]);
    config.with(["a"]).unwrap();
    assert_eq!(hashes(), ["a", "b"]);
}

/// Each state holds or not; states that exclude each other are set with one word.
#[test]
fn a_state_set_shows_which_states_hold() {
    let registry = Registry::new();
    let breakers = registry.register::<StateSet>(state_set_of::<Phase>("breaker.phase").tags(["to"])).unwrap();
    let (bank, post) = (breakers.with(["bank"]).unwrap(), breakers.with(["post"]).unwrap());
    let state = |bank: &[&str], post: &[&str]| {
        let owned = |states: &[&str]| states.iter().map(|state| (*state).to_owned()).collect::<Vec<_>>();
        [("bank".to_owned(), owned(bank)), ("post".to_owned(), owned(post))]
    };
    assert_eq!(holding(&registry, "breaker.phase"), state(&[], &[]));
    bank.set_only(Phase::Open).unwrap();
    post.set(Phase::Open, true).unwrap();
    post.set("half_open", true).unwrap();
    assert_eq!(holding(&registry, "breaker.phase"), state(&["open"], &["half_open", "open"]));
    bank.set_only(Phase::HalfOpen).unwrap();
    post.set(Phase::Open, false).unwrap();
    assert_eq!(holding(&registry, "breaker.phase"), state(&["half_open"], &["half_open"]));
    post.set_only(Phase::Closed).unwrap();

    let error = bank.set_only("ajar").unwrap_err();
    assert_eq!(
        error.to_string(),
        "the state set \"breaker.phase\" has no state \"ajar\"; it has open, half_open, closed"
    );
    assert_eq!(holding(&registry, "breaker.phase"), state(&["half_open"], &["closed"]));

    let snapshot = registry.snapshot();
    let all = BTreeMap::from([("open".into(), false), ("half_open".into(), true), ("closed".into(), false)]);
    assert_eq!(snapshot.sample("breaker.phase", &[("to", "bank")]), Some(&ValueSnapshot::States(all)));
    assert_eq!(snapshot.total("breaker.phase", &[("to", "bank")]), None);
}

/// V9: reset makes no state hold; what is removed comes back with its next change.
#[test]
fn a_state_set_is_reset_and_removed() {
    let registry = Registry::new();
    let pool = registry.register::<StateSet>(state_set("pool.state", ["up", "down"])).unwrap().single().unwrap();
    pool.set("up", true).unwrap();
    registry.reset("pool.state", &[]);
    assert_eq!(holding(&registry, "pool.state"), [(String::new(), vec![])]);
    pool.set("up", true).unwrap();
    registry.remove("pool.state", &[]);
    assert_eq!(holding(&registry, "pool.state"), []);
    pool.set("down", true).unwrap();
    assert_eq!(holding(&registry, "pool.state"), [(String::new(), vec!["down".to_owned()])]);
}

/// A scrape sees exactly one of states that exclude each other, however often they change.
#[test]
fn a_change_of_state_is_never_seen_half_done() {
    let registry = Registry::new();
    let pool = registry.register::<StateSet>(state_set_of::<Phase>("pool.state")).unwrap().single().unwrap();
    pool.set_only(Phase::Open).unwrap();
    let (start, at_work) = (Barrier::new(3), AtomicU32::new(2));
    thread::scope(|scope| {
        for _ in 0..2 {
            scope.spawn(|| {
                start.wait();
                for _ in 0..20_000 {
                    for phase in [Phase::HalfOpen, Phase::Closed, Phase::Open] {
                        pool.set_only(phase).unwrap();
                    }
                }
                // Relaxed: it only ends the loop.
                at_work.fetch_sub(1, Ordering::Relaxed);
            });
        }
        start.wait();
        // Relaxed: as above.
        while at_work.load(Ordering::Relaxed) > 0 {
            let seen = holding(&registry, "pool.state");
            assert_eq!((seen.len(), seen[0].1.len()), (1, 1), "{seen:?}");
        }
    });
}

/// M1: what can be wrong with such definitions is an error that names the metric and the remedy.
#[test]
fn faults_of_infos_and_state_sets_are_errors_at_build() {
    let none: [&str; 0] = [];
    assert_eq!(fault(state_set("m.x", none)), Fault::StateCount { given: 0, most: 63 });
    assert_eq!(fault(state_set_of::<String>("m.x")), Fault::StateCount { given: 0, most: 63 });
    let many = (0..64).map(|state| state.to_string());
    assert_eq!(fault(state_set("m.x", many)), Fault::StateCount { given: 64, most: 63 });
    assert_eq!(fault(state_set("m.x", ["a", "b", "a"])), Fault::State("a".into()));
    assert_eq!(fault(state_set("m.x", ["a", ""])), Fault::State(String::new()));
    assert!(matches!(fault(info("m.x").unit(Unit::Second)), Fault::Option("unit", _)));
    let (hide, forget) = (Duration::from_secs(1), Duration::from_secs(1));
    assert!(matches!(fault(info("m.x").expiry(hide, forget)), Fault::Option("expiry", _)));
    assert!(matches!(fault(state_set("m.x", ["a"]).expiry(hide, forget)), Fault::Option("expiry", _)));

    let registry = Registry::new();
    for (metric, kind) in [(info("m.x"), "info"), (state_set("m.x", ["a"]), "state_set")] {
        let error = registry.aggregator([metric]).unwrap_err();
        assert_eq!(error.fault(), &Fault::OnlyHeld(kind));
        assert!(error.to_string().contains("Registry::register"), "{error}");
    }
    let error = registry.register::<Counter>(info("m.x")).unwrap_err();
    assert_eq!(error.fault(), &Fault::Kind { defined: "info", asked: "counter" });
    let most = (0..63).map(|state| state.to_string());
    let set = registry.register::<StateSet>(state_set("most", most)).unwrap().single().unwrap();
    set.set_only("62").unwrap();
    assert_eq!(holding(&registry, "most"), [(String::new(), vec!["62".to_owned()])]);
}

/// V4: names are claimed for each escaping by itself, and labels within one family.
#[test]
fn names_meet_within_one_escaping() {
    let registry = Registry::new();
    let policy = |family: &Family| {
        let sanitized = Claim::family(family.name().replace('.', "_")).escaping("underscores");
        let labels = family.label_names().iter();
        let labels = labels.map(|label| Claim::label(&**label, label.replace('.', "_")).escaping("underscores"));
        labels.chain([Claim::family(family.name()), sanitized]).collect()
    };
    registry.aggregator([counter("a.b.count")]).unwrap();
    registry.exposed_names(policy).unwrap();

    let error = registry.register::<Counter>(counter("a.b_count")).unwrap_err();
    let (other, exposed) = ("a.b.count".to_owned(), "a_b_count".to_owned());
    assert_eq!(error.fault(), &Fault::Collision { other, exposed, escaping: Some("underscores") });
    for word in ["\"a.b_count\"", "\"a.b.count\"", "\"a_b_count\"", "\"underscores\"", "another name"] {
        assert!(error.to_string().contains(word), "{error}");
    }

    let error = registry.register::<Counter>(counter("c").tags(["x.y", "x_y"])).unwrap_err();
    let (first, second, exposed) = ("x.y".to_owned(), "x_y".to_owned(), "x_y".to_owned());
    assert_eq!(error.fault(), &Fault::LabelCollision { first, second, exposed, escaping: Some("underscores") });
    assert!(error.to_string().contains("\"x.y\" and \"x_y\""), "{error}");
    // A name of one escaping is another's of another: they don't meet.
    let apart = Registry::new();
    let escaping = |family: &Family| if family.name() == "e" { "dots" } else { "values" };
    apart.exposed_names(move |family| vec![Claim::family("same").escaping(escaping(family))]).unwrap();
    apart.register::<Counter>(counter("e")).unwrap();
    apart.register::<Counter>(counter("f")).unwrap();
    assert!(apart.register::<Counter>(counter("g")).is_err());
    // Nothing of what failed is left behind.
    registry.register::<Counter>(counter("c").tags(["x.y"])).unwrap();
    registry.register::<Counter>(counter("d").tags(["x.y"])).unwrap();
}

/// V4: the names of families that a source shows are kept for it.
#[test]
fn reserved_names_are_taken() {
    let registry = Registry::new();
    registry.reserve(Family::new("target", Kind::Info)).unwrap();
    registry.reserve(Family::new("target", Kind::Info)).unwrap();
    registry.exposed_names(|family| vec![Claim::family(family.name().replace('.', "_"))]).unwrap();
    registry.reserve(Family::new("a.b", Kind::LastValue)).unwrap();
    assert_eq!(registry.register::<Info>(info("target")).unwrap_err().fault(), &Fault::Repeated);
    let error = registry.aggregator([last_value("a_b").event("x").measurement("y")]).unwrap_err();
    assert!(matches!(error.fault(), Fault::Collision { other, .. } if other == "a.b"), "{error}");
    registry.aggregator([counter("c.d")]).unwrap();
    assert_eq!(registry.reserve(Family::new("c.d", Kind::Counter)).unwrap_err().fault(), &Fault::Repeated);
    assert!(registry.reserve(Family::new("c_d", Kind::Counter)).is_err());
}
