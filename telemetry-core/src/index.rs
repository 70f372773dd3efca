//! The lookup table of a projection: from the hash of a series' key to its row.
//!
//! Open addressing in groups of four slots, which lie in one cache line: a row is in the first group from its home on that
//! had room for it. A slot is one word, the row's address and eighteen bits of the hash, so that most wrong rows are passed
//! over without being touched. Readers take no lock. Writers are serialised by the caller; a slot is stored with release
//! after its row is complete, so whoever finds a row finds all of it.
//!
//! ```text
//! | tag: 18 | address / 4: 46 |     home = low bits of the tag, so that a table grows without reading a row
//! ```
//!
//! A table that fills up is replaced by one of twice the size and kept until no reader can be in it. Beyond
//! [`SPLIT`] rows the index has many small tables instead of one, each growing by itself, so that no insertion ever
//! pays for moving more than a few thousand slots.
//!
//! Model: `loom_tests`.

#[cfg(all(test, loom))]
mod loom_tests;

use std::ptr;

use crate::sync::{AtomicPtr, AtomicU64, Ordering};

const EMPTY: u64 = 0;
// No row has this address: rows are aligned.
const REMOVED: u64 = 1;
const TAG_BITS: u32 = 18;
const TAG_SHIFT: u32 = u64::BITS - TAG_BITS;
/// Rows are aligned, so these bits of an address are zero, and are not kept.
const ALIGNMENT_BITS: u32 = 2;
const PLACE: u64 = (1 << TAG_SHIFT) - 1;

/// Slots of a group.
const GROUP: usize = if cfg!(loom) { 2 } else { 4 };
const FIRST_SLOTS: usize = if cfg!(loom) { 2 } else { 8 };
/// Up to so many slots, the first table has three in eight of them filled at most, so that hardly a row is not in its home.
const SPARSE_SLOTS: usize = if cfg!(loom) { 0 } else { 1024 };
/// How many rows one table may hold before the index is split.
const SPLIT: usize = if cfg!(loom) { 2 } else { 4096 };
/// The logarithm of how many tables there are after the split.
const TABLES_BITS: u32 = if cfg!(loom) { 1 } else { 8 };
const TABLES: usize = 1 << TABLES_BITS;

/// See the head of this module.
///
/// What readers go through holds nothing but what they need: from here it is one load to a slot, or two after the split.
#[derive(Debug)]
pub(crate) struct Index {
    // Where the groups of the only table are, see `Table::place`; or, with `SPLIT_MARK` added to it, the `Ways` of the root.
    entry: AtomicPtr<Group>,
    // Only the writer uses it.
    // Invariant: a root that came from a box and is freed by `Retired` or by `drop`, once.
    root: AtomicPtr<Root>,
}

/// What only the writer uses.
#[derive(Debug)]
struct Root {
    // Invariant: each points to a table that came from a box and is freed by `Retired` or by `drop`, once.
    tables: Box<[AtomicPtr<Table>]>,
    // Only where there are `TABLES`.
    ways: Option<Box<Ways>>,
}

/// Where the groups of each table are.
#[derive(Debug)]
#[repr(align(32))]
struct Ways([AtomicPtr<Group>; TABLES]);

/// The bits of an address that are free, since groups and ways are aligned.
const FREE_BITS: usize = align_of::<Group>() - 1;
/// In these bits: that the index is split. No table has so many groups that it would stand for their number.
const SPLIT_MARK: usize = FREE_BITS;
const _: () = assert!(align_of::<Group>() == 32 && align_of::<Ways>() >= 32);

#[derive(Debug)]
struct Table {
    // Slots that are not empty; only the writer uses it.
    used: AtomicU64,
    // How many may be; at least one less than there are.
    most: usize,
    // Invariant: the length is a power of two, and at least one slot is empty.
    groups: Box<[Group]>,
}

