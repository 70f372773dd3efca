//! Series lookup.

/// How many bytes at the head of `key` hold the lengths of `values` texts.
#[inline]
pub(crate) fn lengths_size(key: &[u8], values: usize) -> usize {
    let mut rest = key;
    for _ in 0..values {
        if read_length(&mut rest).is_none() {
            break;
        }
    }
    key.len() - rest.len()
}

/// Takes one length off the head of `bytes`: a byte below 255, or 255 and four bytes more, little-endian.
#[inline]
pub(crate) fn read_length(bytes: &mut &[u8]) -> Option<usize> {
    let (&first, rest) = bytes.split_first()?;
    if first < u8::MAX {
        *bytes = rest;
        return Some(usize::from(first));
    }
    let (long, rest) = rest.split_first_chunk::<4>()?;
    *bytes = rest;
    Some(u32::from_le_bytes(*long) as usize)
}
