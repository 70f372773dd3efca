//! The clock on the wall may be set at any time; nothing that the endpoint promises hangs on it.

use std::fs;
use std::path::{Path, PathBuf};

/// All files below `folder`.
fn files(folder: &Path) -> Vec<PathBuf> {
    let entries = fs::read_dir(folder).expect("a folder").map(|entry| entry.expect("an entry").path());
    entries.flat_map(|path| if path.is_dir() { files(&path) } else { vec![path] }).collect()
}

/// A step of the wall clock can end no deadline, and start none anew, since none is reckoned by it: deadlines, patience,
/// back-off and the time of sources are those of a clock that only goes forward.
#[test]
fn no_deadline_is_reckoned_by_the_clock_on_the_wall() {
    let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("src");
    let of_endpoint: Vec<PathBuf> = files(&source)
        .into_iter()
        .filter(|path| {
            let path = path.strip_prefix(&source).expect("below it");
            path.starts_with("serve")
                || ["serve.rs", "sources.rs", "exposed.rs", "recording.rs"].iter().any(|file| path == Path::new(file))
        })
        .collect();
    assert!(of_endpoint.len() > 12, "{of_endpoint:?}");
    for path in of_endpoint {
        let text = fs::read_to_string(&path).expect("a source");
        for name in ["SystemTime::now", "UNIX_EPOCH"] {
            assert!(!text.contains(name), "{} reads the clock on the wall", path.display());
        }
    }
}
