//! Rows: what is kept of a series beside its cells, one after the other in chunks of memory.
//!
//! ```text
//! | first cell: 4 | created: 4 | key's length and flags: 2 | (of a long key: 255, length: 4) | key ... | to a multiple of 4 |
//! ```
//!
//! Of a long key the first byte is one that no short value begins with, so that who compares short values asks for nothing else.
//!
//! A row is written once, before it is published, and read without locks after; only its flags change.

use std::alloc::{Layout, alloc, dealloc, handle_alloc_error};
use std::ptr::NonNull;
use std::sync::Arc;
// Of `std` also under loom, whose atomics are objects and cannot stand within raw memory. The models of `series` run over
// them; that a row is seen whole is the release and acquire of `index`, modelled there.
use std::sync::atomic::{AtomicU16, AtomicUsize, Ordering};

use crate::key::{self, Texts};

const FLAG_BITS: u32 = 4;
/// A key's length that is written behind the header.
const LONG: u16 = (1 << (16 - FLAG_BITS)) - 1;
const KEY_OFFSET: usize = 10;
/// The byte and the length before a long key.
const LONG_OFFSET: usize = 5;
const ALIGNMENT: usize = 4;

/// Some label value has a backslash, a quote or a line feed in it.
pub(crate) const UNCLEAN: u16 = 1;
/// Idle for a while: not shown.
pub(crate) const HIDDEN: u16 = 2;
/// Idle for long: its cells are another's.
pub(crate) const DEAD: u16 = 4;
/// The series that takes what is beyond the limit; its key is empty.
pub(crate) const OVERFLOW: u16 = 8;

#[repr(C)]
struct Header {
    first_cell: u32,
    created: u32,
    word: AtomicU16,
}

/// One row, by its address.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(crate) struct Row(NonNull<u8>);

// SAFETY: a row is immutable but for its flags, which are atomic; who keeps one keeps its chunk.
unsafe impl Send for Row {}
// SAFETY: as above.
unsafe impl Sync for Row {}

impl Row {
    /// The row at an address that [`Row::address`] gave.
    ///
    /// # Safety
    ///
    /// The row's chunk is alive while the result is used.
    #[inline]
    pub(crate) unsafe fn at(address: u64) -> Self {
        // SAFETY: `address` gave it, so it is not null.
        Self(unsafe { NonNull::new_unchecked(std::ptr::with_exposed_provenance_mut(address as usize)) })
    }

    #[inline]
    pub(crate) fn address(self) -> u64 {
        self.0.as_ptr().expose_provenance() as u64
    }

    #[inline]
    fn header(&self) -> &Header {
        // SAFETY: `Chunk::append` wrote a header here before it gave out the row, and it is aligned.
        unsafe { self.0.cast().as_ref() }
    }

    /// The first cell of the row's range.
    #[inline]
    pub(crate) fn first_cell(self) -> u32 {
        self.header().first_cell
    }

    /// When the row was made, in tenths of a second on the registry's clock.
    #[inline]
    pub(crate) fn created(self) -> u32 {
        self.header().created
    }

    #[inline]
    pub(crate) fn flags(self) -> u16 {
        // Relaxed: a flag publishes nothing; what a reclaimed row's cells become is kept from readers by sections.
        self.header().word.load(Ordering::Relaxed) & ((1 << FLAG_BITS) - 1)
    }

    pub(crate) fn set(self, flag: u16, on: bool) {
        // Relaxed: as in `flags`.
        if on {
            self.header().word.fetch_or(flag, Ordering::Relaxed);
        } else {
            self.header().word.fetch_and(!flag, Ordering::Relaxed);
        }
    }

    /// Whether these texts are the key's, if all of them are short; see [`Row::key`] for others.
    ///
    /// # Safety
    ///
    /// The row's chunk is alive, and its key has as many values.
    #[inline(always)]
    pub(crate) unsafe fn has_short(self, texts: &impl Texts) -> bool {
        // SAFETY: a short key begins there, and a long one has a byte there that no short value begins with.
        unsafe { texts.have_short(self.0.add(KEY_OFFSET).as_ptr()) }
    }

    /// The key.
    ///
    /// # Safety
    ///
    /// The row's chunk is alive for `'a`.
    #[inline]
    pub(crate) unsafe fn key<'a>(self) -> &'a [u8] {
        // Relaxed: the length never changes after the row is published.
        let length = self.header().word.load(Ordering::Relaxed) >> FLAG_BITS;
        // SAFETY: `Chunk::append` wrote the key, and for a long one its length, within the chunk.
        unsafe {
            let behind = self.0.add(KEY_OFFSET);
            if length < LONG {
                std::slice::from_raw_parts(behind.as_ptr(), usize::from(length))
            } else {
                let length = behind.add(1).cast::<u32>().read_unaligned();
                std::slice::from_raw_parts(behind.add(LONG_OFFSET).as_ptr(), length as usize)
            }
        }
    }
}

