//! The source of a crate, for tests that hold it to something.

use std::fs;
use std::path::{Path, PathBuf};

/// All files below a folder, in the order of their names, as paths from there.
///
/// # Panics
///
/// When the folder, or one in it, can't be read.
#[must_use]
pub fn files(folder: &Path) -> Vec<PathBuf> {
    let mut found = Vec::new();
    gather(folder, Path::new(""), &mut found);
    found.sort();
    found
}

fn gather(root: &Path, below: &Path, found: &mut Vec<PathBuf>) {
    let folder = root.join(below);
    let entries = fs::read_dir(&folder).unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
    for entry in entries {
        let entry = entry.unwrap_or_else(|error| panic!("{}: {error}", folder.display()));
        let path = below.join(entry.file_name());
        if entry.path().is_dir() {
            gather(root, &path, found);
        } else {
            found.push(path);
        }
    }
}
