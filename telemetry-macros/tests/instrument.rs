//! `#[instrument]` on the functions that there are.

#[path = "../../telemetry-core/tests/seen/mod.rs"]
mod seen;

use std::fmt::{Debug, Display};
use std::future::Future;
use std::pin::pin;
use std::task::{Context, Poll, Waker};

use seen::{Recorder, Seen};
use telemetry_core::{TagValue, emit, instrument};

fn block_on<F: Future>(future: F) -> F::Output {
    let mut future = pin!(future);
    loop {
        if let Poll::Ready(value) = future.as_mut().poll(&mut Context::from_waker(Waker::noop())) {
            return value;
        }
    }
}

/// The tags of each stop and exception while `body` runs.
fn ends(pattern: &str, body: impl FnOnce()) -> Vec<String> {
    let (seen, ()) = Recorder::during(pattern, body);
    seen.iter().filter(|event| !event.name.ends_with(".start")).map(Seen::tags).collect()
}

struct Card {
    amount: u64,
    owner: String,
}

#[instrument("fn.charge", tags(provider, amount = card.amount, r#type = "card",))]
fn charge(provider: &str, card: &Card) -> Result<u64, String> {
    emit!("fn.charge.inside");
    if card.amount == 0 {
        return Err(format!("nothing for {provider}"));
    }
    let cents: u64 = "3".parse().map_err(|_| "no number".to_owned())?;
    Ok(cents + card.amount)
}

/// T17, T18b, T21: the function is the body of the span, and an early return ends it too.
#[test]
fn a_function_is_a_span() {
    let card = |amount| Card { amount, owner: "me".to_owned() };
    let (seen, results) =
        Recorder::during("fn.charge.*", || (charge("acme", &card(0)), charge("acme", &card(4)).map_err(|_| ())));
    assert_eq!(results, (Err("nothing for acme".to_owned()), Ok(7)));
    let tags: Vec<_> = seen.iter().map(|event| (event.name, event.tags())).collect();
    let start = |amount: u8| ("fn.charge.start", format!("provider=acme amount={amount} type=card"));
    let stop = |amount: u8, end| ("fn.charge.stop", format!("provider=acme amount={amount} type=card outcome={end}"));
    let inside = ("fn.charge.inside", String::new());
    assert_eq!(tags, [start(0), inside.clone(), stop(0, "error"), start(4), inside, stop(4, "ok")]);
    assert_eq!(seen[1].span, seen[0].span);
}

/// T18: a function that panics ends in an exception.
#[test]
fn a_panicking_function_is_an_exception() {
    #[instrument("fn.panics")]
    fn panics() -> u8 {
        panic!("late")
    }
    let tags = ends("fn.panics.*", || assert!(std::panic::catch_unwind(panics).is_err()));
    assert_eq!(tags, ["kind=panic message=late"]);
}

#[derive(Default)]
struct Cart {
    items: Vec<String>,
}

trait Shop {
    fn find(&self, name: &str) -> Option<&String>;
    fn open(self: Box<Self>) -> usize;
}

impl Shop for Cart {
    #[instrument("fn.find", tags(name, count = self.items.len()))]
    fn find(&self, name: &str) -> Option<&String> {
        self.items.iter().find(|item| *item == name)
    }

    #[instrument("fn.open")]
    fn open(self: Box<Self>) -> usize {
        self.items.len()
    }
}

impl Cart {
    #[instrument("fn.first")]
    fn first(&mut self) -> &mut String {
        &mut self.items[0]
    }

    #[instrument("fn.first_of", tags(at))]
    fn try_first<'s, E>(&'s mut self, at: usize, missing: E) -> Result<&'s mut String, E>
    where
        E: Debug,
    {
        let Some(item) = self.items.get_mut(at) else { return Err(missing) };
        Ok(item)
    }

    /// Documented, and with attributes of its own.
    #[instrument("fn.into")]
    #[must_use]
    fn into_items(mut self) -> Vec<String> {
        self.items.reverse();
        self.items
    }

    #[instrument("fn.async_method", tags(count = self.items.len()))]
    async fn add(&mut self, item: String) -> Result<&mut Self, String> {
        std::future::ready(()).await;
        if item.is_empty() {
            return Err(item);
        }
        self.items.push(item);
        Ok(self)
    }
}