fn size_of_row(key: usize) -> usize {
    let head = if key < LONG as usize { KEY_OFFSET } else { KEY_OFFSET + LONG_OFFSET };
    (head + key).next_multiple_of(ALIGNMENT)
}

/// A piece of memory that rows are appended to.
#[derive(Debug)]
pub(crate) struct Chunk {
    memory: NonNull<u8>,
    size: usize,
    // Invariant: `memory[..used]` holds whole rows; grows under the projection's lock only.
    used: AtomicUsize,
}

// SAFETY: what lies below `used` is only read, but for atomic flags; above it, only the holder of the lock writes.
unsafe impl Send for Chunk {}
// SAFETY: as above.
unsafe impl Sync for Chunk {}

impl Chunk {
    /// A chunk for at least one row with a key of this length.
    pub(crate) fn new(size: usize, key: usize) -> Arc<Self> {
        let size = size.max(size_of_row(key));
        let layout = Self::layout(size);
        // SAFETY: the size is not zero.
        let memory = NonNull::new(unsafe { alloc(layout) }).unwrap_or_else(|| handle_alloc_error(layout));
        Arc::new(Self { memory, size, used: AtomicUsize::new(0) })
    }

    fn layout(size: usize) -> Layout {
        Layout::from_size_align(size, ALIGNMENT).expect("a chunk is smaller than the address space")
    }

    pub(crate) fn size(&self) -> usize {
        self.size
    }

    pub(crate) fn fits(&self, key: usize) -> bool {
        // Relaxed: the caller holds the lock.
        self.size - self.used.load(Ordering::Relaxed) >= size_of_row(key)
    }

    /// Appends a row; the caller holds the projection's lock and has seen that it fits.
    pub(crate) fn append(&self, first_cell: u32, created: u32, flags: u16, key: &[u8]) -> Row {
        assert!(self.fits(key.len()));
        // Relaxed: only written under the lock.
        let used = self.used.load(Ordering::Relaxed);
        let length = u16::try_from(key.len()).unwrap_or(LONG).min(LONG);
        // SAFETY: the row fits, nothing above `used` is seen by anybody, and `used` is a multiple of the alignment.
        let row = unsafe {
            let start = self.memory.add(used);
            let word = AtomicU16::new(length << FLAG_BITS | flags);
            start.cast().write(Header { first_cell, created, word });
            let mut behind = start.add(KEY_OFFSET);
            if length == LONG {
                let length = u32::try_from(key.len()).expect("a key is shorter than 4 GiB");
                behind.write(key::LONG);
                behind.add(1).cast::<u32>().write_unaligned(length);
                behind = behind.add(LONG_OFFSET);
            }
            behind.copy_from_nonoverlapping(NonNull::from(key).cast(), key.len());
            Row(start)
        };
        // Release: pairs with the acquire in `rows`, so that a walk sees whole rows.
        self.used.store(used + size_of_row(key.len()), Ordering::Release);
        row
    }

    /// How many bytes of rows there are; `row_at` reads below it.
    #[inline]
    pub(crate) fn used(&self) -> usize {
        // Acquire: pairs with the release in `append`.
        self.used.load(Ordering::Acquire)
    }

    /// The row at an offset, and the offset of the next.
    ///
    /// # Safety
    ///
    /// The offset is zero or one that this function gave, and below [`Chunk::used`].
    #[inline]
    pub(crate) unsafe fn row_at(&self, offset: usize) -> (Row, usize) {
        // SAFETY: the caller's promise, and the invariant of `used`.
        unsafe {
            let row = Row(self.memory.add(offset));
            (row, offset + size_of_row(row.key().len()))
        }
    }

    /// All rows that are complete by now.
    pub(crate) fn rows(&self) -> impl Iterator<Item = Row> + '_ {
        let used = self.used();
        let mut offset = 0;
        std::iter::from_fn(move || {
            (offset < used).then(|| {
                // SAFETY: the offset starts at zero, is stepped by `row_at`, and is below `used`.
                let (row, next) = unsafe { self.row_at(offset) };
                offset = next;
                row
            })
        })
    }
}

impl Drop for Chunk {
    fn drop(&mut self) {
        // SAFETY: `new` allocated it with this layout; rows need no drop.
        unsafe { dealloc(self.memory.as_ptr(), Self::layout(self.size)) }
    }
}
