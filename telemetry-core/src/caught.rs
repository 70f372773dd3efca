//! Panics of what users wrote: caught, read, and dropped with care.

use std::any::Any;
use std::panic::{AssertUnwindSafe, catch_unwind};

/// What a panic was made with.
pub(crate) type Payload = Box<dyn Any + Send>;

/// Runs what users wrote; the message if it panics.
pub(crate) fn guarded<R>(run: impl FnOnce() -> R) -> Result<R, String> {
    // Unwind safe: what a panic leaves half done is the user's own, or thrown away by the caller.
    catch_unwind(AssertUnwindSafe(run)).map_err(|payload| {
        let message = message(&*payload);
        discard_payload(payload);
        message
    })
}

/// The text that a panic was made with.
pub(crate) fn message(payload: &(dyn Any + Send)) -> String {
    if let Some(text) = payload.downcast_ref::<&'static str>() {
        (*text).to_owned()
    } else if let Some(text) = payload.downcast_ref::<String>() {
        text.clone()
    } else {
        "it panicked with a value that is not text".to_owned()
    }
}

/// Drops what a panic was made with; that may panic in its turn.
pub(crate) fn discard_payload(payload: Payload) {
    if let Err(again) = catch_unwind(AssertUnwindSafe(|| drop(payload))) {
        // Not dropped: it could go on so for ever.
        std::mem::forget(again);
    }
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;

    #[test]
    fn the_message_of_a_panic_is_its_text() {
        assert_eq!(message(&"text"), "text");
        assert_eq!(message(&String::from("owned")), "owned");
        assert_eq!(message(&7), "it panicked with a value that is not text");
    }

    #[test]
    fn a_payload_that_panics_when_it_is_dropped_is_left_alone() {
        struct Bomb;
        impl Drop for Bomb {
            fn drop(&mut self) {
                std::panic::panic_any("dropped");
            }
        }
        let caught = guarded(|| std::panic::panic_any(Bomb));
        assert_eq!(caught, Err::<(), _>("it panicked with a value that is not text".to_owned()));
    }
}