#[test]
fn methods_are_spans() {
    let tags = ends("fn.*", || {
        let mut cart = Cart::default();
        block_on(cart.add("a".to_owned())).unwrap();
        assert!(block_on(cart.add(String::new())).is_err());
        cart.first().push('b');
        cart.try_first(0, "missing").unwrap().push('c');
        assert_eq!(cart.try_first(9, "missing"), Err("missing"));
        assert!(cart.find("abc").is_some());
        assert_eq!(Box::new(Cart::default()).open(), 0);
        assert_eq!(cart.into_items(), ["abc"]);
    });
    let expected = [
        "count=0 outcome=ok",
        "count=1 outcome=error",
        "outcome=ok",
        "at=0 outcome=ok",
        "at=9 outcome=error",
        "name=abc count=1 outcome=ok",
        "outcome=ok",
        "outcome=ok",
    ];
    assert_eq!(tags, expected);
}

#[instrument("fn.generic", tags(value, place))]
fn generic<T: TagValue + Clone, const N: usize>(value: T, [place, _]: [u8; 2], mut sum: u64) -> (T, u64) {
    sum += N as u64;
    (value, sum)
}

#[instrument("fn.opaque")]
fn opaque(items: &[u8]) -> impl Iterator<Item = u8> + '_ {
    items.iter().map(|item| item + 1)
}

#[instrument("fn.opaque_result", tags(fails))]
fn opaque_result(fails: bool) -> Result<impl Display, Box<dyn std::error::Error>> {
    if fails {
        Err("failed")?
    }
    Ok(3)
}

#[instrument("fn.outcome")]
fn unjudged<T>(value: T) -> T {
    value
}

#[instrument("fn.boxed")]
fn boxed() -> Box<dyn Display> {
    if true {
        return Box::new(1);
    }
    Box::new("x")
}

#[instrument("fn.unsafe", tags(is_null = text.is_null()))]
unsafe fn not_safe(text: *const u8) -> u8 {
    // SAFETY: the caller gives a pointer to a byte.
    unsafe { *text }
}

#[instrument("fn.unit", tags(a, b))]
fn unit(impl_trait: impl Display, &(a, ref b): &(u8, String)) {
    assert_eq!(impl_trait.to_string(), "x");
    assert_eq!((a, b.as_str()), (1, "b"));
}

#[test]
fn functions_of_every_kind_are_spans() {
    let tags = ends("fn.*", || {
        assert_eq!(generic::<_, 3>("v", [7, 8], 1), ("v", 4));
        assert_eq!(opaque(&[1, 2]).collect::<Vec<_>>(), [2, 3]);
        assert!(opaque_result(true).is_err());
        assert_eq!(opaque_result(false).map(|value| value.to_string()).unwrap(), "3");
        // Inside of the function the type is any, so it is no error; that is documented.
        assert!(unjudged(Err::<(), _>(())).is_err());
        assert_eq!(boxed().to_string(), "1");
        // SAFETY: the pointer is to a byte.
        unsafe { not_safe(&9) };
        unit("x", &(1, "b".to_owned()));
    });
    let expected = [
        "value=v place=7 outcome=ok",
        "outcome=ok",
        "fails=true outcome=error",
        "fails=false outcome=ok",
        "outcome=ok",
        "outcome=ok",
        "is_null=false outcome=ok",
        "a=1 b=b outcome=ok",
    ];
    assert_eq!(tags, expected);
}

#[instrument("fn.async", tags(owned, borrowed, owner = card.owner))]
async fn async_function<T: Display>(owned: String, borrowed: &str, card: Card, value: T) -> Result<String, T> {
    std::future::ready(()).await;
    if owned.is_empty() {
        Err(value)?;
    }
    Ok(owned + borrowed + &card.owner)
}

#[instrument("fn.async_unit")]
async fn async_unit() {}

#[instrument("fn.async_opaque")]
async fn async_opaque() -> Result<impl Display, String> {
    Ok(1)
}

/// T18b: parameters are the function's own, tags are taken before they move.
#[test]
fn an_async_function_is_a_span() {
    fn movable<F: Future + Send>(future: F) -> F {
        future
    }
    let tags = ends("fn.*", || {
        let card = || Card { amount: 1, owner: "me".to_owned() };
        let done = block_on(movable(async_function("a".to_owned(), "b", card(), 3)));
        assert_eq!(done, Ok("abme".to_owned()));
        assert_eq!(block_on(async_function(String::new(), "b", card(), 3)), Err(3));
        block_on(async_unit());
        assert_eq!(block_on(async_opaque()).unwrap().to_string(), "1");
        drop(async_unit());
    });
    let expected = [
        "owned=a borrowed=b owner=me outcome=ok",
        // An empty text is no tag.
        "owned= borrowed=b owner=me outcome=error",
        "outcome=ok",
        "outcome=ok",
    ];
    assert_eq!(tags, expected);
}
