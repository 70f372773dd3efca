//! The lookup table of a projection: from the hash of a series' key to its row.
//!
//! Open addressing with linear probing; a slot is one word, the row's address and sixteen bits of the hash, so that most
//! wrong rows are passed over without being touched. Readers take no lock. Writers are serialised by the caller; a slot
//! is stored with release after its row is complete, so whoever finds a row finds all of it.
//!
//! A table that fills up is replaced by one of twice the size and kept until no reader can be in it. Beyond
//! [`SPLIT`] rows the index has many small tables instead of one, each growing by itself, so that no insertion ever
//! pays for moving more than a few thousand slots.
//!
//! Model: `loom_tests`.

#[cfg(all(test, loom))]
mod loom_tests;

use std::hint::select_unpredictable;
use std::ptr;

use crate::sync::{AtomicPtr, AtomicU64, Ordering};

const EMPTY: u64 = 0;
// No row has this address: rows are aligned.
const REMOVED: u64 = 1;
const ADDRESS_BITS: u32 = 48;
const ADDRESS: u64 = (1 << ADDRESS_BITS) - 1;

const FIRST_SLOTS: usize = if cfg!(loom) { 2 } else { 8 };
/// How many rows one table may hold before the index is split.
const SPLIT: usize = if cfg!(loom) { 2 } else { 4096 };
/// How many tables there are after the split.
const TABLES_BITS: u32 = if cfg!(loom) { 1 } else { 8 };

/// See the head of this module.
#[derive(Debug)]
pub(crate) struct Index {
    // Invariant: a root that came from a box and is freed by `Retired` or by `drop`, once.
    root: AtomicPtr<Root>,
}

/// Tells whether the row at an address is the one that is looked for.
///
/// A trait and not a closure, whose body can't be told to be inlined.
pub(crate) trait Wanted {
    fn is_at(&self, address: u64) -> bool;

    /// The same, where it is rarely asked.
    #[cold]
    #[inline(never)]
    fn is_another_at(&self, address: u64) -> bool {
        self.is_at(address)
    }
}

impl<F: Fn(u64) -> bool> Wanted for F {
    fn is_at(&self, address: u64) -> bool {
        self(address)
    }
}

#[derive(Debug)]
struct Root {
    // How far `hash >> 1` is shifted to give the table's number.
    // Invariant: there are two to the power of `63 - shift` tables.
    shift: u32,
    // Invariant: each points to a table that came from a box and is freed by `Retired` or by `drop`, once.
    tables: Box<[AtomicPtr<Table>]>,
}

#[derive(Debug)]
struct Table {
    // Slots that are not empty; only the writer uses it.
    used: AtomicU64,
    // Invariant: the length is a power of two, and at least one slot is empty.
    slots: Box<[AtomicU64]>,
}

/// Tables that readers may still be in; freed by [`Retired::free`].
#[derive(Debug, Default)]
pub(crate) struct Retired {
    roots: Vec<*mut Root>,
    tables: Vec<*mut Table>,
    bytes: usize,
}

// SAFETY: the pointers are owned, and `Root` and `Table` are `Send`.
unsafe impl Send for Retired {}

impl Retired {
    /// How much memory waits.
    pub(crate) fn bytes(&self) -> usize {
        self.bytes
    }

    /// Frees it all.
    ///
    /// # Safety
    ///
    /// No reader can be in any of it: every section that was open when the last of it was retired has been left.
    pub(crate) unsafe fn free(&mut self) {
        for root in self.roots.drain(..) {
            // SAFETY: by the invariant of `Index::root` and the caller's promise.
            drop(unsafe { Box::from_raw(root) });
        }
        for table in self.tables.drain(..) {
            // SAFETY: by the invariant of `Root::tables` and the caller's promise.
            drop(unsafe { Box::from_raw(table) });
        }
        self.bytes = 0;
    }
}

impl Table {
    fn new(slots: usize) -> Self {
        Self { used: AtomicU64::new(0), slots: (0..slots).map(|_| AtomicU64::new(EMPTY)).collect() }
    }

    fn boxed(slots: usize) -> *mut Self {
        Box::into_raw(Box::new(Self::new(slots)))
    }

    #[inline]
    fn home(&self, hash: u64) -> usize {
        // The bits between the tag's and the table's.
        (hash >> 16) as usize & (self.slots.len() - 1)
    }

    fn used(&self) -> usize {
        // Relaxed: only the writer is here.
        self.used.load(Ordering::Relaxed) as usize
    }

    fn bytes(&self) -> usize {
        self.slots.len() * size_of::<AtomicU64>() + size_of::<Self>()
    }

