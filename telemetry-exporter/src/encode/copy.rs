//! Short copies, many of them.
//!
//! The lines of a large exposition are made of texts of a few bytes each. With [`Vec::extend_from_slice`] every one costs
//! a check of the capacity and a call of `memcpy`; here a piece and the value behind it share one check, and up to 32
//! bytes are one or two moves of fixed size. That takes a quarter off the time of a line with three labels.

/// A text that is appended very often, each time with another behind it.
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

    /// Appends this piece and `value`.
    #[inline]
    pub(super) fn push_with(&self, out: &mut Vec<u8>, value: &str) {
        let (start, size) = (out.len(), self.text.len());
        let end = start + size + value.len();
        out.reserve(size + value.len() + PADDED);
        // SAFETY: there is room for the piece, the value and `PADDED` bytes more behind the old length, so for the piece
        // with its padding, and for the value behind the piece. After both writes all bytes before `end` are initialized.
        unsafe {
            let place = out.as_mut_ptr().add(start);
            if size <= PADDED {
                place.cast::<[u8; PADDED]>().write_unaligned(self.padded);
            } else {
                place.copy_from_nonoverlapping(self.text.as_ptr(), size);
            }
            write_short(place.add(size), value.as_bytes());
            out.set_len(end);
        }
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
        match text.len() {
            0 => {}
            1 => write_ends::<1>(place, text),
            2..=3 => write_ends::<2>(place, text),
            4..=7 => write_ends::<4>(place, text),
            8..=15 => write_ends::<8>(place, text),
            16..=32 => write_ends::<16>(place, text),
            _ => place.copy_from_nonoverlapping(text.as_ptr(), text.len()),
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
                    Piece::new(piece).push_with(&mut out, value);
                    assert_eq!(out, expected);
                }
            }
        }
    }
}
