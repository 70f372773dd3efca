//! The clock on the wall may be set at any time; nothing that the endpoint promises hangs on it.

use std::fs;
use std::path::Path;

use telemetry_testkit::source::files;

/// A step of the wall clock can end no deadline, and start none anew, since none is reckoned by it: deadlines, patience,
/// back-off and the time of sources are those of a clock that only goes forward.
#[test]
fn no_deadline_is_reckoned_by_the_clock_on_the_wall() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let mut of_endpoint = files(&source);
    let others = ["serve.rs", "sources.rs", "exposed.rs", "recording.rs"].map(Path::new);
    of_endpoint.retain(|path| path.starts_with("serve") || others.contains(&path.as_path()));
    assert!(of_endpoint.len() > 12, "{of_endpoint:?}");
    for path in of_endpoint {
        let text = fs::read_to_string(source.join(&path)).expect("a source");
        for name in ["SystemTime::now", "UNIX_EPOCH"] {
            assert!(!text.contains(name), "{} reads the clock on the wall", path.display());
        }
    }
}
