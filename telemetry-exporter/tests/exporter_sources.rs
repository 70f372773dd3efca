//! Sources that hang, panic, or never end, and the scrapes that go on without them.

mod serve_client;

use std::sync::atomic::{AtomicBool, AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Condvar, Mutex};
use std::thread;
use std::time::{Duration, Instant};

use serve_client::{Client, LONG, Response};
use telemetry_core::Registry;
use telemetry_core::family::{Family, Kind};
use telemetry_core::instrument::Counter;
use telemetry_core::metric::counter;
use telemetry_core::scrape::{Labels, Sample, Series, Source, Visit};
use telemetry_exporter::Exporter;

/// What a source that hangs is given, where it is to be left out soon; those beside it need less on any machine.
const SHORT: Duration = Duration::from_secs(1);

fn show(visitor: &mut dyn Visit, name: &str, value: f64) {
    visitor.family(&Family::new(name, Kind::LastValue));
    visitor.series(&Series::new(Labels::from_pairs(&[]), Sample::Gauge(value)));
}

/// A gate, open or shut, and who is within.
#[derive(Default)]
struct Gate {
    shut: Mutex<bool>,
    opened: Condvar,
    entered: AtomicUsize,
    within: AtomicUsize,
    most_within: AtomicUsize,
}

impl Gate {
    fn set(&self, shut: bool) {
        *self.shut.lock().expect("no panic") = shut;
        self.opened.notify_all();
    }

    fn pass(&self) {
        self.entered.fetch_add(1, SeqCst);
        self.most_within.fetch_max(self.within.fetch_add(1, SeqCst) + 1, SeqCst);
        let _open = self.opened.wait_while(self.shut.lock().expect("no panic"), |shut| *shut).expect("no panic");
        self.within.fetch_sub(1, SeqCst);
    }
}

struct Gated(Arc<Gate>);

impl Source for Gated {
    fn collect(&self, visitor: &mut dyn Visit) {
        show(visitor, "gated.before", 1.0);
        self.0.pass();
        show(visitor, "gated.after", 2.0);
    }
    fn name(&self) -> &str {
        "gated"
    }
}

struct Good;

impl Source for Good {
    fn collect(&self, visitor: &mut dyn Visit) {
        show(visitor, "good", 3.0);
    }
}

/// Panics at the given point, if it is to.
struct Panics(Arc<AtomicBool>, u32);

impl Source for Panics {
    fn collect(&self, visitor: &mut dyn Visit) {
        for point in 0..4 {
            assert!(!(self.0.load(SeqCst) && point == self.1), "a planted panic");
            show(visitor, &format!("panics.{}.{point}", self.1), 1.0);
        }
    }
    fn name(&self) -> &str {
        "panics"
    }
}

struct Endless;

impl Source for Endless {
    fn collect(&self, visitor: &mut dyn Visit) {
        visitor.family(&Family::new("endless", Kind::LastValue).labels(["n"]));
        let start = Instant::now();
        let mut n = 0_u64;
        // For the test's sake it has an end.
        while start.elapsed() < LONG / 4 {
            n += 1;
            let labels = [("n", &*n.to_string())];
            visitor.series(&Series::new(Labels::from_pairs(&labels), Sample::Gauge(1.0)));
        }
    }
    fn name(&self) -> &str {
        "endless"
    }
}

/// An exporter with a counter of its own, and these sources.
fn exporter(sources: impl IntoIterator<Item = Arc<dyn Source>>) -> Exporter {
    exporter_with(LONG / 2, sources)
}

/// The same, which gives its sources this time.
fn exporter_with(time: Duration, sources: impl IntoIterator<Item = Arc<dyn Source>>) -> Exporter {
    let registry = Registry::new();
    let own = registry.register::<Counter>(counter("own")).expect("a metric").single().expect("no labels");
    own.increment();
    let builder = Exporter::builder().registry(&registry).listen("127.0.0.1:0").source_time(time);
    let builder = sources.into_iter().fold(builder, telemetry_exporter::Builder::source);
    builder.serve().expect("a free port")
}

fn scrape(exporter: &Exporter) -> Response {
    let response = Client::connect(exporter.local_addr()).get("/metrics");
    assert!(response.complete);
    assert_eq!(response.status, 200);
    assert!(response.text().contains("\nown_total 1\n"), "{}", response.text());
    response
}

