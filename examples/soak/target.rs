//! The process that is watched: two writers, threads that come and go, series that come and go, a lane.
//!
//! The first SIGTERM ends the writers, and tells what they emitted; the second ends the process.

use std::error::Error;
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::{self, JoinHandle};
use std::time::{Duration, Instant};

use telemetry_core::handler::attachment;
use telemetry_core::instrument::Gauge;
use telemetry_core::lane::Lane;
use telemetry_core::metric::{counter, distribution, last_value, spiral, sum, summary};
use telemetry_core::{Registry, Unit, emit};
use telemetry_exporter::Exporter;
use telemetry_exporter::serve::Limits;
use tokio::signal::unix::{SignalKind, signal};

use crate::say;

/// Series that only make the exposition as long as that of a large process.
const PADDING: u32 = 5_000;
/// Events of a writer between two rests.
const BURST: u64 = 500;
const REST: Duration = Duration::from_millis(20);
/// How long a series of `soak.session` is shown after its last event, and kept after that.
const HIDE: Duration = Duration::from_secs(4);
const RECLAIM: Duration = Duration::from_secs(6);
/// A series of `soak.flap` is hidden for a while each time, and kept.
const FLAP: Duration = Duration::from_secs(6);

pub(crate) fn run() -> Result<(), Box<dyn Error>> {
    let registry = Registry::new();
    let tags = ["route", "status"];
    let exporter = Exporter::builder()
        .registry(&registry)
        .metrics([
            counter("soak.request.count").tags(tags),
            sum("soak.request.bytes").tags(tags).unit(Unit::Byte),
            distribution("soak.request.took").tags(tags).unit(Unit::Second),
            summary("soak.wait").event("soak.request").measurement("took").tags(["route"]),
            spiral("soak.request.items").tags(["route"]),
            last_value("soak.request.last").measurement("bytes").tags(["route"]),
            counter("soak.session.count").tags(["session"]).expiry(HIDE, RECLAIM).limit(3_000),
            counter("soak.flap.count").tags(["flap"]).expiry(Duration::from_secs(3), Duration::from_secs(600)),
            counter("soak.thread.count"),
        ])
        // So that clients which stop are cut before the run is over.
        .limits(Limits::default().stall_time(Duration::from_secs(5)))
        .endpoint_figures(true)
        .listen("127.0.0.1:0")
        .serve()?;
    let lane = Lane::builder("soak").capacity(1 << 16).build()?;
    let on_lane = registry.aggregator([counter("soak.cast.count").event("soak.request").measurement("count")])?;
    attachment("on a lane", on_lane).event("soak.request").lane(&lane).attach()?;
    let padding = registry.register::<Gauge>(last_value("soak.padding").tags(["text"]).limit(PADDING))?;
    for n in 0..PADDING {
        padding.with([format!("{n:0>100}").as_str()])?.set(n);
    }

    let is_over = Arc::new(AtomicBool::new(false));
    let writers: Vec<JoinHandle<u64>> = (0..2).map(|_| while_not(&is_over, requests)).collect();
    let sessions = while_not(&is_over, sessions);
    let flaps = while_not(&is_over, flaps);
    let threads = while_not(&is_over, threads);

    let runtime = tokio::runtime::Builder::new_current_thread().enable_io().build()?;
    runtime.block_on(async {
        let mut terminate = signal(SignalKind::terminate())?;
        say(format_args!("process {}", std::process::id()));
        say(format_args!("serving {}", exporter.local_addr()));
        terminate.recv().await;
        // Relaxed, here and in `while_not`: nothing is published with it.
        is_over.store(true, Ordering::Relaxed);
        let join = |writer: JoinHandle<u64>| writer.join().expect("a writer");
        let requests: u64 = writers.into_iter().map(join).sum();
        let (_, flaps, threads) = (join(sessions), join(flaps), join(threads));
        lane.flush(Duration::from_secs(10))?;
        // Flaps that are hidden just now are not served; one more shows all of them.
        let flaps = flaps + flap();
        let dropped = lane.stats().dropped;
        let cast = requests - dropped;
        say(format_args!("emitted soak_request={requests} soak_cast={cast} soak_flap={flaps} soak_thread={threads}"));
        terminate.recv().await;
        Ok::<_, Box<dyn Error>>(())
    })?;
    lane.shutdown(Duration::from_secs(5))?;
    exporter.shutdown(Duration::from_secs(5))?;
    Ok(())
}

fn while_not(is_over: &Arc<AtomicBool>, mut emit: impl FnMut(u64) -> u64 + Send + 'static) -> JoinHandle<u64> {
    let is_over = Arc::clone(is_over);
    thread::spawn(move || {
        let mut emitted = 0;
        while !is_over.load(Ordering::Relaxed) {
            emitted += emit(emitted);
        }
        emitted
    })
}

fn requests(so_far: u64) -> u64 {
    for n in so_far..so_far + BURST {
        let (route, status) = (n % 20, if n % 7 == 0 { 500_u16 } else { 200 });
        let took = Duration::from_micros(n * 7_919 % 3_000_000);
        emit!("soak.request", { took, bytes: n % 9_000, items: n % 3 }, { route, status });
    }
    thread::sleep(REST);
    BURST
}

/// Fifty new series a second, which never come back; some have names that must not end up in the text as they are.
fn sessions(so_far: u64) -> u64 {
    let evil = ["\"} 1\nevil_total{a=\"", "\\", "\u{85}é😱"];
    let session = format!("{so_far}{}", evil[usize::try_from(so_far / 5 % 3).unwrap_or(0)]);
    for _ in 0..5 {
        emit!("soak.session", {}, { session: session.as_str() });
    }
    thread::sleep(REST);
    5
}

fn flap() -> u64 {
    (0..20_u64).for_each(|flap| emit!("soak.flap", {}, { flap }));
    20
}

fn flaps(_: u64) -> u64 {
    let emitted = flap();
    let start = Instant::now();
    // In pieces, so that the end is not waited for long.
    while start.elapsed() < FLAP {
        thread::sleep(REST);
    }
    emitted
}

/// Threads that live for ten events.
fn threads(_: u64) -> u64 {
    let thread = thread::spawn(|| (0..10).for_each(|_| emit!("soak.thread", {})));
    thread.join().expect("a thread");
    thread::sleep(REST);
    10
}