#[derive(Debug)]
#[repr(align(32))]
struct Group([AtomicU64; GROUP]);

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
    fn new(slots: usize, most: usize) -> Self {
        let group = || Group(std::array::from_fn(|_| AtomicU64::new(EMPTY)));
        Self { used: AtomicU64::new(0), most, groups: (0..slots / GROUP).map(|_| group()).collect() }
    }

    /// One that is filled up to seven in eight.
    fn dense(slots: usize) -> Self {
        Self::new(slots, slots * 7 / 8)
    }

    /// For so many rows and some more; `alone` if the index has no other.
    fn for_rows(rows: usize, alone: bool) -> Self {
        let sparse = ((rows + 1) * 4).next_power_of_two().max(FIRST_SLOTS);
        if alone && sparse <= SPARSE_SLOTS {
            return Self::new(sparse, sparse * 3 / 8);
        }
        // Half full at most; the same size where removals had filled it.
        Self::dense(((rows + 1) * 2).next_power_of_two().max(FIRST_SLOTS))
    }

    fn boxed(self) -> *mut Self {
        Box::into_raw(Box::new(self))
    }

    /// Where its groups are, and in the free bits the logarithm of how many.
    fn place(&self) -> *mut Group {
        let first = self.groups.as_ptr().cast_mut();
        first.map_addr(|address| address | self.groups.len().trailing_zeros() as usize)
    }

    fn size(&self) -> usize {
        self.groups.len() * GROUP
    }

    fn used(&self) -> usize {
        // Relaxed: only the writer is here.
        self.used.load(Ordering::Relaxed) as usize
    }

    fn bytes(&self) -> usize {
        size_of_val(&*self.groups) + size_of::<Self>()
    }

    /// Whether one more slot may be taken.
    fn has_room(&self) -> bool {
        self.used() < self.most
    }

    /// Takes an empty slot; the caller is the writer, has seen that there is room, and that the row is not there.
    fn insert(&self, hash: u64, address: u64) {
        // Relaxed, thrice: only the writer stores, and only it uses the number.
        let is_empty = |slot: &&AtomicU64| slot.load(Ordering::Relaxed) == EMPTY;
        let slot = way(&self.groups, hash)
            .flat_map(|group| &group.0)
            .find(is_empty)
            .expect("the caller has seen that there is room");
        self.used.store(self.used() as u64 + 1, Ordering::Relaxed);
        // Release: pairs with the acquire in `likely` and `search`; the row is complete by now, and without this a reader
        // could find it half written.
        slot.store(pack(hash, address), Ordering::Release);
    }

    /// What the slots hold, for the writer: of each row as many bits of its hash as there are, and its address.
    fn rows(&self) -> impl Iterator<Item = (u64, u64)> {
        let slots = self.groups.iter().flat_map(|group| &group.0);
        // Relaxed: only the writer stores.
        let words = slots.map(|slot| slot.load(Ordering::Relaxed));
        words.filter(|word| word & PLACE > REMOVED).map(|word| (word >> TAG_SHIFT, (word & PLACE) << ALIGNMENT_BITS))
    }
}

#[inline(always)]
fn home(groups: &[Group], hash: u64) -> usize {
    hash as usize & (groups.len() - 1)
}

/// The groups in which a row may be, the likeliest first.
#[inline]
fn way(groups: &[Group], hash: u64) -> impl Iterator<Item = &Group> {
    let home = home(groups, hash);
    (0..groups.len()).map(move |step| &groups[(home + step) & (groups.len() - 1)])
}

#[inline(always)]
const fn pack(hash: u64, address: u64) -> u64 {
    hash << TAG_SHIFT | address >> ALIGNMENT_BITS
}

impl Index {
    pub(crate) fn new() -> Self {
        let index = Self { entry: AtomicPtr::new(ptr::null_mut()), root: AtomicPtr::new(ptr::null_mut()) };
        index.publish(Root::new(vec![Table::for_rows(0, true)]));
        index
    }

    /// Makes a root the one in use.
    fn publish(&self, root: Root) -> &Root {
        let root = Box::into_raw(Box::new(root));
        // Relaxed: only the writer uses it.
        self.root.store(root, Ordering::Relaxed);
        // SAFETY: it is that of this index from now on, which frees it when no reference is left.
        let root = unsafe { &*root };
        self.publish_entry(root);
        root
    }

