//! Limits of the machine: what parts of the work cost when nothing else is done.

use std::cell::Cell;
use std::hash::{BuildHasher, Hasher};
use std::hint::black_box;
use std::sync::atomic::{AtomicBool, AtomicU64, Ordering};
use std::sync::mpsc::{SyncSender, sync_channel};
use std::sync::{Arc, Mutex};
use std::time::Instant;

use foldhash::fast::FixedState;

use crate::case::{Case, Counted, Format, Setup, StoreSetup, each, stored};
use crate::implementation::{Implementation, Kind};
use crate::tags::{Draw, Tags};

macro_rules! limit {
    ($name:ident, $text:literal, $about:literal, { $($case:item)* }) => {
        #[doc = $about]
        #[derive(Debug)]
        pub struct $name;

        impl Implementation for $name {
            fn name(&self) -> &'static str {
                $text
            }

            fn kind(&self) -> Kind {
                Kind::Limit
            }

            fn about(&self) -> &'static str {
                $about
            }

            $($case)*
        }
    };
}

limit!(Loop, "loop", "the measuring loop alone", {
    fn emit_disabled(&self) -> Setup {
        empty()
    }

    fn counter_held(&self) -> Setup {
        empty()
    }
});

fn empty() -> Setup {
    each(|_| black_box(()), || Counted::Nothing)
}

limit!(LoadBranch, "load-branch", "a relaxed load of a flag, and a branch", {
    fn emit_disabled(&self) -> Setup {
        static WANTED: AtomicBool = AtomicBool::new(false);
        let load = |_: &mut Draw| {
            // Relaxed: nothing is published by it.
            if black_box(&WANTED).load(Ordering::Relaxed) {
                black_box(());
            }
        };
        each(load, || Counted::Nothing)
    }
});

limit!(DrawAlone, "draw", "the loop, drawing a pair of tags or a value", {
    fn emit_disabled_two_tags(&self, tags: &'static Tags) -> Setup {
        pairs(tags)
    }

    fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
        pairs(tags)
    }

    fn counter_enum_tags(&self) -> Setup {
        words()
    }

    fn histogram_held(&self) -> Setup {
        values()
    }

    fn histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        pairs(tags)
    }

    fn counter_and_histogram_two_tags(&self, tags: &'static Tags) -> Setup {
        pairs(tags)
    }

    fn counter_and_histogram_enum_tags(&self) -> Setup {
        words()
    }

    fn gauge_set(&self) -> Setup {
        values()
    }

    fn emit_to_lane(&self, tags: &'static Tags) -> Setup {
        pairs(tags)
    }

    fn span(&self, tags: &'static Tags) -> Setup {
        pairs(tags)
    }
});

fn pairs(tags: &'static Tags) -> Setup {
    let draw = |draw: &mut Draw| {
        let drawn = draw.event(tags);
        black_box((drawn.route, drawn.status, drawn.value));
    };
    each(draw, || Counted::Nothing)
}

fn words() -> Setup {
    let draw = |draw: &mut Draw| {
        black_box(draw.words());
    };
    each(draw, || Counted::Nothing)
}

fn values() -> Setup {
    let draw = |draw: &mut Draw| {
        black_box(draw.value());
    };
    each(draw, || Counted::Nothing)
}

limit!(TlsCell, "tls-cell", "a thread-local `Cell<u64>` + 1", {
    fn counter_held(&self) -> Setup {
        thread_local!(static CELL: Cell<u64> = const { Cell::new(0) });
        let count = |_: &mut Draw| {
            CELL.with(|cell| black_box(cell).set(cell.get() + 1));
        };
        each(count, || Counted::Nothing)
    }
});

limit!(TlsWord, "tls-word", "a thread's own word, found in its table: a load, an addition, a store", {
    fn counter_held(&self) -> Setup {
        // Which word it is only the running program knows, as with every counter that is made at run time.
        thread_local!(static TABLE: Cell<Option<&'static [&'static AtomicU64]>> = const { Cell::new(None) });
        let number = 1;
        let count = move |_: &mut Draw| {
            let table = TABLE.get().unwrap_or_else(|| {
                let table: &_ = Box::leak((0..4).map(|_| &*Box::leak(Box::default())).collect());
                TABLE.set(Some(table));
                table
            });
            let word = table[*black_box(&number)];
            // Relaxed, both: only this thread writes.
            word.store(word.load(Ordering::Relaxed) + 1, Ordering::Relaxed);
        };
        each(count, || Counted::Nothing)
    }
});

limit!(AtomicAdd, "atomic-add", "one shared `AtomicU64`, relaxed `fetch_add`", {
    fn counter_held(&self) -> Setup {
        fetch_add()
    }

    fn spiral_mark(&self) -> Setup {
        fetch_add()
    }
});

fn fetch_add() -> Setup {
    let word = Arc::new(AtomicU64::new(0));
    let read = Arc::clone(&word);
    let count = move |_: &mut Draw| {
        // Relaxed: the total is the only fact.
        word.fetch_add(1, Ordering::Relaxed);
    };
    // Relaxed: the threads that counted were joined.
    each(count, move || Counted::Total(read.load(Ordering::Relaxed)))
}

limit!(AtomicStore, "atomic-store", "one shared `AtomicU64`, relaxed store", {
    fn gauge_set(&self) -> Setup {
        let word = Arc::new(AtomicU64::new(0));
        let read = Arc::clone(&word);
        let set = move |draw: &mut Draw| {
            // Relaxed: the value is the only fact.
            word.store(draw.value().to_bits(), Ordering::Relaxed);
        };
        // Relaxed: the threads that set it were joined.
        let text = move || format!("depth {}\n", f64::from_bits(read.load(Ordering::Relaxed)));
        each(set, move || Counted::Exposition(text()))
    }
});

