//! Which callsites there are, which dispatchers, and the words that tell a callsite whether anybody wants it.
//!
//! A dispatcher's table is built outside of every lock, since building it runs `bind` of the handlers:
//!
//! ```text
//! change   the dispatcher changes its list of handlers, then asks for a new table (`request`)
//! order    under the lock: copy what there is to plan (`Order`): the callsites, the old table, the number of requests
//! build    without a lock
//! install  under the lock: if there was a request or a new callsite meanwhile, refuse, and the builder starts again;
//!          else store the table, count the generation up, write the words of the callsites
//! ```
//!
//! The list is changed before the request is counted, and read after the order is taken, so a table that is up to date
//! by number has every change in it. A word is the union over all dispatchers, and only written under the lock, so two
//! dispatchers that publish at once cannot lose each other's interest. A callsite that some dispatcher has not planned
//! yet and that no other wants keeps the word of a new callsite, which makes an emitter ask.
//!
//! The model of this protocol is `loom_model` at the end of this file.

use std::sync::{Arc, PoisonError};

use crate::sync::{AtomicU64, Mutex, MutexGuard, Ordering};

/// Locks, whatever happened to earlier holders: nothing that can panic half-way runs under the locks of this crate.
pub(crate) fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

/// A callsite, as the registry sees it. All calls are made under the registry's lock.
pub(crate) trait Site: Clone {
    /// The position that [`Self::set_index`] gave.
    fn index(&self) -> Option<usize>;
    /// Gives the callsite its position, once.
    fn set_index(&self, index: usize);
    /// Tells the callsite whether any dispatcher wants its events.
    fn set_wanted(&self, index: usize, wanted: bool);
}

/// A dispatcher's table of plans, as the registry sees it.
pub(crate) trait Plans {
    /// Whether anything is attached to the callsite at `index`.
    fn wants(&self, index: usize) -> bool;
}

/// The table of one dispatcher, for emitters to take.
pub(crate) struct Published<T> {
    table: Mutex<Arc<T>>,
}

impl<T> Published<T> {
    pub(crate) fn new(table: Arc<T>) -> Self {
        Self { table: Mutex::new(table) }
    }

    /// Every lock, held.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn locked(&self) -> impl Sized + '_ {
        lock(&self.table)
    }

    /// The newest table.
    ///
    /// A thread that has read a generation before it calls this gets the table of that generation or a newer one: see
    /// [`Registry::generation`].
    pub(crate) fn take(&self) -> Arc<T> {
        Arc::clone(&lock(&self.table))
    }
}

/// What a builder of a table has to go by.
pub(crate) struct Order<S, T> {
    requests: u64,
    /// The callsites, by position.
    pub(crate) sites: Vec<S>,
    /// How many of them the previous table has planned.
    pub(crate) planned: usize,
    /// The table to be replaced.
    pub(crate) previous: Arc<T>,
}

/// What came of an attempt to install a table.
pub(crate) enum Installed<T> {
    /// The table is in force; the one that it replaced is to be dropped by the caller, outside of every lock.
    Done { replaced: Arc<T> },
    /// There was a request or a new callsite meanwhile, so a newer table is needed; the rejected one comes back.
    Refused { rejected: Arc<T> },
}

struct Member<T, O> {
    published: Arc<Published<T>>,
    owner: O,
    // The same table as in `published`, so that writing the words takes no other lock.
    table: Arc<T>,
    requests: u64,
    // The requests that `table` has in it.
    answered: u64,
    // The callsites that `table` has planned: those at positions below this.
    planned: usize,
}

struct Books<S, T, O> {
    sites: Vec<S>,
    members: Vec<Member<T, O>>,
}

// Alone on its cache lines (two, for the prefetcher): every emission reads it, and the lock beside it is written.
#[repr(align(128))]
struct Generation(AtomicU64);

/// All callsites that were reached, and all live dispatchers.
pub(crate) struct Registry<S, T, O> {
    generation: Generation,
    books: Mutex<Books<S, T, O>>,
}