    fn publish_entry(&self, root: &Root) {
        let entry = match &root.ways {
            Some(ways) => ptr::from_ref(&**ways).cast_mut().cast::<Group>().map_addr(|address| address | SPLIT_MARK),
            None => root.table(0).place(),
        };
        // Release: pairs with the acquire in `groups`.
        self.entry.store(entry, Ordering::Release);
    }

    /// The groups of the table that has this hash.
    ///
    /// The caller is in a section, or is the writer.
    #[inline(always)]
    fn groups(&self, hash: u64) -> &[Group] {
        // Acquire: pairs with the release in `publish_entry`, so that the slots moved into the table are seen, or the ways.
        let entry = self.entry.load(Ordering::Acquire);
        let place = if entry.addr() & FREE_BITS == SPLIT_MARK {
            let ways = entry.map_addr(|address| address & !FREE_BITS).cast::<Ways>();
            // SAFETY: `publish_entry` has marked the root's ways so; the caller's section keeps the root from being freed, or
            // it is the writer.
            let ways = unsafe { &*ways };
            // Acquire: pairs with the release in `Root::set`, so that the slots moved into the table are seen.
            ways.0[number(hash)].load(Ordering::Acquire)
        } else {
            entry
        };
        let (first, bits) = (place.map_addr(|address| address & !FREE_BITS), place.addr() & FREE_BITS);
        // SAFETY: by `Table::place`, and as above.
        unsafe { std::slice::from_raw_parts(first, 1 << bits) }
    }

    /// The root, for the writer.
    fn root(&self) -> &Root {
        // SAFETY: by the invariant of `root`; only the writer, who asks, replaces it. Relaxed: as in `publish`.
        unsafe { &*self.root.load(Ordering::Relaxed) }
    }

    /// The row that most likely has this hash, if any has; for the caller to look at, who searches if it is another.
    ///
    /// The caller is in a section, or is the writer.
    #[inline(always)]
    pub(crate) fn likely(&self, hash: u64) -> Option<u64> {
        let groups = self.groups(hash);
        // SAFETY: the length is a power of two, and the home is below it.
        let group = unsafe { groups.get_unchecked(home(groups, hash)) };
        let tag = pack(hash, 0);
        // Which of the slots it is nobody can predict, so it is picked without a branch: where the tag is that of the hash
        // it leaves nothing, and so the least number; two by two, so that no choice waits for all before. Acquire: pairs with
        // the release in `insert`, so that the row is seen whole.
        let mut rest = group.0.each_ref().map(|slot| slot.load(Ordering::Acquire) ^ tag);
        let mut length = GROUP;
        while length > 1 {
            length /= 2;
            for at in 0..length {
                rest[at] = rest[at].min(rest[at + length]);
            }
        }
        let least = rest[0];
        (least > REMOVED && least <= PLACE).then_some(least << ALIGNMENT_BITS)
    }

    /// The row with this hash that is wanted.
    ///
    /// The caller is in a section, or is the writer.
    #[inline]
    pub(crate) fn find(&self, hash: u64, is_wanted: impl Fn(u64) -> bool) -> Option<u64> {
        self.likely(hash).filter(|address| is_wanted(*address)).or_else(|| self.search(hash, is_wanted))
    }

    /// The same where it is not the likely one.
    #[cold]
    #[inline(never)]
    pub(crate) fn search(&self, hash: u64, is_wanted: impl Fn(u64) -> bool) -> Option<u64> {
        let tag = pack(hash, 0);
        for group in way(self.groups(hash), hash) {
            let mut has_empty = false;
            for slot in &group.0 {
                // Acquire: as in `likely`.
                let word = slot.load(Ordering::Acquire);
                let place = word ^ tag;
                if place > REMOVED && place <= PLACE && is_wanted(place << ALIGNMENT_BITS) {
                    return Some(place << ALIGNMENT_BITS);
                }
                has_empty |= word == EMPTY;
            }
            if has_empty {
                return None;
            }
        }
        None
    }

