//! Pages that a test keeps up to date.

use std::fmt::Write;
use std::path::Path;
use std::{env, fs};

use similar::TextDiff;

use crate::catalogue::Catalogue;

/// Set to anything but nothing or `0`, it has pages written instead of compared.
const UPDATE: &str = "TELEMETRY_UPDATE";
const BEGIN: &str = "<!-- events: begin -->";
const END: &str = "<!-- events: end -->";
/// How many lines of difference a failed assertion shows.
const SHOWN: usize = 60;

/// Asserts that a page of the application shows its events as they are: see [`catalogue`](crate::catalogue).
///
/// The path is that of the page from the folder of the crate's `Cargo.toml`. What lies between `<!-- events: begin -->` and
/// `<!-- events: end -->` is compared, so the page may say more around it. Behind the path there may be a
/// [`Catalogue`], else it is [`Catalogue::of_program`].
///
/// To write or rewrite the page, run the test with `TELEMETRY_UPDATE=1`.
///
/// ```no_run
/// use telemetry_core::assert_catalogue;
/// use telemetry_core::catalogue::Catalogue;
///
/// #[test]
/// fn the_page_shows_the_events() {
///     assert_catalogue!("docs/events.md");
/// }
///
/// #[test]
/// fn the_page_shows_the_events_of_the_shop() {
///     assert_catalogue!("docs/shop.md", Catalogue::of_program().only(["shop.*"]).unwrap());
/// }
/// ```
///
/// # Panics
///
/// When the page differs, or is not there, or has no place for the events, or cannot be read or written; and when places
/// do not agree on an event. The message says what differs, and how to update the page.
#[macro_export]
macro_rules! assert_catalogue {
    ($path:expr $(,)?) => {
        $crate::assert_catalogue!($path, $crate::catalogue::Catalogue::of_program())
    };
    ($path:expr, $catalogue:expr $(,)?) => {
        $crate::test::assert_page(::core::env!("CARGO_MANIFEST_DIR"), $path, &$catalogue)
    };
}

/// What `assert_catalogue!` does.
///
/// # Panics
///
/// See `assert_catalogue!`.
#[doc(hidden)]
#[track_caller]
pub fn assert_page(folder: &str, path: impl AsRef<Path>, catalogue: &Catalogue) {
    let update = env::var_os(UPDATE).is_some_and(|value| !value.is_empty() && value != "0");
    if let Err(message) = check(&Path::new(folder).join(path), catalogue, update) {
        panic!("{message}");
    }
}

fn check(path: &Path, catalogue: &Catalogue, update: bool) -> Result<(), String> {
    catalogue.check().map_err(|error| error.to_string())?;
    let shown = path.display();
    let how = format!("to update it, run this test with {UPDATE}=1");
    let wanted = format!("\n\n{}\n", catalogue.to_markdown());
    let page = match fs::read_to_string(path) {
        // Line ends as a checkout on another system may have made them.
        Ok(page) => page.replace("\r\n", "\n"),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => {
            if !update {
                return Err(format!("the page {shown} is not there; {how}"));
            }
            return write(path, &format!("# Events\n\n{BEGIN}{wanted}{END}\n"));
        }
        Err(error) => return Err(format!("the page {shown} cannot be read: {error}")),
    };
    let parts = page.split_once(BEGIN).and_then(|(before, rest)| Some((before, rest.split_once(END)?)));
    let Some((before, (found, after))) = parts else {
        return Err(format!(
            "the page {shown} has no place for the events; write the lines {BEGIN} and {END} where they belong"
        ));
    };
    if found.trim() == wanted.trim() {
        return Ok(());
    }
    if update {
        return write(path, &format!("{before}{BEGIN}{wanted}{END}{after}"));
    }
    Err(format!("the page {shown} does not show the events as they are; {how}\n{}", difference(found, &wanted)))
}

fn write(path: &Path, text: &str) -> Result<(), String> {
    let folder = path.parent().map_or(Ok(()), fs::create_dir_all);
    folder
        .and_then(|()| fs::write(path, text))
        .map_err(|error| format!("the page {} cannot be written: {error}", path.display()))
}

/// Line by line, as `diff -u` shows it.
fn difference(found: &str, wanted: &str) -> String {
    let (found, wanted) = (format!("{}\n", found.trim()), format!("{}\n", wanted.trim()));
    let difference = TextDiff::from_lines(&found, &wanted);
    let all = difference.unified_diff().context_radius(2).header("the page", "the events").to_string();
    let mut text = all.lines().take(SHOWN).collect::<Vec<_>>().join("\n");
    let more = all.lines().count().saturating_sub(SHOWN);
    if more > 0 {
        // Writing to a `String` can't fail.
        let _ = write!(text, "\nand {more} more lines");
    }
    text
}

#[cfg(all(test, not(loom)))]
mod tests {
    use super::*;
    use crate::emit;

    #[allow(dead_code)] // Known without being called.
    fn places() {
        emit!("page_test.a", { size: 3 => Byte }, { kind: "x" });
        emit!("page_test.b");
    }

    fn catalogue(pattern: &str) -> Catalogue {
        Catalogue::of_program().only([pattern]).unwrap()
    }

    #[test]
    fn a_page_is_written_compared_and_kept_around_the_events() {
        let folder = env::temp_dir().join(format!("telemetry-core-page-{}", std::process::id()));
        let path = folder.join("docs/events.md");
        let (old, new) = (catalogue("page_test.a"), catalogue("page_test.*"));
        let message = check(&path, &old, false).unwrap_err();
        assert!(
            message.ends_with("events.md is not there; to update it, run this test with TELEMETRY_UPDATE=1"),
            "{message}"
        );

        check(&path, &old, true).unwrap();
        check(&path, &old, false).unwrap();
        let page = fs::read_to_string(&path).unwrap();
        fs::write(&path, page.replace("# Events\n", "# Our events\n\nBy hand.\n").replace('\n', "\r\n")).unwrap();
        check(&path, &old, false).unwrap();

        let message = check(&path, &new, false).unwrap_err();
        assert!(message.contains("does not show the events as they are; to update it"), "{message}");
        assert!(
            message.contains("\n--- the page\n+++ the events\n") && message.contains("\n+## `page_test.b`\n"),
            "{message}"
        );
        check(&path, &new, true).unwrap();
        check(&path, &new, false).unwrap();
        let page = fs::read_to_string(&path).unwrap();
        assert!(page.starts_with("# Our events\n\nBy hand.\n"), "{page}");

        fs::write(&path, "By hand.\n").unwrap();
        for update in [false, true] {
            let message = check(&path, &new, update).unwrap_err();
            assert!(
                message.contains("has no place for the events; write the lines <!-- events: begin -->"),
                "{message}"
            );
        }
        fs::remove_dir_all(&folder).unwrap();
    }

    #[test]
    fn what_stands_in_the_way_is_told() {
        let folder = env::temp_dir();
        let message = check(&folder, &catalogue("page_test.a"), true).unwrap_err();
        assert!(message.contains("cannot be read: "), "{message}");
        let file = folder.join(format!("telemetry-core-page-file-{}", std::process::id()));
        fs::write(&file, "").unwrap();
        let message = check(&file.join("below.md"), &catalogue("page_test.a"), true).unwrap_err();
        assert!(message.contains("cannot be "), "{message}");
        fs::remove_file(&file).unwrap();
    }
}
