//! What `versus` is asked to do.

use std::path::PathBuf;

/// What is printed for `--help`.
pub const HELP: &str = "\
Measures what instrumentation costs: ours, other libraries, and the limits of the machine.

Usage: cargo run --release -p telemetry-benches --bin versus -- [OPTIONS]

Options:
  --quick       Less of everything: within three minutes, and noisy
  --case NAME   Only this case; may be repeated
  --impl NAME   Only this implementation; may be repeated
  --json FILE   Writes the rows: case, impl, kind, threads, value, unit
  --svg FILE    Draws the rows
  --list        Lists cases and implementations, and what is left out and why
  --help        Shows this

Without options everything is measured, within thirty minutes. It exits with 1 if an implementation miscounted.
";

/// What is asked for.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Arguments {
    /// Less of everything.
    pub quick: bool,
    /// Cases to be measured; all if there are none.
    pub cases: Vec<String>,
    /// Implementations to be measured; all if there are none.
    pub implementations: Vec<String>,
    /// Where the rows go.
    pub json: Option<PathBuf>,
    /// Where the plot goes.
    pub svg: Option<PathBuf>,
    /// Lists what there is.
    pub list: bool,
    /// Shows how it is used.
    pub help: bool,
    /// Measures the one case in this process, and hands the rows to the parent; not for the user.
    pub worker: bool,
}

impl Arguments {
    /// Reads arguments; the names of cases and implementations must be among those known.
    ///
    /// # Errors
    ///
    /// Says which argument is wrong, and what is right.
    pub fn read(
        arguments: impl IntoIterator<Item = String>,
        cases: &[&str],
        implementations: &[&str],
    ) -> Result<Self, String> {
        let mut read = Self::default();
        let mut arguments = arguments.into_iter();
        while let Some(argument) = arguments.next() {
            let mut value = |what: &str| {
                arguments
                    .next()
                    .filter(|value| !value.is_empty() && !value.starts_with("--"))
                    .ok_or_else(|| format!("{argument} needs {what} behind it"))
            };
            match argument.as_str() {
                "--quick" => read.quick = true,
                "--list" => read.list = true,
                "--help" | "-h" => read.help = true,
                "--worker" => read.worker = true,
                "--json" => read.json = Some(value("a file")?.into()),
                "--svg" => read.svg = Some(value("a file")?.into()),
                "--case" => read.cases.push(known("case", value("the name of a case")?, cases)?),
                "--impl" => {
                    let name = value("the name of an implementation")?;
                    read.implementations.push(known("implementation", name, implementations)?);
                }
                _ => return Err(format!("there is no argument {argument:?}; --help lists all")),
            }
        }
        if read.worker && read.cases.len() != 1 {
            return Err("--worker is for the program itself; leave it out".to_owned());
        }
        Ok(read)
    }
}

fn known(what: &str, name: String, all: &[&str]) -> Result<String, String> {
    if all.contains(&name.as_str()) { Ok(name) } else { Err(format!("there is no {what} {name:?}; --list lists all")) }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(arguments: &[&str]) -> Result<Arguments, String> {
        let arguments = arguments.iter().map(ToString::to_string);
        Arguments::read(arguments, &["counter_held", "span"], &["ours", "loop"])
    }

    #[test]
    fn arguments_are_read() {
        let read = read(&["--quick", "--case", "span", "--case", "counter_held", "--impl", "ours", "--json", "a.json"]);
        let read = read.unwrap();
        assert!(read.quick && !read.list);
        assert_eq!(
            (read.cases, read.implementations),
            (vec!["span".into(), "counter_held".into()], vec!["ours".into()])
        );
        assert_eq!((read.json, read.svg), (Some("a.json".into()), None));
    }

    #[test]
    fn a_wrong_argument_is_an_error_that_names_it() {
        for (arguments, word) in [
            (&["--quik"][..], "--quik"),
            (&["--case", "spam"], "spam"),
            (&["--impl", "theirs"], "theirs"),
            (&["--json"], "needs a file"),
            (&["--svg", "--quick"], "needs a file"),
            (&["--worker"], "--worker"),
            (&["span"], "span"),
        ] {
            let error = read(arguments).unwrap_err();
            assert!(error.contains(word), "{error}");
        }
    }
}
