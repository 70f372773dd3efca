//! A child of `fork` has none of the threads but the one that forked. Those that were in a section never leave it, and who
//! reclaims memory would wait for them again and again: so their sections are ended when the child begins.

use std::ptr;

use super::{SHARD, space};

unsafe extern "C" {
    // POSIX; the crate `libc` has it for other systems only.
    fn pthread_atfork(
        prepare: Option<unsafe extern "C" fn()>,
        parent: Option<unsafe extern "C" fn()>,
        child: Option<unsafe extern "C" fn()>,
    ) -> libc::c_int;
}

/// From now on, children of this process begin without sections of others.
pub(super) fn watch() {
    // Without memory for that the child is slower, where a series expires, and no worse.
    // SAFETY: `in_child` is there for ever, or as long as the library that it is a part of.
    unsafe { pthread_atfork(None, None, Some(in_child)) };
}

/// Takes no lock, which one of the others may have held, and allocates nothing.
unsafe extern "C" fn in_child() {
    let own = SHARD.try_with(std::cell::Cell::get).unwrap_or(ptr::null());
    // The thread that forked may be in a section itself: a source, or a visitor, may fork.
    space().shards().filter(|shard| !ptr::eq(*shard, own)).for_each(|shard| shard.section.end());
}