    /// Whether one more slot may be taken: seven in eight, and always leaving one empty.
    fn has_room(&self) -> bool {
        self.used() < self.slots.len() * 7 / 8
    }

    /// Takes an empty slot; the caller is the writer, has seen that there is room, and that the row is not there.
    fn insert(&self, hash: u64, address: u64) {
        let mut at = self.home(hash);
        loop {
            let slot = &self.slots[at];
            // Relaxed: only the writer stores.
            if slot.load(Ordering::Relaxed) == EMPTY {
                // Relaxed: only the writer uses it.
                self.used.store(self.used() as u64 + 1, Ordering::Relaxed);
                // Release: pairs with the acquire in `find`; the row is complete by now, and without this a reader
                // could find it half written.
                slot.store(pack(hash, address), Ordering::Release);
                return;
            }
            at = (at + 1) & (self.slots.len() - 1);
        }
    }
}

#[inline]
const fn pack(hash: u64, address: u64) -> u64 {
    (hash << ADDRESS_BITS) | address
}

impl Index {
    pub(crate) fn new() -> Self {
        let root = Root { shift: 63, tables: Box::new([AtomicPtr::new(Table::boxed(FIRST_SLOTS))]) };
        Self { root: AtomicPtr::new(Box::into_raw(Box::new(root))) }
    }

    /// The row with this hash that is `wanted`.
    ///
    /// The caller is in a section, or is the writer.
    #[inline(always)]
    pub(crate) fn find(&self, hash: u64, wanted: &impl Wanted) -> Option<u64> {
        // Acquire: pairs with the release in `split`, so that the root's tables are seen.
        // SAFETY: by the invariant of `root`, and the caller's section keeps it from being freed.
        let root = unsafe { &*self.root.load(Ordering::Acquire) };
        // Acquire: pairs with the release in `grow`, so that the slots moved into the table are seen.
        // SAFETY: by the invariant of `tables`, and the caller's section keeps it from being freed.
        let table = unsafe { &*root.table(hash).load(Ordering::Acquire) };
        let slots = &*table.slots;
        let mask = slots.len() - 1;
        let tag = hash << ADDRESS_BITS;
        let mut at = table.home(hash);
        loop {
            let slot = |at: usize| {
                // Acquire: pairs with the release in `insert`, so that the row is seen whole.
                // SAFETY: the length is a power of two, so the masked position lies below it.
                unsafe { slots.get_unchecked(at & mask) }.load(Ordering::Acquire)
            };
            let (first, second) = (slot(at), slot(at + 1));
            // Which of the two it is nobody can predict, so it is picked without a branch.
            let likely = select_unpredictable(first & !ADDRESS == tag, first, second);
            if likely & !ADDRESS == tag && likely & ADDRESS > REMOVED && wanted.is_at(likely & ADDRESS) {
                return Some(likely & ADDRESS);
            }
            // Two rows whose hashes have the same sixteen bits, one behind the other.
            if likely == first
                && second & !ADDRESS == tag
                && second & ADDRESS > REMOVED
                && wanted.is_another_at(second & ADDRESS)
            {
                return Some(second & ADDRESS);
            }
            if first == EMPTY || second == EMPTY {
                return None;
            }
            at += 2;
        }
    }

    /// Adds a row that is complete and not in the index. `hash_of` gives the hash of any row that is in it.
    ///
    /// The caller is the only writer.
    ///
    /// # Panics
    ///
    /// When the address does not fit: no allocator of a supported platform gives such an address to a process.
    pub(crate) fn insert(&self, hash: u64, address: u64, hash_of: impl Fn(u64) -> u64, retired: &mut Retired) {
        assert!(address <= ADDRESS && address > REMOVED, "a row's address has 48 bits");
        // SAFETY: as in `find`; only this writer replaces roots and tables.
        let mut root = unsafe { &*self.root.load(Ordering::Acquire) };
        // SAFETY: as above.
        let mut table = unsafe { &*root.table(hash).load(Ordering::Acquire) };
        if !table.has_room() {
            if root.tables.len() == 1 && table.used() >= SPLIT * 7 / 8 {
                root = self.split(root, table, &hash_of, retired);
                // SAFETY: as above.
                table = unsafe { &*root.table(hash).load(Ordering::Acquire) };
            }
            if !table.has_room() {
                table = root.grow(hash, table, &hash_of, retired);
            }
        }
        table.insert(hash, address);
    }

