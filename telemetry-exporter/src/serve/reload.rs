//! Files that the guard was made of, and whether they have changed since.
//!
//! Nothing is watched: the files are asked when the endpoint is used, once a second at most, so a scrape costs a few calls
//! of the system and an endpoint that nobody uses none.

use std::fs::{self, Metadata};
use std::io;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant, SystemTime};

/// How often the files are asked.
const INTERVAL: Duration = Duration::from_secs(1);
/// The most that is read of a file: far beyond any configuration or chain of certificates.
const LONGEST: u64 = 16 * 1024 * 1024;

/// What changes when a file is written, or another is put in its place.
#[derive(Debug, Clone, PartialEq, Eq)]
struct Stamp {
    modified: Option<SystemTime>,
    length: u64,
    #[cfg(unix)]
    identity: (u64, u64, i64, i64),
}

impl Stamp {
    fn of(file: &Metadata) -> Self {
        #[cfg(unix)]
        use std::os::unix::fs::MetadataExt;
        Self {
            modified: file.modified().ok(),
            length: file.len(),
            // The time of change moves even when that of modification was set by hand.
            #[cfg(unix)]
            identity: (file.dev(), file.ino(), file.ctime(), file.ctime_nsec()),
        }
    }
}

/// The files that were read, each as it was before.
#[derive(Debug, Default)]
pub(super) struct Files(Vec<(PathBuf, Stamp)>);

impl Files {
    /// Reads a file, and notes it.
    pub(super) fn read(&mut self, path: &Path) -> io::Result<Vec<u8>> {
        let file = fs::metadata(path)?;
        // A pipe would never end, nor would the server's thread.
        if !file.is_file() {
            return Err(io::Error::other("it is not a regular file"));
        }
        if file.len() > LONGEST {
            return Err(io::Error::other("it is longer than 16 MiB"));
        }
        // Noted as it was before it is read: what is written meanwhile is seen the next time.
        self.0.push((path.to_owned(), Stamp::of(&file)));
        fs::read(path)
    }

    /// Whether any is not as it was when it was read.
    fn have_changed(&self) -> bool {
        self.0.iter().any(|(path, stamp)| !fs::metadata(path).is_ok_and(|file| Stamp::of(&file) == *stamp))
    }

    /// Begins to look at them, if there are any.
    pub(super) fn into_reload(self) -> Option<Reload> {
        (!self.0.is_empty()).then(|| Reload { files: self, asked: Instant::now(), has_failed: false })
    }
}

/// When the files are to be read again.
#[derive(Debug)]
pub(super) struct Reload {
    files: Files,
    asked: Instant,
    /// Whether the files as they are could not be taken over: they are read again each time, as what stood in the way
    /// need not have been in them.
    has_failed: bool,
}

impl Reload {
    pub(super) fn is_due(&mut self) -> bool {
        if self.asked.elapsed() < INTERVAL {
            return false;
        }
        self.asked = Instant::now();
        self.has_failed || self.files.have_changed()
    }

    pub(super) fn succeeded(&mut self, files: Files) {
        self.files = files;
        self.has_failed = false;
    }

    pub(super) fn failed(&mut self) {
        self.has_failed = true;
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The same as if the interval had passed.
    fn is_due_later(reload: &mut Reload) -> bool {
        reload.asked = Instant::now().checked_sub(INTERVAL).expect("the machine runs for longer");
        reload.is_due()
    }

    #[test]
    fn files_are_read_again_when_they_changed_or_could_not_be_used_and_not_too_often() {
        let path = std::env::temp_dir().join(format!("telemetry-reload-{}", std::process::id()));
        fs::write(&path, "one").unwrap();
        let read = || {
            let mut files = Files::default();
            files.read(&path).unwrap();
            files
        };
        let mut reload = read().into_reload().unwrap();
        assert!(!is_due_later(&mut reload));
        fs::write(&path, "three").unwrap();
        assert!(!reload.is_due(), "it was asked a moment ago");
        assert!(is_due_later(&mut reload));
        reload.succeeded(read());
        assert!(!is_due_later(&mut reload));
        reload.failed();
        assert!(is_due_later(&mut reload), "what stood in the way may be gone");
        reload.succeeded(read());
        fs::remove_file(&path).unwrap();
        assert!(is_due_later(&mut reload));
    }

    #[test]
    fn what_is_no_file_is_not_read() {
        assert!(Files::default().read(&std::env::temp_dir()).is_err());
        #[cfg(unix)]
        assert!(Files::default().read(Path::new("/dev/zero")).is_err());
    }
}
