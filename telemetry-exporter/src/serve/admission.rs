//! Who is let in when the endpoint is full.
//!
//! Neither is a newcomer refused nor left to wait behind clients that hold a place without using it: a scraper gets in
//! while any number of silent sockets is open. Only when every place is in use does it wait in the listener's queue.

use std::cell::{Cell, RefCell};
use std::rc::Rc;
use std::sync::Arc;

use tokio::task::AbortHandle;

use super::Limits;
use super::figures::{Eviction, Figures};
use super::flow::Flows;
use super::progress::{Progress, Uselessness};

/// The connections that are open, and the scrapes that are under way.
pub(super) struct Admission {
    limits: Limits,
    open: RefCell<Vec<Open>>,
    scrapes: Cell<usize>,
    flows: Rc<Flows>,
    figures: Arc<Figures>,
}

struct Open {
    progress: Rc<Progress>,
    task: AbortHandle,
}

impl Admission {
    pub(super) fn new(limits: Limits, figures: Arc<Figures>) -> Rc<Self> {
        let flows = Flows::new(limits.shared_bytes, Arc::clone(&figures));
        Rc::new(Self { limits, open: RefCell::default(), scrapes: Cell::new(0), flows, figures })
    }

    /// The bodies that are being made.
    pub(super) fn flows(&self) -> &Rc<Flows> {
        &self.flows
    }

    /// Counts a connection in.
    pub(super) fn enter(&self, progress: Rc<Progress>, task: AbortHandle) {
        let mut open = self.open.borrow_mut();
        open.push(Open { progress, task });
        self.figures.accepted();
        self.figures.connections(open.len());
    }

    /// Counts out the connections that have ended.
    pub(super) fn sweep(&self) {
        let mut open = self.open.borrow_mut();
        open.retain(|open| !open.task.is_finished());
        self.figures.connections(open.len());
    }

    /// Whether there is room for one more connection, after one was closed for it if need be.
    pub(super) fn make_room(&self) -> bool {
        self.open.borrow().len() < self.limits.connections || self.send_away(Progress::uselessness)
    }

    /// Closes the connection that is missed least, if one can be spared.
    pub(super) fn spare(&self) -> bool {
        self.send_away(Progress::uselessness)
    }

    /// A place for one more scrape, after a stalled one was cut for it if need be.
    pub(super) fn begin_scrape(self: &Rc<Self>) -> Option<Place> {
        if self.scrapes.get() >= self.limits.scrapes && !self.send_away(Progress::stall) {
            return None;
        }
        // The place of the stalled one is free when its task is dropped, a moment from now: until then one too many
        // is counted, and no more than that.
        self.count_scrapes(self.scrapes.get() + 1);
        Some(Place(self.clone()))
    }

    /// How many clients have not been sent their whole response.
    pub(super) fn in_response(&self) -> usize {
        self.open.borrow().iter().filter(|open| open.progress.in_response()).count()
    }

    fn count_scrapes(&self, scrapes: usize) {
        self.scrapes.set(scrapes);
        self.figures.in_flight(scrapes);
    }

    fn send_away(&self, measure: impl Fn(&Progress) -> Option<Uselessness>) -> bool {
        let mut open = self.open.borrow_mut();
        let useless = open.iter().enumerate().filter_map(|(at, open)| Some((measure(&open.progress)?, at))).max();
        let Some((uselessness, at)) = useless else { return false };
        self.figures.evicted(match uselessness {
            Uselessness::Idle(_) => Eviction::Idle,
            Uselessness::Silent(_) => Eviction::Silent,
            Uselessness::Stalled(_) => Eviction::Stalled,
        });
        // The task is dropped by the event loop, and its socket with it.
        open.swap_remove(at).task.abort();
        true
    }
}

/// The place of one scrape, until it is dropped.
pub(super) struct Place(Rc<Admission>);

impl Drop for Place {
    fn drop(&mut self) {
        self.0.count_scrapes(self.0.scrapes.get() - 1);
    }
}
