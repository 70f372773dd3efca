//! Everything works where the caller has shadowed whatever code usually relies on, and draws no lint.
#![deny(warnings, missing_docs, unreachable_pub, unsafe_code, clippy::all, clippy::pedantic)]

use std::sync::{Arc, Mutex};
use std::time::Duration;

use telemetry_core::{Dispatch, Event};

/// Nothing is in scope, not even `Option`, and primitive types and crates are something else.
#[allow(non_camel_case_types, dead_code, unused_macros, clippy::pedantic)]
mod shadow {
    #![no_implicit_prelude]

    use ::telemetry_core::{Event, TagValue, emit, instrument, span};

    struct Option;
    struct Result;
    struct Some;
    struct None;
    struct Ok;
    struct Err;
    struct Box;
    struct String;
    struct FnOnce;
    struct Iterator;
    struct IntoIterator;
    struct Callsite;
    struct Metadata;
    struct bool;
    struct str;
    struct usize;
    mod core {}
    mod std {}
    mod telemetry_core {}
    mod inventory {}
    macro_rules! stringify {
        ($($any:tt)*) => {
            ::core::compile_error!("the caller's")
        };
    }
    macro_rules! concat {
        ($($any:tt)*) => {
            ::core::compile_error!("the caller's")
        };
    }
    macro_rules! module_path {
        ($($any:tt)*) => {
            ::core::compile_error!("the caller's")
        };
    }
    macro_rules! panic {
        ($($any:tt)*) => {
            ::core::compile_error!("the caller's")
        };
    }
    fn drop() {}

    #[derive(Event)]
    #[event(name = "shadow.typed")]
    struct Typed<'a, T>
    where
        T: ::core::marker::Copy,
    {
        #[measurement(unit = "byte")]
        size: u64,
        #[measurement]
        duration: ::core::time::Duration,
        #[tag]
        route: &'a ::core::primitive::str,
        #[tag]
        kind: Kind,
        #[tag]
        any: T,
    }

    #[derive(TagValue)]
    enum Kind {
        Some,
        None,
        Option,
    }

    #[instrument("shadow.instrumented", tags(a, b = a))]
    fn instrumented(a: u8) -> u8 {
        a
    }

    #[instrument("shadow.asynchronous", tags(a))]
    async fn asynchronous(a: u8) -> ::core::result::Result<u8, ()> {
        ::core::result::Result::Ok(a)
    }

    pub(super) fn emit_all() {
        let value = 3u8;
        emit!("shadow.plain", { value, size: 4u8 => Byte }, { value, other: "x" });
        let typed =
            || Typed { size: 3, duration: ::core::time::Duration::ZERO, route: "/", kind: Kind::None, any: 7u8 };
        typed().emit();
        Typed::emit_with(typed);
        span!("shadow.span", { value }, stop: { rows => Second }, { done }).run_with(|stop| {
            stop.rows.set(1u8);
            stop.done.set(true);
        });
        span!("shadow.span").run(|| {});
        instrumented(value);
        let _future = asynchronous(value);
    }
}

/// A crate that denies everything can use the macros, and its documented types need no more documentation.
pub mod denied {
    use std::time::Duration;

    use telemetry_core::{Event, TagValue, instrument};

    /// A request was answered.
    #[derive(Debug, Event)]
    #[event(name = "denied.typed")]
    pub struct Public<'a> {
        /// How long it took.
        #[measurement]
        pub duration: Duration,
        /// Where to.
        #[tag]
        pub route: &'a str,
    }

    /// A level.
    #[derive(Debug, TagValue)]
    pub enum Level {
        /// High.
        High,
        /// Low.
        Low,
    }

    /// Charges.
    ///
    /// # Errors
    ///
    /// None.
    #[instrument("denied.sync", tags(level))]
    pub fn sync(level: Level) -> Result<(), String> {
        match level {
            Level::High | Level::Low => Ok(()),
        }
    }

    /// Charges later.
    ///
    /// # Errors
    ///
    /// None.
    #[instrument("denied.async")]
    pub async fn later() -> Result<(), String> {
        std::future::ready(()).await;
        Ok(())
    }
}

#[test]
fn nothing_of_the_caller_is_relied_on() {
    let (dispatch, seen) = (Dispatch::new(), Arc::<Mutex<Vec<&str>>>::default());
    let kept = Arc::clone(&seen);
    dispatch.attach("seen", "*", move |event: &Event<'_>| kept.lock().unwrap().push(event.name())).unwrap();
    let _scope = dispatch.enter();

    shadow::emit_all();
    denied::sync(denied::Level::High).unwrap();
    drop(denied::later());
    denied::Public { duration: Duration::ZERO, route: "/" }.emit();

    let expected = [
        "shadow.plain",
        "shadow.typed",
        "shadow.typed",
        "shadow.span.start",
        "shadow.span.stop",
        "shadow.span.start",
        "shadow.span.stop",
        "shadow.instrumented.start",
        "shadow.instrumented.stop",
        "denied.sync.start",
        "denied.sync.stop",
        "denied.typed",
    ];
    assert_eq!(*seen.lock().unwrap(), expected);
}
