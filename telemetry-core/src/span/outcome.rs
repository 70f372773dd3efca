//! Whether the body of a span succeeded.

use std::convert::Infallible;
use std::ops::ControlFlow;

/// What the body of a span returns: it says whether it is an error.
///
/// `Err` is; an `Option` that is `None` is not, as absence is an answer. A body that never returns, so that it has no
/// type to ask, is judged in place: `run_as(body, |_| false)`. A type of yours says for itself:
///
/// ```
/// use telemetry_core::span::Outcome;
///
/// struct Reply { status: u16 }
///
/// impl Outcome for Reply {
///     fn is_error(&self) -> bool {
///         self.status >= 500
///     }
/// }
///
/// let reply = telemetry_core::span!("shop.call").run(|| Reply { status: 503 });
/// assert!(reply.is_error());
/// ```
#[diagnostic::on_unimplemented(
    message = "whether `{Self}` is an error is not known to the span",
    label = "neither a `Result` nor another `Outcome`",
    note = "return a `Result`, implement `telemetry_core::span::Outcome` for the type, or judge it with `run_as` (for a future, `instrument_as`)"
)]
pub trait Outcome {
    /// Whether the body failed.
    fn is_error(&self) -> bool {
        false
    }
}

#[diagnostic::do_not_recommend]
impl<T, E> Outcome for Result<T, E> {
    fn is_error(&self) -> bool {
        self.is_err()
    }
}

macro_rules! as_what_it_points_at {
    ($($pointer:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl<O: Outcome + ?Sized> Outcome for $pointer {
            fn is_error(&self) -> bool {
                (**self).is_error()
            }
        }
    )*};
}
as_what_it_points_at!(&O &mut O Box<O>);

#[diagnostic::do_not_recommend]
impl<T> Outcome for Option<T> {}
#[diagnostic::do_not_recommend]
impl<B, C> Outcome for ControlFlow<B, C> {}
#[diagnostic::do_not_recommend]
impl<T> Outcome for Vec<T> {}
#[diagnostic::do_not_recommend]
impl<T> Outcome for [T] {}
#[diagnostic::do_not_recommend]
impl<T, const N: usize> Outcome for [T; N] {}

macro_rules! never_an_error {
    ($($value:ty)*) => {$(
        #[diagnostic::do_not_recommend]
        impl Outcome for $value {}
    )*};
}
never_an_error! {
    () bool char str String Infallible u8 u16 u32 u64 u128 usize i8 i16 i32 i64 i128 isize f32 f64
    std::time::Duration std::time::Instant
}

macro_rules! tuples {
    ($(($($part:ident)+))*) => {$(
        #[diagnostic::do_not_recommend]
        impl<$($part),+> Outcome for ($($part,)+) {}
    )*};
}
tuples!((A)(A B)(A B C)(A B C D));

/// Judges a value for `#[instrument]`, whose functions return whatever they like: by [`Outcome`] where the type has
/// one, else as no error. The compiler finds the method for `Judge` before the one for `&Judge`.
#[derive(Debug)]
pub struct Judge<'v, T>(pub &'v T);

/// The first choice: the type says.
pub trait JudgedByOutcome {
    /// Whether the value is an error.
    fn is_error(&self) -> bool;
}

/// The second choice: any type.
pub trait JudgedOk {
    /// Whether the value is an error: it can't say, so no.
    fn is_error(&self) -> bool;
}

impl<T: Outcome> JudgedByOutcome for Judge<'_, T> {
    fn is_error(&self) -> bool {
        self.0.is_error()
    }
}

impl<T> JudgedOk for &Judge<'_, T> {
    fn is_error(&self) -> bool {
        false
    }
}
