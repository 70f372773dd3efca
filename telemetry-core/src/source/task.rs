//! The half of an asynchronous source that runs on the application's runtime.

use std::fmt;
use std::future::Future;
use std::pin::Pin;
use std::sync::{Arc, Weak};
use std::task::{Context, Poll};
use std::time::Instant;

use crate::caught::guarded;
use crate::value::{Measurement, Number};

use super::figures::{Answer, Figures};
use super::own::Failure;
use super::probe::{Asking, Next, Probe};

type Rows = Vec<(Vec<String>, Option<Number>)>;
type Reading = Pin<Box<dyn Future<Output = Rows> + Send>>;
pub(super) type Make = Box<dyn FnMut() -> Reading + Send>;

/// Reads an asynchronous source whenever it is woken by a scrape: a future to spawn on a runtime.
///
/// It ends when the source is no longer registered. When it is dropped before, scrapes go without the source.
#[must_use = "a task that is not spawned answers nobody"]
pub struct Task {
    probe: Weak<Probe>,
    make: Make,
    current: Option<Current>,
}

struct Current {
    asking: Arc<Asking>,
    reading: Reading,
    begun: Instant,
}

impl fmt::Debug for Task {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Task").field("reads", &self.current.is_some()).finish_non_exhaustive()
    }
}

/// What `reading` gives, as rows.
pub(super) async fn rows<L, V, M>(reading: impl Future<Output: IntoIterator<Item = (L, M)>>) -> Rows
where
    L: IntoIterator<Item = V>,
    V: AsRef<str>,
    M: Measurement,
{
    let rows = reading.await.into_iter();
    rows.map(|(labels, value)| (labels.into_iter().map(|label| label.as_ref().to_owned()).collect(), value.number()))
        .collect()
}

impl Task {
    pub(super) fn new(probe: &Arc<Probe>, make: Make) -> Self {
        Self { probe: Arc::downgrade(probe), make, current: None }
    }

    /// Goes on with what is being read: `Ready` when nothing is.
    fn read(&mut self, probe: &Probe, context: &mut Context<'_>) -> Poll<()> {
        let Some(current) = &mut self.current else { return Poll::Ready(()) };
        let answer = if probe.is_given_up(context.waker()) {
            Err(Failure::Late)
        } else {
            match guarded(|| current.reading.as_mut().poll(context)) {
                Ok(Poll::Pending) => return Poll::Pending,
                Ok(Poll::Ready(rows)) => Ok(answer(probe, rows)),
                Err(_) => Err(Failure::Panic),
            }
        };
        if let Some(Current { asking, reading, begun }) = self.current.take() {
            // What is left of it is dropped before anybody hears of its end.
            let dropped = guarded(|| drop(reading));
            probe.end(&asking, dropped.map_err(|_| Failure::Panic).and(answer), begun);
        }
        Poll::Ready(())
    }
}

fn answer(probe: &Probe, rows: Rows) -> Answer {
    let mut figures = Figures::new(probe.shape());
    for (labels, number) in rows {
        figures.set(labels, number);
    }
    figures.finish()
}

impl Future for Task {
    type Output = ();

    fn poll(mut self: Pin<&mut Self>, context: &mut Context<'_>) -> Poll<()> {
        let this = &mut *self;
        loop {
            let Some(probe) = this.probe.upgrade() else { return Poll::Ready(()) };
            if this.read(&probe, context).is_pending() {
                return Poll::Pending;
            }
            match probe.begin(Some(context.waker())) {
                Next::End => return Poll::Ready(()),
                Next::Wait => return Poll::Pending,
                Next::Read(asking) => {
                    let begun = Instant::now();
                    match guarded(&mut this.make) {
                        Ok(reading) => this.current = Some(Current { asking, reading, begun }),
                        Err(_) => probe.end(&asking, Err(Failure::Panic), begun),
                    }
                }
            }
        }
    }
}

impl Drop for Task {
    fn drop(&mut self) {
        if let Some(probe) = self.probe.upgrade() {
            probe.abandon();
        }
    }
}
