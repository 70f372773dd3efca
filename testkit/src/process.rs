//! Programs that a test starts, and that end with it.

use std::io::{BufRead, BufReader, Read};
use std::process::{Child, Command, ExitStatus, Stdio};
use std::sync::mpsc::{self, Receiver, RecvTimeoutError};
use std::thread;
use std::time::{Duration, Instant};

use crate::client::LONG;

/// A program that runs; it is killed when this is dropped.
#[derive(Debug)]
pub struct Running {
    child: Child,
    name: String,
    lines: Receiver<String>,
    errors: Receiver<String>,
    // What was read of the lines so far, for who wants to know why the next did not come.
    seen: String,
}

/// How a program ended.
#[derive(Debug)]
pub struct Ended {
    /// What it exited with.
    pub status: ExitStatus,
    /// What it printed.
    pub stdout: String,
    /// What it complained of.
    pub stderr: String,
}

impl Running {
    /// Starts a program.
    ///
    /// # Panics
    ///
    /// When the system can't.
    #[must_use]
    pub fn start(command: &mut Command) -> Self {
        let name = format!("{command:?}");
        let piped = command.stdin(Stdio::null()).stdout(Stdio::piped()).stderr(Stdio::piped());
        let mut child = piped.spawn().unwrap_or_else(|error| panic!("{name} does not start: {error}"));
        // Read all the time, so that the program never waits for us.
        let lines = read(child.stdout.take().expect("it is piped"));
        let errors = read(child.stderr.take().expect("it is piped"));
        Self { child, name, lines, errors, seen: String::new() }
    }

    /// Waits for a line that holds `part`, and gives it.
    ///
    /// # Panics
    ///
    /// When the program ends before, or says no such thing for [`LONG`].
    pub fn line_with(&mut self, part: &str) -> String {
        let deadline = Instant::now() + LONG;
        loop {
            match self.lines.recv_timeout(deadline.saturating_duration_since(Instant::now())) {
                Ok(line) => {
                    self.seen.push_str(&line);
                    if line.contains(part) {
                        return line;
                    }
                }
                Err(reason) => {
                    let errors: String = match reason {
                        RecvTimeoutError::Disconnected => self.errors.iter().collect(),
                        RecvTimeoutError::Timeout => self.errors.try_iter().collect(),
                    };
                    panic!("{} did not print {part:?}, but:\n{}\nand complained:\n{errors}", self.name, self.seen);
                }
            }
        }
    }

    /// Asks the program to end, as Ctrl-C does (`INT`) or a supervisor (`TERM`).
    ///
    /// # Panics
    ///
    /// When the program is gone already.
    pub fn signal(&self, signal: &str) {
        let sent = Command::new("kill").args(["-s", signal, &self.child.id().to_string()]).status();
        assert!(sent.is_ok_and(|status| status.success()), "{} can't be sent SIG{signal}: it is gone", self.name);
    }

    /// Waits for the end.
    ///
    /// # Panics
    ///
    /// When it does not come within [`LONG`].
    #[must_use]
    pub fn end(mut self) -> Ended {
        let deadline = Instant::now() + LONG;
        let status = loop {
            if let Some(status) = self.child.try_wait().expect("a child can be waited for") {
                break status;
            }
            assert!(Instant::now() < deadline, "{} does not end", self.name);
            thread::sleep(Duration::from_millis(10));
        };
        let stdout = std::mem::take(&mut self.seen) + &self.lines.iter().collect::<String>();
        Ended { status, stdout, stderr: self.errors.iter().collect() }
    }
}

impl Drop for Running {
    fn drop(&mut self) {
        // It may have ended by itself.
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// The lines that come out of a pipe, their ends included.
fn read(pipe: impl Read + Send + 'static) -> Receiver<String> {
    let (sender, lines) = mpsc::channel();
    thread::spawn(move || {
        let mut pipe = BufReader::new(pipe);
        let mut line = Vec::new();
        while pipe.read_until(b'\n', &mut line).is_ok_and(|size| size > 0) {
            let text = String::from_utf8_lossy(&line).into_owned();
            line.clear();
            if sender.send(text).is_err() {
                return;
            }
        }
    });
    lines
}
