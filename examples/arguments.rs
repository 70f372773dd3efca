//! The command line of the examples that serve.

use std::future::pending;
use std::net::SocketAddr;
use std::time::Duration;

/// Where to listen, and for how long.
#[derive(Debug)]
pub(crate) struct Arguments {
    pub(crate) listen: SocketAddr,
    seconds: Option<u64>,
}

impl Arguments {
    /// Reads the command line; prints `help` and ends, or says what is wrong and ends.
    pub(crate) fn read(help: &str) -> Self {
        match Self::parse(std::env::args().skip(1)) {
            Ok(Some(arguments)) => arguments,
            Ok(None) => {
                println!(
                    "{help}\n\n  --listen ADDRESS   an IP and a port; 0 takes any that is free  [127.0.0.1:8080]\n  \
                     --seconds NUMBER   ends after so many seconds                  [runs until Ctrl-C]\n  --help             this"
                );
                std::process::exit(0);
            }
            Err(complaint) => {
                eprintln!("{complaint}; --help tells what there is");
                std::process::exit(2);
            }
        }
    }

    /// `None` when help is asked for.
    fn parse(mut words: impl Iterator<Item = String>) -> Result<Option<Self>, String> {
        let mut arguments = Self { listen: SocketAddr::from(([127, 0, 0, 1], 8080)), seconds: None };
        while let Some(word) = words.next() {
            let mut value = || words.next().ok_or_else(|| format!("{word} needs a value"));
            match word.as_str() {
                "--listen" => {
                    let text = value()?;
                    let wrong = |_| format!("--listen is an IP and a port, as in 127.0.0.1:8080, not {text:?}");
                    arguments.listen = text.parse().map_err(wrong)?;
                }
                "--seconds" => {
                    let text = value()?;
                    let wrong = |_| format!("--seconds is a whole number, not {text:?}");
                    arguments.seconds = Some(text.parse().map_err(wrong)?);
                }
                "--help" | "-h" => return Ok(None),
                _ => return Err(format!("there is no option {word:?}")),
            }
        }
        Ok(Some(arguments))
    }

    /// Ends when the time is over, or with Ctrl-C.
    pub(crate) async fn end(&self) {
        let time = async {
            match self.seconds {
                Some(seconds) => tokio::time::sleep(Duration::from_secs(seconds)).await,
                None => pending().await,
            }
        };
        tokio::select! {
            () = time => {}
            // Without a handler the signal ends the process by itself.
            result = tokio::signal::ctrl_c() => if result.is_err() { pending().await },
        }
    }
}