    /// Adds a row that is complete and not in the index. `hash_of` gives the hash of any row that is in it.
    ///
    /// The caller is the only writer.
    ///
    /// # Panics
    ///
    /// When the address does not fit: no allocator of a supported platform gives such an address to a process.
    pub(crate) fn insert(&self, hash: u64, address: u64, hash_of: impl Fn(u64) -> u64, retired: &mut Retired) {
        let place = address >> ALIGNMENT_BITS;
        assert!(place <= PLACE && place > REMOVED, "a row's address has 48 bits");
        debug_assert_eq!(place << ALIGNMENT_BITS, address, "rows are aligned");
        let mut root = self.root();
        let mut table = root.table(hash);
        if !table.has_room() {
            if root.tables.len() == 1 && table.used() >= SPLIT * 7 / 8 {
                root = self.split(root, table, &hash_of, retired);
                table = root.table(hash);
            }
            if !table.has_room() {
                table = root.grow(hash, table, &hash_of, retired);
                if root.ways.is_none() {
                    self.publish_entry(root);
                }
            }
        }
        table.insert(hash, address);
    }

    /// Takes a row out. The caller is the only writer.
    pub(crate) fn remove(&self, hash: u64, address: u64) {
        // Release: pairs with the acquire in `search`, so that who misses the row sees what was done before. For the wait
        // for readers the reclaimer's fence orders it.
        self.change(hash, address, REMOVED, Ordering::Release);
    }

    /// Puts a complete copy of a row in the row's place. The caller is the only writer.
    pub(crate) fn replace(&self, hash: u64, address: u64, copy: u64) {
        // Release: pairs with the acquire in `likely` and `search`, as in `Table::insert`.
        self.change(hash, address, pack(hash, copy), Ordering::Release);
    }

    fn change(&self, hash: u64, address: u64, into: u64, ordering: Ordering) {
        let from = pack(hash, address);
        for group in way(self.groups(hash), hash) {
            // Relaxed, twice: only the writer stores.
            if let Some(slot) = group.0.iter().find(|slot| slot.load(Ordering::Relaxed) == from) {
                return slot.store(into, ordering);
            }
            if group.0.iter().any(|slot| slot.load(Ordering::Relaxed) == EMPTY) {
                return;
            }
        }
    }

    fn split(&self, root: &Root, table: &Table, hash_of: &impl Fn(u64) -> u64, retired: &mut Retired) -> &Root {
        let slots = (table.size() * 2 / TABLES).max(FIRST_SLOTS);
        let fresh = Root::new((0..TABLES).map(|_| Table::dense(slots)).collect());
        for (_, address) in table.rows() {
            // The number of the table is in bits that no slot has.
            let hash = hash_of(address);
            let mut target = fresh.table(hash);
            if !target.has_room() {
                let mut unseen = Retired::default();
                target = fresh.grow(hash, target, hash_of, &mut unseen);
                // SAFETY: nobody else has the fresh root yet, so nobody is in its tables.
                unsafe { unseen.free() };
            }
            target.insert(hash, address);
        }
        let fresh = self.publish(fresh);
        retired.bytes += table.bytes();
        retired.tables.push(ptr::from_ref(table).cast_mut());
        retired.roots.push(ptr::from_ref(root).cast_mut());
        fresh
    }
}

/// The number of the table that has this hash, after the split.
#[inline(always)]
const fn number(hash: u64) -> usize {
    (hash >> (u64::BITS - TABLES_BITS)) as usize
}

impl Root {
    /// Of one table, or of `TABLES`.
    fn new(tables: Vec<Table>) -> Self {
        let null = |_| AtomicPtr::new(ptr::null_mut());
        let ways = (tables.len() > 1).then(|| Box::new(Ways(std::array::from_fn(null))));
        let root = Self { tables: tables.iter().map(|_| AtomicPtr::new(ptr::null_mut())).collect(), ways };
        for (at, table) in tables.into_iter().enumerate() {
            root.set(at, table);
        }
        root
    }

    fn number(&self, hash: u64) -> usize {
        if self.ways.is_some() { number(hash) } else { 0 }
    }