    /// Takes a row out. The caller is the only writer.
    pub(crate) fn remove(&self, hash: u64, address: u64) {
        // Release: pairs with the acquire in `find`, so that who misses the row sees what was done before. For the wait
        // for readers the reclaimer's fence orders it.
        self.change(hash, address, REMOVED, Ordering::Release);
    }

    /// Puts a complete copy of a row in the row's place. The caller is the only writer.
    pub(crate) fn replace(&self, hash: u64, address: u64, copy: u64) {
        // Release: pairs with the acquire in `find`, as in `Table::insert`.
        self.change(hash, address, pack(hash, copy), Ordering::Release);
    }

    fn change(&self, hash: u64, address: u64, into: u64, ordering: Ordering) {
        // SAFETY: as in `insert`.
        let root = unsafe { &*self.root.load(Ordering::Acquire) };
        // SAFETY: as in `insert`.
        let table = unsafe { &*root.table(hash).load(Ordering::Acquire) };
        let from = pack(hash, address);
        let mut at = table.home(hash);
        loop {
            // Relaxed: only the writer stores.
            match table.slots[at].load(Ordering::Relaxed) {
                slot if slot == from => return table.slots[at].store(into, ordering),
                EMPTY => return,
                _ => at = (at + 1) & (table.slots.len() - 1),
            }
        }
    }

    fn split(&self, root: &Root, table: &Table, hash_of: &impl Fn(u64) -> u64, retired: &mut Retired) -> &Root {
        let count = 1_usize << TABLES_BITS;
        let slots = (table.slots.len() * 2 / count).max(FIRST_SLOTS);
        let fresh = Box::new(Root {
            shift: 63 - TABLES_BITS,
            tables: (0..count).map(|_| AtomicPtr::new(Table::boxed(slots))).collect(),
        });
        for address in table.rows() {
            let hash = hash_of(address);
            // SAFETY: nobody else has the fresh root yet.
            let mut target = unsafe { &*fresh.table(hash).load(Ordering::Relaxed) };
            if !target.has_room() {
                let mut unseen = Retired::default();
                target = fresh.grow(hash, target, hash_of, &mut unseen);
                // SAFETY: nobody else has the fresh root yet, so nobody is in its tables.
                unsafe { unseen.free() };
            }
            target.insert(hash, address);
        }
        let fresh = Box::into_raw(fresh);
        // Release: pairs with the acquire in `find`.
        self.root.store(fresh, Ordering::Release);
        retired.bytes += table.bytes();
        retired.tables.push(ptr::from_ref(table).cast_mut());
        retired.roots.push(ptr::from_ref(root).cast_mut());
        // SAFETY: by the invariant of `root`; only this writer retires it.
        unsafe { &*fresh }
    }
}

impl Root {
    #[inline]
    fn table(&self, hash: u64) -> &AtomicPtr<Table> {
        // Two shifts: with one table all 64 bits go.
        // SAFETY: the shift leaves as many bits as number the tables.
        unsafe { self.tables.get_unchecked(((hash >> 1) >> self.shift) as usize) }
    }

    /// Replaces the table of `hash` by one that has room; removed slots are left behind.
    fn grow(&self, hash: u64, table: &Table, hash_of: &impl Fn(u64) -> u64, retired: &mut Retired) -> &Table {
        let rows = table.rows().count();
        // Half full at most after a growth; the same size where removals had filled it.
        let slots = ((rows + 1) * 2).next_power_of_two().max(FIRST_SLOTS);
        let fresh = Table::new(slots);
        for address in table.rows() {
            fresh.insert(hash_of(address), address);
        }
        let fresh = Box::into_raw(Box::new(fresh));
        // Release: pairs with the acquire in `find`.
        self.table(hash).store(fresh, Ordering::Release);
        retired.bytes += table.bytes();
        retired.tables.push(ptr::from_ref(table).cast_mut());
        // SAFETY: by the invariant of `tables`; only this writer retires it.
        unsafe { &*fresh }
    }
}

impl Table {
    /// The rows; for the writer.
    fn rows(&self) -> impl Iterator<Item = u64> {
        // Relaxed: only the writer stores.
        self.slots.iter().map(|slot| slot.load(Ordering::Relaxed) & ADDRESS).filter(|address| *address > REMOVED)
    }
}

impl Drop for Index {
    fn drop(&mut self) {
        // SAFETY: `&mut self` proves that nobody is in the root or its tables, and what was retired is not among them.
        unsafe {
            let root = Box::from_raw(self.root.load(Ordering::Relaxed));
            for table in &root.tables {
                drop(Box::from_raw(table.load(Ordering::Relaxed)));
            }
        }
    }
}
