//! Short copies, many of them.
//!
//! The lines of a large exposition are made of texts of a few bytes each. With [`Vec::extend_from_slice`] every one costs
//! a check of the capacity and a call of `memcpy`; here the capacity is looked at once for a line or more, and up to 32
//! bytes are one or two moves of fixed size.

/// A text that is appended very often.
#[derive(Debug)]
pub(super) struct Piece {
    text: Box<[u8]>,
    // Starts with `text` if that fits, so that a copy of fixed size may stand for one of any size.
    padded: [u8; PADDED],
}

const PADDED: usize = 32;

impl Piece {
    pub(super) fn new(text: &str) -> Self {
        let mut padded = [0; PADDED];
        for (place, byte) in padded.iter_mut().zip(text.bytes()) {
            *place = byte;
        }
        Self { text: text.as_bytes().into(), padded }
    }

    pub(super) fn text(&self) -> &[u8] {
        &self.text
    }
}

/// Room at the end of a text; what is written there is appended by [`Room::keep`], and otherwise is nothing.
#[derive(Debug)]
pub(crate) struct Room<'a> {
    out: &'a mut Vec<u8>,
    // Invariant: `out.len() <= at <= end`, `out` has `PADDED` bytes more than `end`, and all before `at` are initialized.
    at: usize,
    end: usize,
}

impl<'a> Room<'a> {
    /// Room for so many bytes behind a text.
    #[inline]
    pub(crate) fn behind(out: &'a mut Vec<u8>, size: usize) -> Self {
        out.reserve(size + PADDED);
        let at = out.len();
        Self { out, at, end: at + size }
    }

    /// Where so many bytes go.
    ///
    /// # Panics
    ///
    /// When there is no room for them.
    #[inline(always)]
    fn take(&mut self, size: usize) -> *mut u8 {
        assert!(size <= self.end - self.at, "what is written was counted before");
        // SAFETY: by the invariant, it lies within what `out` has.
        let place = unsafe { self.out.as_mut_ptr().add(self.at) };
        self.at += size;
        place
    }

    /// Writes a text that is likely short.
    #[inline(always)]
    pub(crate) fn push(&mut self, text: &[u8]) {
        let place = self.take(text.len());
        // SAFETY: there is room for the text, which `out`, being borrowed here, is no part of.
        unsafe { write_short(place, text) };
    }

    #[inline(always)]
    pub(super) fn push_piece(&mut self, piece: &Piece) {
        let size = piece.text.len();
        let place = self.take(size);
        // SAFETY: there is room for the piece, and by the invariant for `PADDED` bytes from wherever it begins.
        unsafe {
            if size <= PADDED {
                place.cast::<[u8; PADDED]>().write_unaligned(piece.padded);
            } else {
                place.copy_from_nonoverlapping(piece.text.as_ptr(), size);
            }
        }
    }

    /// Appends what was written.
    #[inline(always)]
    pub(crate) fn keep(self) {
        // SAFETY: by the invariant.
        unsafe { self.out.set_len(self.at) };
    }
}

/// Writes a text that is likely short.
///
/// # Safety
///
/// The `text.len()` bytes from `place` on are writable, and no part of `text`.
#[inline]
unsafe fn write_short(place: *mut u8, text: &[u8]) {
    /// Writes `text` as its first and its last `N` bytes, which may overlap. The same is asked as of `write_short`.
    #[inline]
    unsafe fn write_ends<const N: usize>(place: *mut u8, text: &[u8]) {
        let (Some(head), Some(tail)) = (text.first_chunk::<N>(), text.last_chunk::<N>()) else { return };
        // SAFETY: the text has `N` bytes or more, so both places lie within what the caller vouches for.
        unsafe {
            place.cast::<[u8; N]>().write_unaligned(*head);
            place.add(text.len() - N).cast::<[u8; N]>().write_unaligned(*tail);
        }
    }

    // SAFETY: the caller vouches for the place. Each arm writes every byte of a text of the lengths that it is for: two
    // ends of `N` bytes cover up to `2 * N`.
    unsafe {
        let size = text.len();
        if size >= 8 {
            if size < 16 {
                write_ends::<8>(place, text);
            } else if size <= 32 {
                write_ends::<16>(place, text);
            } else {
                place.copy_from_nonoverlapping(text.as_ptr(), size);
            }
        } else if size >= 4 {
            write_ends::<4>(place, text);
        } else if size >= 2 {
            write_ends::<2>(place, text);
        } else if size == 1 {
            place.write(text[0]);
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// Every length of piece and value, with and without room to spare.
    #[test]
    fn a_piece_and_its_value_are_copied_whole() {
        let alphabet = "abcdefghijklmnopqrstuvwxyz0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ-_";
        for piece in 0..=alphabet.len() {
            for value in 0..=alphabet.len() {
                let (piece, value) = (&alphabet[..piece], &alphabet[alphabet.len() - value..]);
                for mut out in [b"start".to_vec(), Vec::with_capacity(4_096)] {
                    let expected = [out.as_slice(), piece.as_bytes(), value.as_bytes()].concat();
                    let mut room = Room::behind(&mut out, piece.len() + value.len());
                    room.push_piece(&Piece::new(piece));
                    room.push(value.as_bytes());
                    room.keep();
                    assert_eq!(out, expected);
                }
            }
        }
    }

    /// What is not kept is nothing.
    #[test]
    fn what_was_written_is_appended_when_it_is_kept() {
        let mut out = b"start".to_vec();
        Room::behind(&mut out, 4).push(b"more");
        assert_eq!(out, b"start");
    }

    #[test]
    #[should_panic(expected = "counted before")]
    fn there_is_no_room_for_more_than_was_asked_for() {
        let mut out = Vec::with_capacity(4_096);
        let mut room = Room::behind(&mut out, 4);
        room.push(b"four");
        room.push(b"!");
    }
}