limit!(InstantNow, "instant-now", "what reading the clock costs: twice for a span, once for a mark", {
    fn span(&self, tags: &'static Tags) -> Setup {
        let time = |draw: &mut Draw| {
            black_box(draw.event(tags).pair);
            black_box(Instant::now().elapsed());
        };
        each(time, || Counted::Nothing)
    }

    fn spiral_mark(&self) -> Setup {
        let read = |_: &mut Draw| {
            black_box(Instant::now());
        };
        each(read, || Counted::Nothing)
    }
});

limit!(
    Print,
    "fingerprint",
    "a hand-written table of hashes of both tags, without their text, and a shared word each",
    {
        fn counter_two_tags(&self, tags: &'static Tags) -> Setup {
            let table = Arc::new(Fingerprints::new(tags));
            let read = Arc::clone(&table);
            let count = move |draw: &mut Draw| {
                let drawn = draw.event(tags);
                table.count(drawn.route, drawn.status);
            };
            each(count, move || Counted::Total(read.total()))
        }
    }
);

/// Words found by a hash of tags. A library could not do it like this: two pairs with one hash would be one.
struct Fingerprints {
    slots: Vec<(u64, AtomicU64)>,
}

impl Fingerprints {
    fn hash(route: &str, status: &str) -> u64 {
        let mut hasher = FixedState::default().build_hasher();
        hasher.write(route.as_bytes());
        hasher.write(status.as_bytes());
        hasher.finish() | 1
    }

    #[allow(clippy::cast_possible_truncation)] // The place is masked.
    fn place(&self, hash: u64) -> usize {
        let mask = self.slots.len() - 1;
        let mut at = (hash >> 20) as usize & mask;
        while self.slots[at].0 != hash && self.slots[at].0 != 0 {
            at = (at + 1) & mask;
        }
        at
    }

    fn new(tags: &Tags) -> Self {
        let slots = (0..(tags.pairs() * 2).next_power_of_two()).map(|_| (0, AtomicU64::new(0))).collect();
        let mut table = Self { slots };
        for (route, status) in tags.iter() {
            let hash = Self::hash(route, status);
            let at = table.place(hash);
            table.slots[at].0 = hash;
        }
        table
    }

    #[inline]
    fn count(&self, route: &str, status: &str) {
        // Relaxed: the total is the only fact.
        self.slots[self.place(Self::hash(route, status))].1.fetch_add(1, Ordering::Relaxed);
    }

    fn total(&self) -> u64 {
        // Relaxed: the threads that counted were joined.
        self.slots.iter().map(|slot| slot.1.load(Ordering::Relaxed)).sum()
    }
}

limit!(Channel, "channel", "a bounded channel of `std`, with copies of both tags", {
    fn emit_to_lane(&self, tags: &'static Tags) -> Setup {
        let (sender, receiver) = sync_channel::<(String, String, f64)>(1 << 17);
        let received = Arc::new(AtomicU64::new(0));
        let counter = Arc::clone(&received);
        std::thread::Builder::new().name("bench channel".to_owned()).spawn(move || {
            for message in receiver {
                black_box(message);
                // Release: `settle` reads it with Acquire, and then knows that the message was dropped.
                counter.fetch_add(1, Ordering::Release);
            }
        })?;
        let sent = AtomicU64::new(0);
        Ok(Some(Box::new(Sending { tags, sender, sent, received })))
    }
});

struct Sending {
    tags: &'static Tags,
    sender: SyncSender<(String, String, f64)>,
    sent: AtomicU64,
    received: Arc<AtomicU64>,
}

impl Case for Sending {
    fn run(&self, times: u64, draw: &mut Draw) {
        let mut sent = 0;
        for _ in 0..times {
            let drawn = draw.event(self.tags);
            let message = (drawn.route.to_owned(), drawn.status.to_owned(), drawn.value);
            sent += u64::from(self.sender.try_send(message).is_ok());
        }
        // Relaxed: read by the same thread.
        self.sent.fetch_add(sent, Ordering::Relaxed);
    }

    fn burst(&self) -> u64 {
        1 << 16
    }

    fn settle(&self) {
        // Relaxed and Acquire: see where they are written.
        while self.received.load(Ordering::Acquire) < self.sent.load(Ordering::Relaxed) {
            std::thread::yield_now();
        }
    }

    fn counted(&self) -> Counted {
        self.settle();
        // Relaxed: `settle` has acquired it.
        Counted::Total(self.received.load(Ordering::Relaxed))
    }
}

limit!(
    Text,
    "text",
    "the text of the labels and a word for each value, side by side; for a render, a copy of such bytes",
    {
        fn counter_series(&self, series: usize) -> StoreSetup {
            text(series, 1, 86)
        }

        fn histogram_series(&self, series: usize) -> StoreSetup {
            // Eleven bounds, the bucket beyond them, and the sum.
            text(series, 13, 1_525)
        }
    }
);

/// Keeps label text and `words` words for each series; renders by copying `bytes` for each.
fn text(series: usize, words: usize, bytes: usize) -> StoreSetup {
    let rows = Mutex::new((Vec::with_capacity(series * 31), Vec::with_capacity(series * words)));
    let source: std::sync::OnceLock<String> = std::sync::OnceLock::new();
    let touch = move |labels: [&str; 3]| {
        let mut rows = rows.lock().unwrap_or_else(std::sync::PoisonError::into_inner);
        labels.iter().for_each(|label| rows.0.extend_from_slice(label.as_bytes()));
        rows.1.extend((0..words).map(|_| 1_u64));
    };
    stored(touch, move |format| {
        (format == Format::Text).then(|| source.get_or_init(|| "#".repeat(series * bytes)).clone())
    })
}
