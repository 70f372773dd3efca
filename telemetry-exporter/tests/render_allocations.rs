//! A scrape asks nothing of the allocator for a series, and holds no more than a chunk however many there are.

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::io::{self, Write};

use telemetry_core::Registry;
use telemetry_core::instrument::{Buckets, Counter, Exponential, Histogram};
use telemetry_core::metric::{counter, distribution};
use telemetry_exporter::encode::{CHUNK, Encoder, OpenMetrics, Prometheus, Protobuf, Text};
use telemetry_exporter::{Format, render_bytes, render_to};

thread_local! {
    static ALLOCATIONS: Cell<u64> = const { Cell::new(0) };
}

/// Counts what each thread asks for.
struct Counting;

// SAFETY: every call is handed on to the system's allocator as it is.
unsafe impl GlobalAlloc for Counting {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, pointer: *mut u8, layout: Layout) {
        // SAFETY: the caller's promise.
        unsafe { System.dealloc(pointer, layout) }
    }

    unsafe fn realloc(&self, pointer: *mut u8, layout: Layout, size: usize) -> *mut u8 {
        ALLOCATIONS.with(|count| count.set(count.get() + 1));
        // SAFETY: the caller's promise.
        unsafe { System.realloc(pointer, layout, size) }
    }
}

#[global_allocator]
static ALLOCATOR: Counting = Counting;

/// The allocations of one scrape that is taken away chunk by chunk, and the most bytes that the buffer had room for.
fn scrape(registry: &Registry, mut encoder: impl Encoder) -> (u64, usize) {
    let before = ALLOCATIONS.with(Cell::get);
    let mut walk = registry.scrape();
    let mut most = 0;
    while walk.step(&mut encoder) {
        let buffer = encoder.buffer_mut();
        if buffer.len() >= CHUNK {
            most = most.max(buffer.capacity());
            buffer.clear();
        }
    }
    encoder.finish();
    (ALLOCATIONS.with(Cell::get) - before, most)
}

fn registry(series: u32) -> Registry {
    let registry = Registry::new();
    let requests = counter("requests").tags(["method", "path", "status"]).limit(series);
    let requests = registry.register::<Counter>(requests).unwrap();
    let sizes = registry.register::<Histogram>(distribution("sizes").tags(["path"]).limit(series)).unwrap();
    let times = distribution("times").buckets(Buckets::latency()).exponential(Exponential::default());
    let times = registry.register::<Histogram>(times.tags(["path"]).limit(series)).unwrap();
    for n in 0..series {
        let path = format!("/resource/{n}");
        requests.with(["GET", &path, "200"]).unwrap().add(u64::from(n));
        sizes.with([path.as_str()]).unwrap().record(f64::from(n));
        times.with([path.as_str()]).unwrap().record(f64::from(n));
    }
    registry
}

#[test]
fn a_scrape_allocates_for_no_series() {
    let (few, many) = (registry(500), registry(20_000));
    let text = || Text::<Prometheus>::new();
    let openmetrics = || Text::<OpenMetrics>::new();
    let protobuf = || Protobuf::new();
    for (of_few, of_many) in [
        (scrape(&few, text()), scrape(&many, text())),
        (scrape(&few, openmetrics()), scrape(&many, openmetrics())),
        (scrape(&few, protobuf()), scrape(&many, protobuf())),
    ] {
        let (few, many) = (of_few.0, of_many.0);
        assert!(many <= few + 16, "{few} allocations for 500 series, {many} for 20,000");
        assert!(of_many.1 <= 8 * CHUNK, "the buffer grew to {} bytes", of_many.1);
    }
}

/// Takes so many bytes, and remembers the largest piece.
struct Pieces {
    taken: Vec<u8>,
    room: usize,
    largest: usize,
}

impl Pieces {
    fn of(room: usize) -> Self {
        Self { taken: Vec::with_capacity(room), room, largest: 0 }
    }
}

impl Write for Pieces {
    fn write(&mut self, piece: &[u8]) -> io::Result<usize> {
        self.largest = self.largest.max(piece.len());
        let size = piece.len().min(self.room - self.taken.len());
        self.taken.extend_from_slice(&piece[..size]);
        Ok(size)
    }

    fn flush(&mut self) -> io::Result<()> {
        Ok(())
    }
}

#[test]
fn pieces_are_the_whole_and_take_the_memory_of_one() {
    let (few, many) = (registry(500), registry(20_000));
    for format in [Format::Text, Format::OpenMetrics, Format::Protobuf, Format::Json] {
        let allocations = |registry: &Registry| {
            let whole = render_bytes(registry, format);
            let mut pieces = Pieces::of(whole.len());
            let before = ALLOCATIONS.with(Cell::get);
            render_to(registry, format, &mut pieces).unwrap();
            let allocations = ALLOCATIONS.with(Cell::get) - before;
            assert!(pieces.taken == whole, "{format:?}: {} bytes of {}", pieces.taken.len(), whole.len());
            assert!(pieces.largest <= 8 * CHUNK, "{format:?}: a piece of {} bytes", pieces.largest);
            allocations
        };
        let (few, many) = (allocations(&few), allocations(&many));
        assert!(many <= few + 16, "{format:?}: {few} allocations for 500 series, {many} for 20,000");
    }
}

#[test]
fn what_a_writer_says_comes_back() {
    let registry = registry(5_000);
    let mut full = Pieces::of(100_000);
    let error = render_to(&registry, Format::Text, &mut full).unwrap_err();
    assert_eq!(error.kind(), io::ErrorKind::WriteZero);
    assert!(render_bytes(&registry, Format::Text).starts_with(&full.taken) && full.taken.len() == 100_000);
}
