//! The command line.

use std::ffi::OsString;
use std::fmt;
use std::net::{Ipv4Addr, SocketAddr};

pub(crate) const HELP: &str = "\
A small shop over HTTP that can be watched.

Usage: demo [OPTIONS]

  --service ADDRESS  where the shop is          [127.0.0.1:8080]
  --listen ADDRESS   where its metrics are      [127.0.0.1:9464]
  --seconds NUMBER   ends after so many seconds [runs until Ctrl-C]
  --no-traffic       no customers of its own
  --help             this

An address is an IP and a port; port 0 takes any that is free.";

/// What the demo is asked to do.
#[derive(Debug)]
pub(crate) enum Request {
    Run(Arguments),
    Help,
}

/// How it is to run.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) service: SocketAddr,
    pub(crate) listen: SocketAddr,
    pub(crate) seconds: Option<u64>,
    pub(crate) traffic: bool,
}

impl Default for Arguments {
    fn default() -> Self {
        let loopback = |port| SocketAddr::from((Ipv4Addr::LOCALHOST, port));
        Self { service: loopback(8080), listen: loopback(9464), seconds: None, traffic: true }
    }
}

impl Arguments {
    pub(crate) fn parse(words: impl IntoIterator<Item = OsString>) -> Result<Request, ArgumentError> {
        let mut arguments = Self::default();
        let mut words = words.into_iter().map(|word| word.to_string_lossy().into_owned());
        while let Some(word) = words.next() {
            // `--seconds 2` and `--seconds=2` are the same.
            let (option, attached) = match word.split_once('=') {
                Some((option, value)) => (option, Some(value.to_owned())),
                None => (word.as_str(), None),
            };
            let mut value = || attached.clone().or_else(|| words.next()).ok_or(ArgumentError::no_value(option));
            match option {
                "--service" => arguments.service = address(option, &value()?)?,
                "--listen" => arguments.listen = address(option, &value()?)?,
                "--seconds" => {
                    let text = value()?;
                    let seconds = text.parse().map_err(|_| ArgumentError::value(option, &text, "a whole number"))?;
                    arguments.seconds = Some(seconds);
                }
                "--no-traffic" if attached.is_none() => arguments.traffic = false,
                "--help" | "-h" if attached.is_none() => return Ok(Request::Help),
                _ => return Err(ArgumentError(format!("there is no option {word:?}"))),
            }
        }
        Ok(Request::Run(arguments))
    }
}

fn address(option: &str, text: &str) -> Result<SocketAddr, ArgumentError> {
    text.parse().map_err(|_| ArgumentError::value(option, text, "an IP and a port, as in 127.0.0.1:8080"))
}

/// What is wrong with the command line.
#[derive(Debug)]
pub(crate) struct ArgumentError(String);

impl ArgumentError {
    fn no_value(option: &str) -> Self {
        Self(format!("{option} needs a value"))
    }

    fn value(option: &str, text: &str, wanted: &str) -> Self {
        Self(format!("{option} is {wanted}, not {text:?}"))
    }
}

impl fmt::Display for ArgumentError {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}; --help tells what there is", self.0)
    }
}