fn failures(response: &Response, source: &str, reason: &str) -> u64 {
    let start = format!("telemetry_source_failures_total{{source=\"{source}\",reason=\"{reason}\"}} ");
    let line = response.text().lines().find_map(|line| line.strip_prefix(&*start));
    line.unwrap_or_else(|| panic!("no {start} in {}", response.text())).parse().expect("a count")
}

#[test]
fn a_source_that_is_well_is_served_after_the_registry_and_its_failures_are_none() {
    let gate = Arc::new(Gate::default());
    let exporter = exporter([Arc::new(Gated(gate)) as Arc<dyn Source>, Arc::new(Good), Arc::new(Good)]);
    let response = scrape(&exporter);
    let at = |line: &str| response.text().find(line).unwrap_or_else(|| panic!("{line} in {}", response.text()));
    assert!(at("\nown_total 1\n") < at("\ngated_before 1\n") && at("\ngated_before 1\n") < at("\ngated_after 2\n"));
    assert!(at("\ngated_after 2\n") < at("\ngood 3\n"), "in the order in which they were added");
    for reason in ["panicked", "late", "thread"] {
        assert_eq!(failures(&response, "gated", reason), 0);
        // The name of a source that has none is its type's; two of them are told apart.
        assert_eq!(failures(&response, "exporter_sources::Good", reason), 0);
        assert_eq!(failures(&response, "exporter_sources::Good#2", reason), 0);
    }
}

#[test]
fn a_source_that_hangs_is_left_out_and_counted_and_comes_back() {
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let exporter = exporter_with(SHORT, [Arc::new(Gated(gate.clone())) as Arc<dyn Source>, Arc::new(Good)]);
    let response = scrape(&exporter);
    assert!(!response.text().contains("gated_"), "none of its families: {}", response.text());
    assert!(response.text().contains("\ngood 3\n"));
    assert_eq!(failures(&response, "gated", "late"), 1);

    gate.set(false);
    let start = Instant::now();
    while !scrape(&exporter).text().contains("\ngated_after 2\n") {
        assert!(start.elapsed() < LONG, "it does not come back");
    }
}

#[test]
fn a_hundred_scrapes_of_a_source_that_hangs_cost_one_thread_and_wait_once() {
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let exporter = exporter_with(SHORT, [Arc::new(Gated(gate.clone())) as Arc<dyn Source>]);
    let start = Instant::now();
    for _ in 0..100 {
        scrape(&exporter);
    }
    assert!(start.elapsed() < 50 * SHORT, "scrapes wait for what hangs: {:?}", start.elapsed());
    assert_eq!(gate.entered.load(SeqCst), 1);
    assert!(failures(&scrape(&exporter), "gated", "late") > 100);
    gate.set(false);
}

#[test]
fn while_a_scrape_waits_for_a_source_others_are_answered() {
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let registry = Registry::new();
    let builder = Exporter::builder().registry(&registry).listen("127.0.0.1:0").source_time(LONG / 2);
    let exporter = builder.source(Arc::new(Gated(gate.clone()))).serve().expect("a free port");
    let mut waiting = Client::connect(exporter.local_addr());
    waiting.request("GET", "/metrics");
    let start = Instant::now();
    while gate.within.load(SeqCst) == 0 {
        assert!(start.elapsed() < LONG, "nobody reads the source");
        thread::sleep(Duration::from_millis(5));
    }
    for path in ["/-/healthy", "/", "/nowhere"] {
        Client::connect(exporter.local_addr()).get(path);
    }
    assert!(start.elapsed() < LONG / 2);
    gate.set(false);
    assert!(waiting.response().text().contains("\ngated_after 2\n"));
}

/// The scraper's own deadline comes before the time for sources: half of it is for them.
#[test]
fn a_scraper_in_a_hurry_gets_everything_else() {
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let builder = Exporter::builder().registry(&Registry::new()).listen("127.0.0.1:0").source_time(LONG);
    let builder = builder.source(Arc::new(Gated(gate.clone()))).source(Arc::new(Good));
    let exporter = builder.serve().expect("a free port");
    let mut client = Client::connect(exporter.local_addr());
    let response = client.get_with("/metrics", "X-Prometheus-Scrape-Timeout-Seconds: 2.0");
    assert_eq!(response.status, 200);
    assert!(response.text().contains("\ngood 3\n") && !response.text().contains("gated_"));
    gate.set(false);
}

