//! The examples as programs.

use std::path::PathBuf;
use std::process::Command;

/// The program of an example: `cargo test` builds them beside the tests.
pub(crate) fn example(name: &str) -> Command {
    let test = std::env::current_exe().expect("a test has a path");
    let profile = test.ancestors().nth(2).expect("a test lies in `deps`, below the folder of its profile");
    let program: PathBuf = profile.join("examples").join(format!("{name}{}", std::env::consts::EXE_SUFFIX));
    assert!(program.exists(), "{} is missing; `cargo build --examples` makes it", program.display());
    Command::new(program)
}
