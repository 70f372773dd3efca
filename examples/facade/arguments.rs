//! The command line.

use std::fmt;
use std::net::SocketAddr;

pub(crate) const HELP: &str = "\
A service whose metrics come from crates that record through the facade of `metrics`.

Usage: facade [OPTIONS]

  --service ADDRESS  where the service is       [127.0.0.1:8081]
  --listen ADDRESS   where its metrics are      [127.0.0.1:9465]
  --seconds NUMBER   ends after so many seconds [runs until Ctrl-C]
  --help             this

An address is an IP and a port; port 0 takes any that is free.";

/// What the program is asked to do.
pub(crate) enum Request {
    Run(Arguments),
    Help,
}

/// How it is to run.
pub(crate) struct Arguments {
    pub(crate) service: SocketAddr,
    pub(crate) listen: SocketAddr,
    pub(crate) seconds: Option<u64>,
}

impl Arguments {
    pub(crate) fn parse(words: impl IntoIterator<Item = String>) -> Result<Request, ArgumentError> {
        let loopback = |port| SocketAddr::from(([127, 0, 0, 1], port));
        let mut arguments = Self { service: loopback(8081), listen: loopback(9465), seconds: None };
        let mut words = words.into_iter();
        while let Some(word) = words.next() {
            // `--seconds 2` and `--seconds=2` are the same.
            let (option, attached) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let mut value = || {
                let value = attached.clone().or_else(|| words.next());
                value.ok_or_else(|| ArgumentError(format!("{option} needs a value")))
            };
            match option {
                "--service" => arguments.service = parse(option, &value()?, "an IP and a port, as in 127.0.0.1:8081")?,
                "--listen" => arguments.listen = parse(option, &value()?, "an IP and a port, as in 127.0.0.1:9465")?,
                "--seconds" => arguments.seconds = Some(parse(option, &value()?, "a whole number")?),
                "--help" | "-h" if attached.is_none() => return Ok(Request::Help),
                _ => return Err(ArgumentError(format!("there is no option {word:?}"))),
            }
        }
        Ok(Request::Run(arguments))
    }
}

fn parse<T: std::str::FromStr>(option: &str, text: &str, wanted: &str) -> Result<T, ArgumentError> {
    text.parse().map_err(|_| ArgumentError(format!("{option} is {wanted}, not {text:?}")))
}

/// What is wrong with the command line.
pub(crate) struct ArgumentError(String);

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}