#[test]
fn a_source_is_read_by_one_thread_at_a_time() {
    let gate = Arc::new(Gate::default());
    let exporter = exporter([Arc::new(Gated(gate.clone())) as Arc<dyn Source>]);
    let address = exporter.local_addr();
    let clients: Vec<_> = (0..6)
        .map(|number| {
            thread::spawn(move || {
                for _ in 0..30 {
                    // Each its own body, so that each wants the source.
                    assert_eq!(Client::connect(address).get(&format!("/metrics?{number}")).status, 200);
                }
            })
        })
        .collect();
    for client in clients {
        client.join().expect("scrapes");
    }
    assert_eq!(gate.most_within.load(SeqCst), 1);
}

#[test]
fn a_panic_at_any_point_of_a_source_costs_its_own_families_alone() {
    for point in 0..4 {
        let panics = Arc::new(AtomicBool::new(true));
        let exporter = exporter([Arc::new(Panics(panics.clone(), point)) as Arc<dyn Source>, Arc::new(Good)]);
        for round in 1..4 {
            let response = scrape(&exporter);
            assert!(response.text().contains("\ngood 3\n"));
            assert!(!response.text().contains("panics_"), "{}", response.text());
            assert_eq!(failures(&response, "panics", "panicked"), round);
        }
        panics.store(false, SeqCst);
        assert!(scrape(&exporter).text().contains(&format!("\npanics_{point}_3 1\n")));
    }
}

#[test]
fn a_source_without_an_end_is_late_and_its_figures_are_not_kept() {
    let exporter = exporter_with(SHORT, [Arc::new(Endless) as Arc<dyn Source>, Arc::new(Good)]);
    let response = scrape(&exporter);
    assert!(response.text().contains("\ngood 3\n") && !response.text().contains("\nendless{"));
    assert_eq!(failures(&response, "endless", "late"), 1);
}

#[test]
fn a_source_added_to_the_registry_later_is_isolated_too() {
    let gate = Arc::new(Gate::default());
    let exporter = exporter_with(SHORT, []);
    scrape(&exporter);
    gate.set(true);
    exporter.registry().source(Arc::new(Gated(gate.clone())));
    assert_eq!(failures(&scrape(&exporter), "gated", "late"), 1);
    gate.set(false);
}

#[test]
fn a_source_may_register_emit_and_scrape_while_it_is_read() {
    // Until the test ends: a registry that holds a source which holds the registry is never freed.
    struct Recursive(Mutex<Option<Registry>>, AtomicUsize);
    impl Source for Recursive {
        fn collect(&self, visitor: &mut dyn Visit) {
            let number = self.1.fetch_add(1, SeqCst);
            let registry = self.0.lock().unwrap().clone().expect("the test goes on");
            let metric = registry.register::<Counter>(counter(format!("made.within.{number}"))).expect("a metric");
            metric.single().expect("no labels").increment();
            telemetry_core::emit!("exporter.sources.recursion", {}, {});
            show(visitor, "recursive", number as f64);
        }
    }
    let registry = Registry::new();
    let builder = Exporter::builder().registry(&registry).listen("127.0.0.1:0").id("recursion");
    let source = Arc::new(Recursive(Mutex::new(Some(registry.clone())), AtomicUsize::new(0)));
    let exporter = builder.source(source.clone()).serve().expect("a free port");
    let mut client = Client::connect(exporter.local_addr());
    for number in 0..10 {
        assert!(client.get("/metrics").text().contains(&format!("\nrecursive {number}\n")));
    }
    *source.0.lock().unwrap() = None;
}

#[test]
fn an_exporter_ends_while_a_source_of_its_hangs() {
    let gate = Arc::new(Gate::default());
    gate.set(true);
    let exporter = exporter_with(SHORT, [Arc::new(Gated(gate.clone())) as Arc<dyn Source>]);
    scrape(&exporter);
    let start = Instant::now();
    exporter.shutdown(LONG).expect("nothing is in flight");
    assert!(start.elapsed() < LONG);
    gate.set(false);
}