    /// The table that has this hash, for the writer.
    fn table(&self, hash: u64) -> &Table {
        // SAFETY: by the invariant of `tables`; only the writer, who asks, replaces it. Relaxed: as in `set`.
        unsafe { &*self.tables[self.number(hash)].load(Ordering::Relaxed) }
    }

    /// Makes a table the one with a number.
    fn set(&self, number: usize, table: Table) -> &Table {
        let table = table.boxed();
        // Relaxed: only the writer uses it.
        self.tables[number].store(table, Ordering::Relaxed);
        // SAFETY: by the invariant of `tables`, from now on.
        let table = unsafe { &*table };
        if let Some(ways) = &self.ways {
            // Release: pairs with the acquire in `Index::groups`.
            ways.0[number].store(table.place(), Ordering::Release);
        }
        table
    }

    /// Replaces the table of `hash` by one that has room, for readers too if the index is split; removed slots are left behind.
    fn grow(&self, hash: u64, table: &Table, hash_of: &impl Fn(u64) -> u64, retired: &mut Retired) -> &Table {
        let rows = table.rows().count();
        let fresh = Table::for_rows(rows, self.tables.len() == 1);
        let tag_tells = fresh.groups.len() <= 1 << TAG_BITS;
        for (tag, address) in table.rows() {
            fresh.insert(if tag_tells { tag } else { hash_of(address) }, address);
        }
        let fresh = self.set(self.number(hash), fresh);
        retired.bytes += table.bytes();
        retired.tables.push(ptr::from_ref(table).cast_mut());
        fresh
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

#[cfg(all(test, not(loom)))]
mod tests {
    use std::collections::HashMap;

    use super::*;

    /// Rows whose hashes have much in common, put in, moved and taken out, are found as in a map, also while the table
    /// grows and splits; an address is a number here, and nothing is behind it.
    fn is_a_map(hash_of: impl Fn(u64) -> u64 + Copy, rows: u64) {
        let (index, mut retired, mut expected) = (Index::new(), Retired::default(), HashMap::new());
        let find = |key: u64| index.find(hash_of(key << 2), |address| address == key << 2);
        for key in 2..rows {
            index.insert(hash_of(key << 2), key << 2, hash_of, &mut retired);
            expected.insert(key, ());
            let other = key / 2;
            if key % 3 == 0 && expected.remove(&other).is_some() {
                index.remove(hash_of(other << 2), other << 2);
            }
            assert_eq!(find(key), Some(key << 2));
            assert_eq!(find(other), expected.get(&other).map(|()| other << 2), "{other} after {key}");
        }
        for key in 0..rows + 9 {
            assert_eq!(find(key), expected.get(&key).map(|()| key << 2), "{key} of {rows}");
        }
        // SAFETY: there is no other thread.
        unsafe { retired.free() };
    }

    #[test]
    fn rows_with_like_hashes_are_told_apart() {
        let spread = |address: u64| address.wrapping_mul(0x9E37_79B9_7F4A_7C15);
        is_a_map(spread, 20_000);
        // All in one group, and all with one tag.
        is_a_map(|_| 0, 500);
        is_a_map(|_| u64::MAX, 500);
        // One group, many tags; one tag, which is that of no row, many tables.
        is_a_map(|address| address << 10, 1_000);
        is_a_map(|address| spread(address) & !0xFFFF_FFFF, 9_000);
        // Few tags.
        is_a_map(|address| address & 7, 1_000);
    }

    #[test]
    fn a_row_that_is_replaced_is_found_at_its_new_place() {
        let (index, mut retired) = (Index::new(), Retired::default());
        for key in 2..100 {
            index.insert(key, key << 2, |address| address >> 2, &mut retired);
        }
        index.replace(50, 50 << 2, 1000 << 2);
        assert_eq!(index.find(50, |_| true), Some(1000 << 2));
        assert_eq!(index.find(51, |_| true), Some(51 << 2));
        assert_eq!(index.find(1000, |_| true), None);
        // SAFETY: there is no other thread.
        unsafe { retired.free() };
    }
}
