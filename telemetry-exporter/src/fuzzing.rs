//! Doors for the fuzz targets, which are a crate apart, to what is nobody else's: they are there under `--cfg fuzzing` alone.

use crate::filter::Filter;

/// What a query asks for: whether it takes a family of each of these names; `None` when it asks for everything.
///
/// # Errors
///
/// The text that the client is answered.
pub fn query(query: &str, families: &[telemetry_core::family::Family]) -> Result<Option<Vec<bool>>, String> {
    let filter = Filter::parse(Some(query)).map_err(|error| error.to_string())?;
    Ok(filter.map(|filter| families.iter().map(|family| filter.takes(family)).collect()))
}

/// Reads the text of a web configuration, and none of the files that it names.
///
/// # Errors
///
/// The line that is wrong, and what is.
#[cfg(feature = "web-config")]
pub fn web_config(text: &str) -> Result<(), (usize, String)> {
    crate::serve::parse_web_config(text)
}
