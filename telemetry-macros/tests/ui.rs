//! What the compiler says to a mistake: each file of `ui` beside the message.

/// T1: bad names are refused at compile time, and so is everything else that can't be meant; the error is at the token.
#[test]
fn mistakes_are_compile_errors_at_the_token() {
    let cases = trybuild::TestCases::new();
    cases.compile_fail("tests/ui/*.rs");
}