/// `const fn`, except under loom, whose primitives register themselves with a model when they are made.
macro_rules! const_unless_loom {
    ($(#[$doc:meta])* $vis:vis fn $name:ident() -> Self $body:block) => {
        #[cfg(not(loom))]
        $(#[$doc])* $vis const fn $name() -> Self $body
        #[cfg(loom)]
        $(#[$doc])* $vis fn $name() -> Self $body
    };
}

impl<S: Site, T: Plans, O: Clone> Registry<S, T, O> {
    const_unless_loom! {
        /// A registry of nothing, at generation 1: 0 is the generation of a thread that holds no table.
        pub(crate) fn new() -> Self {
            Self {
                generation: Generation(AtomicU64::new(1)),
                books: Mutex::new(Books { sites: Vec::new(), members: Vec::new() }),
            }
        }
    }

    /// How often any dispatcher has published a table.
    #[inline(always)]
    pub(crate) fn generation(&self) -> u64 {
        // Relaxed, though tables are taken by it, for two reasons. Whoever emits after an attachment has returned (after
        // in the happens-before order) reads the generation of that attachment or a newer one by coherence alone. And
        // whoever has read a generation then takes the table under the mutex of `Published`; had that taken place
        // before the table of this generation was stored, under the same mutex, then the read of the generation would
        // happen before its increment, and could not have returned it.
        self.generation.0.load(Ordering::Relaxed)
    }

    /// Every lock, held: no table is published meanwhile.
    #[cfg(all(test, not(loom)))]
    pub(crate) fn locked(&self) -> impl Sized + '_ {
        lock(&self.books)
    }

    /// Gives `site` a position, unless it has one.
    pub(crate) fn enrol(&self, site: &S) {
        let mut books = lock(&self.books);
        if site.index().is_none() {
            site.set_index(books.sites.len());
            books.sites.push(site.clone());
        }
    }

    /// The callsites that were enrolled.
    pub(crate) fn sites(&self) -> Vec<S> {
        lock(&self.books).sites.clone()
    }

    /// Adds a dispatcher that has nothing attached.
    pub(crate) fn join(&self, published: &Arc<Published<T>>, owner: O) {
        let table = published.take();
        let mut books = lock(&self.books);
        let planned = books.sites.len();
        let published = Arc::clone(published);
        books.members.push(Member { published, owner, table, requests: 0, answered: 0, planned });
    }

    /// Removes a dispatcher; its last table is to be dropped by the caller, outside of every lock.
    pub(crate) fn leave(&self, published: &Arc<Published<T>>) -> Option<Arc<T>> {
        let mut books = lock(&self.books);
        let at = books.members.iter().position(|member| Arc::ptr_eq(&member.published, published))?;
        let member = books.members.swap_remove(at);
        books.write_words();
        drop(books);
        Some(member.table)
    }

    /// The owners of all dispatchers.
    pub(crate) fn owners(&self) -> Vec<O> {
        lock(&self.books).members.iter().map(|member| member.owner.clone()).collect()
    }

    /// Counts a change of the dispatcher's list of handlers; made after the change.
    pub(crate) fn request(&self, published: &Arc<Published<T>>) {
        if let Some(member) = lock(&self.books).member(published) {
            member.requests += 1;
        }
    }

    /// What has to be planned for the dispatcher; `None` when its table is up to date.
    pub(crate) fn order(&self, published: &Arc<Published<T>>) -> Option<Order<S, T>> {
        let mut books = lock(&self.books);
        let enrolled = books.sites.len();
        let member = books.member(published)?;
        if member.answered == member.requests && member.planned == enrolled {
            return None;
        }
        let (requests, planned, previous) = (member.requests, member.planned, Arc::clone(&member.table));
        Some(Order { requests, sites: books.sites.clone(), planned, previous })
    }

    /// Stores a table that was built to `order`, unless it is out of date already.
    pub(crate) fn install(&self, published: &Arc<Published<T>>, order: &Order<S, T>, table: Arc<T>) -> Installed<T> {
        let mut books = lock(&self.books);
        let enrolled = books.sites.len();
        let Some(member) = books.member(published) else { return Installed::Refused { rejected: table } };
        if member.requests != order.requests || enrolled != order.sites.len() {
            return Installed::Refused { rejected: table };
        }
        member.answered = order.requests;
        member.planned = enrolled;
        let replaced = std::mem::replace(&mut member.table, table);
        if !Arc::ptr_eq(&replaced, &member.table) {
            // `replaced` keeps the old table alive, so nothing is freed, and no user code runs, under these locks.
            *lock(&member.published.table) = Arc::clone(&member.table);
            // Relaxed: partner of the load in `generation`, which says why.
            self.generation.0.fetch_add(1, Ordering::Relaxed);
        }
        books.write_words();
        Installed::Done { replaced }
    }

    /// Writes the words of callsites that no dispatcher has to plan, as when there is none.
    pub(crate) fn settle(&self) {
        lock(&self.books).write_words();
    }
}

impl<S: Site, T: Plans, O> Books<S, T, O> {
    fn member(&mut self, published: &Arc<Published<T>>) -> Option<&mut Member<T, O>> {
        self.members.iter_mut().find(|member| Arc::ptr_eq(&member.published, published))
    }

    fn write_words(&self) {
        for (index, site) in self.sites.iter().enumerate() {
            if self.members.iter().any(|member| member.table.wants(index)) {
                site.set_wanted(index, true);
            } else if self.members.iter().all(|member| index < member.planned) {
                site.set_wanted(index, false);
            }
        }
    }
}

#[cfg(all(test, loom))]
mod loom_model {
    use loom::sync::atomic::{AtomicBool, AtomicUsize, Ordering::*};
    use loom::thread;

    use super::*;
    use crate::callsite::word;
    use crate::dispatch::lease::Lease;

    /// Every execution with up to three preemptions: enough for each fault that was put into the protocol to be found,
    /// where all of them take minutes.
    fn model(run: impl Fn() + Send + Sync + 'static) {
        let mut builder = loom::model::Builder::new();
        builder.preemption_bound = Some(3);
        builder.check(run);
    }

    /// A callsite without its metadata; the words are read and written as `Callsite` does it.
    struct Place {
        word: loom::sync::atomic::AtomicU32,
        index: AtomicUsize,
    }

    impl Place {
        fn new() -> Arc<Self> {
            Arc::new(Self { word: loom::sync::atomic::AtomicU32::new(word::NEW), index: AtomicUsize::new(usize::MAX) })
        }

        fn word(&self) -> u32 {
            self.word.load(Relaxed)
        }
    }

    impl Site for Arc<Place> {
        fn index(&self) -> Option<usize> {
            Some(self.index.load(Relaxed)).filter(|index| *index != usize::MAX)
        }
        fn set_index(&self, index: usize) {
            self.index.store(index, Relaxed);
        }
        fn set_wanted(&self, index: usize, wanted: bool) {
            self.word.store(word::of(index, wanted), Relaxed);
        }
    }

    /// Wants every callsite that was planned, if there is any handler; handlers are the bits of a number.
    struct Wanted {
        handlers: usize,
        planned: usize,
    }

    impl Plans for Wanted {
        fn wants(&self, index: usize) -> bool {
            self.handlers != 0 && index < self.planned
        }
    }

    type Model = Registry<Arc<Place>, Wanted, ()>;

    /// A dispatcher whose handlers are for every event.
    struct Member {
        published: Arc<Published<Wanted>>,
        handlers: AtomicUsize,
    }

    impl Member {
        fn join(registry: &Model) -> Arc<Self> {
            let published = Arc::new(Published::new(Arc::new(Wanted { handlers: 0, planned: 0 })));
            registry.join(&published, ());
            Arc::new(Self { published, handlers: AtomicUsize::new(0) })
        }

        /// Attaches the handlers that are not attached, and detaches the others.
        fn change(&self, registry: &Model, handlers: usize) {
            // In the dispatcher the list stands under a mutex; the orderings here give the model no more than that.
            self.handlers.fetch_xor(handlers, AcqRel);
            registry.request(&self.published);
            self.bring_up_to_date(registry);
        }

        fn bring_up_to_date(&self, registry: &Model) {
            while let Some(order) = registry.order(&self.published) {
                let handlers = self.handlers.load(Acquire);
                let table = Arc::new(Wanted { handlers, planned: order.sites.len() });
                registry.install(&self.published, &order, table);
            }
        }
    }

    /// What an emission does: the word first, then the table that the thread holds. The handlers that it reaches.
    fn emit(registry: &Model, site: &Arc<Place>, members: &[&Member], lease: &Lease<Wanted>, own: &Member) -> usize {
        if site.word() == word::NEW {
            registry.enrol(site);
            members.iter().for_each(|member| member.bring_up_to_date(registry));
            registry.settle();
        }
        let word = site.word();
        assert_ne!(word, word::NEW, "a callsite that was planned has a word");
        if !word::is_wanted(word) {
            return 0;
        }
        let generation = registry.generation();
        if !lease.is_of(generation) {
            lease.replace(0, generation, own.published.take());
        }
        // SAFETY: the table was installed above or earlier, at depth 0, and nothing has released it.
        let table = unsafe { &*lease.current() };
        if table.wants(word::index(word)) { table.handlers } else { 0 }
    }

    /// X4: whoever emits after an attachment has returned reaches the handler, through a callsite that was off before.
    #[test]
    fn an_emitter_never_sees_a_wanted_callsite_off() {
        model(|| {
            let registry = Arc::new(Model::new());
            let member = Member::join(&registry);
            let site = Place::new();
            let attached = Arc::new(AtomicBool::new(false));
            let (there_registry, there_site) = (Arc::clone(&registry), Arc::clone(&site));
            let (there_member, there_attached) = (Arc::clone(&member), Arc::clone(&attached));
            let emitter = thread::spawn(move || {
                let lease = Lease::new();
                let emit = || emit(&there_registry, &there_site, &[&there_member], &lease, &there_member);
                let early = there_attached.load(Acquire);
                let delivered = emit();
                assert!(delivered == 1 || !early, "the handler was attached before");
                let late = there_attached.load(Acquire);
                assert!(emit() == 1 || !late, "the handler was attached before the second event");
                lease.release(0);
            });
            member.change(&registry, 1);
            attached.store(true, Release);
            emitter.join().unwrap();
        });
    }

    /// X5: a thread that holds a table takes the newer one for what it emits after an attachment has returned.
    #[test]
    fn an_emitter_never_uses_an_older_table() {
        model(|| {
            let registry = Arc::new(Model::new());
            let member = Member::join(&registry);
            let site = Place::new();
            registry.enrol(&site);
            member.change(&registry, 1);
            let attached = Arc::new(AtomicBool::new(false));
            let (there_registry, there_site) = (Arc::clone(&registry), Arc::clone(&site));
            let (there_member, there_attached) = (Arc::clone(&member), Arc::clone(&attached));
            let emitter = thread::spawn(move || {
                let lease = Lease::new();
                let emit = || emit(&there_registry, &there_site, &[&there_member], &lease, &there_member);
                assert_ne!(emit() & 1, 0);
                let late = there_attached.load(Acquire);
                assert!(emit() == 3 || !late, "the second handler was attached before the second event");
                lease.release(0);
            });
            member.change(&registry, 2);
            attached.store(true, Release);
            emitter.join().unwrap();
        });
    }

    /// X4: while one thread has a new callsite planned, another dispatcher publishes; the callsite is not off for a
    /// handler that was attached all along and is only not planned yet.
    #[test]
    fn a_callsite_is_not_off_before_every_dispatcher_has_planned_it() {
        model(|| {
            let registry = Arc::new(Model::new());
            let (other, member) = (Member::join(&registry), Member::join(&registry));
            member.change(&registry, 1);
            let site = Place::new();
            let (there, there_member, there_other) = (Arc::clone(&registry), Arc::clone(&member), Arc::clone(&other));
            let there_site = Arc::clone(&site);
            let emitter = thread::spawn(move || {
                let lease = Lease::new();
                assert_eq!(emit(&there, &there_site, &[&there_other, &there_member], &lease, &there_member), 1);
                lease.release(0);
            });
            let lease = Lease::new();
            other.bring_up_to_date(&registry);
            assert_eq!(emit(&registry, &site, &[&other, &member], &lease, &member), 1);
            lease.release(0);
            emitter.join().unwrap();
        });
    }

    /// X4: two dispatchers publish at once, one wants the callsite and the other no longer does; it stays on.
    #[test]
    fn concurrent_publications_lose_no_interest() {
        model(|| {
            let registry = Arc::new(Model::new());
            let (comes, goes) = (Member::join(&registry), Member::join(&registry));
            let site = Place::new();
            registry.enrol(&site);
            goes.change(&registry, 1);
            let there = Arc::clone(&registry);
            let going = thread::spawn(move || goes.change(&there, 1));
            comes.change(&registry, 1);
            going.join().unwrap();
            assert!(word::is_wanted(site.word()));
            assert!(comes.published.take().wants(0));
        });
    }

    /// X4: a callsite is first reached while a handler is being attached; one of the two plans it.
    #[test]
    fn a_callsite_reached_during_an_attachment_is_planned() {
        model(|| {
            let registry = Arc::new(Model::new());
            let (member, other) = (Member::join(&registry), Member::join(&registry));
            let site = Place::new();
            let (there, there_member, there_site) = (Arc::clone(&registry), Arc::clone(&member), Arc::clone(&site));
            let emitter = thread::spawn(move || {
                let lease = Lease::new();
                emit(&there, &there_site, &[&other, &there_member], &lease, &there_member);
                lease.release(0);
            });
            member.change(&registry, 1);
            emitter.join().unwrap();
            assert!(word::is_wanted(site.word()));
            assert!(member.published.take().wants(0));
        });
    }

    /// X5: two handlers are attached to one dispatcher at once; each is in force as soon as its own attachment returns,
    /// whatever the other thread has built meanwhile.
    #[test]
    fn concurrent_attachments_are_each_in_force_when_they_return() {
        model(|| {
            let registry = Arc::new(Model::new());
            let member = Member::join(&registry);
            let attach = |handler: usize| {
                let (registry, member) = (Arc::clone(&registry), Arc::clone(&member));
                move || {
                    member.change(&registry, handler);
                    assert_ne!(member.published.take().handlers & handler, 0);
                }
            };
            let other = thread::spawn(attach(1));
            attach(2)();
            other.join().unwrap();
            assert_eq!(member.published.take().handlers, 3);
        });
    }

    /// A table is freed by the last thread that moves on, and not before.
    #[test]
    fn a_replaced_table_lives_until_its_last_emitter_moves_on() {
        model(|| {
            let registry = Arc::new(Model::new());
            let member = Member::join(&registry);
            let site = Place::new();
            registry.enrol(&site);
            member.change(&registry, 1);
            let first = Arc::downgrade(&member.published.take());
            let (there, there_member, there_site) = (Arc::clone(&registry), Arc::clone(&member), Arc::clone(&site));
            let emitter = thread::spawn(move || {
                let lease = Lease::new();
                emit(&there, &there_site, &[&there_member], &lease, &there_member);
                emit(&there, &there_site, &[&there_member], &lease, &there_member);
                lease.release(0);
            });
            member.change(&registry, 1);
            emitter.join().unwrap();
            assert!(first.upgrade().is_none(), "nobody holds the first table any more");
        });
    }
}
