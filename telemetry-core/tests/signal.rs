//! Handlers of signals, which interrupt a thread wherever it is.
#![cfg(target_os = "linux")]

use std::alloc::{GlobalAlloc, Layout, System};
use std::cell::Cell;
use std::sync::OnceLock;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering::SeqCst};
use std::thread;

use telemetry_core::instrument::{Counter, Gauge, Histogram, Sum};
use telemetry_core::metric::{counter, distribution, last_value, sum};
use telemetry_core::{Dispatch, Registry, emit};

const SIGNALS: u64 = 20_000;

/// Ends the process when a handler of a signal asks for memory: the thread may hold the allocator's lock.
struct NotInHandlers;

#[global_allocator]
static ALLOCATOR: NotInHandlers = NotInHandlers;

thread_local!(static IS_IN_HANDLER: Cell<bool> = const { Cell::new(false) });

fn check() {
    if IS_IN_HANDLER.get() {
        std::process::abort();
    }
}

// SAFETY: every call goes to the system's allocator as it is.
unsafe impl GlobalAlloc for NotInHandlers {
    unsafe fn alloc(&self, layout: Layout) -> *mut u8 {
        check();
        // SAFETY: the caller's promise is the one that is asked for.
        unsafe { System.alloc(layout) }
    }

    unsafe fn dealloc(&self, memory: *mut u8, layout: Layout) {
        check();
        // SAFETY: as above.
        unsafe { System.dealloc(memory, layout) }
    }
}

/// What the handler emits to: its own, and a counter that the interrupted code adds to as well.
struct Handles {
    own: Counter,
    sum: Sum,
    level: Gauge,
    sizes: Histogram,
    both: Counter,
}

impl Handles {
    fn emit(&self) {
        self.own.increment();
        self.sum.add(2_u64);
        self.level.set(3);
        self.sizes.record(4_u64);
    }
}

static HANDLES: OnceLock<Handles> = OnceLock::new();
static HANDLED: AtomicU64 = AtomicU64::new(0);

extern "C" fn on_signal(_: libc::c_int) {
    IS_IN_HANDLER.set(true);
    if let Some(handles) = HANDLES.get() {
        handles.emit();
        handles.both.increment();
    }
    IS_IN_HANDLER.set(false);
    HANDLED.fetch_add(1, SeqCst);
}

/// A held handle may be used in a handler of a signal, on a thread that has used it before: it takes no lock, allocates
/// nothing, and what nobody else adds to is exact. Where the handler interrupts an addition to the same series, its own
/// may be lost, and nothing else.
#[test]
fn a_held_handle_can_be_used_in_a_handler_of_a_signal() {
    let registry = Registry::new();
    let dispatch = Dispatch::new();
    let aggregator = registry.aggregator([counter("signal.work.count").tags(["n"])]).unwrap();
    aggregator.attach_to(&dispatch, "metrics").unwrap();
    HANDLES.get_or_init(|| Handles {
        own: registry.register::<Counter>(counter("signal.own")).unwrap().single().unwrap(),
        sum: registry.register::<Sum>(sum("signal.sum")).unwrap().single().unwrap(),
        level: registry.register::<Gauge>(last_value("signal.level")).unwrap().single().unwrap(),
        sizes: registry.register::<Histogram>(distribution("signal.sizes")).unwrap().single().unwrap(),
        both: registry.register::<Counter>(counter("signal.both")).unwrap().single().unwrap(),
    });
    let handler: extern "C" fn(libc::c_int) = on_signal;
    // SAFETY: the handler is there for ever, and nothing else in this process handles that signal.
    assert_ne!(unsafe { libc::signal(libc::SIGUSR1, handler as libc::sighandler_t) }, libc::SIG_ERR);

    let is_over = AtomicBool::new(false);
    let (worked, (tell, told)) = (AtomicU64::new(0), std::sync::mpsc::channel());
    thread::scope(|scope| {
        scope.spawn(|| {
            let handles = HANDLES.get().expect("they were made");
            let _scope = dispatch.enter();
            // The first use on a thread claims its shard, under a lock.
            handles.emit();
            // SAFETY: it names this thread.
            tell.send(unsafe { libc::pthread_self() }).expect("somebody waits");
            let mut n = 0_u64;
            while !is_over.load(SeqCst) {
                // All that an interruption could come into: new series, memory, events, the same handle.
                emit!("signal.work", {}, { n: n % 1_000 });
                handles.both.increment();
                drop(std::hint::black_box(vec![n; 64]));
                n += 1;
            }
            worked.store(n, SeqCst);
        });
        let thread = told.recv().expect("the thread");
        for sent in 0..SIGNALS {
            // SAFETY: the thread goes on until `is_over`.
            assert_eq!(unsafe { libc::pthread_kill(thread, libc::SIGUSR1) }, 0);
            let start = std::time::Instant::now();
            while HANDLED.load(SeqCst) <= sent {
                assert!(start.elapsed().as_secs() < 60, "the handler hangs");
                std::hint::spin_loop();
            }
        }
        is_over.store(true, SeqCst);
    });

    let snapshot = registry.snapshot();
    #[allow(clippy::cast_precision_loss, reason = "a few millions")]
    let (signals, worked) = (SIGNALS as f64, worked.into_inner() as f64);
    // One time on the thread itself.
    assert_eq!(snapshot.total("signal.own", &[]), Some(signals + 1.0));
    assert_eq!(snapshot.total("signal.sum", &[]), Some(2.0 * (signals + 1.0)));
    assert_eq!(snapshot.total("signal.level", &[]), Some(3.0));
    assert_eq!(snapshot.total("signal.sizes", &[]), Some(signals + 1.0));
    let both = snapshot.total("signal.both", &[]).unwrap();
    assert!((worked..=worked + signals).contains(&both), "{both} of {worked} and {signals}");
    let events: f64 = (0..1_000).filter_map(|n| snapshot.total("signal.work.count", &[("n", &n.to_string())])).sum();
    assert_eq!(events, worked, "what was interrupted is counted");
}
