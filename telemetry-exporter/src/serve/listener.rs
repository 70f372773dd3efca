//! The event loop of the endpoint: accepts, and shuts down.

use std::io::{self, ErrorKind};
use std::rc::Rc;
use std::time::Duration;

use tokio::sync::{oneshot, watch};
use tokio::task::JoinSet;
use tokio::time::{sleep, timeout};

use super::admission::Admission;
use super::connection;
use super::guard::Guard;
use super::progress::Progress;
use super::route::Site;
use super::socket::{Client, Listeners};

/// How often a full endpoint looks for a connection that can be spared.
const ROOM_INTERVAL: Duration = Duration::from_millis(5);

/// Serves until `stop` tells the grace, or nobody can tell it any more. Returns how many responses were cut.
pub(super) async fn run(
    mut listeners: Listeners,
    guard: Guard,
    site: Site,
    mut stop: oneshot::Receiver<Duration>,
) -> usize {
    let (guard, site) = (Rc::new(guard), Rc::new(site));
    let admission = Admission::new(site.limits(), site.figures().clone());
    let (stopping, stopped) = watch::channel(false);
    let mut tasks = JoinSet::new();
    let mut backoff = Backoff::default();
    // A client that was accepted while every place is in use.
    let mut waiting: Option<Client> = None;

    let grace = loop {
        if let Some(client) = waiting.take() {
            if admission.make_room() {
                let progress = Rc::new(Progress::new(site.limits()));
                let task = connection::run(
                    client,
                    guard.clone(),
                    site.clone(),
                    admission.clone(),
                    progress.clone(),
                    stopped.clone(),
                );
                admission.enter(progress, tasks.spawn_local(task));
            } else {
                waiting = Some(client);
            }
        }
        tokio::select! {
            biased;
            grace = &mut stop => break grace.unwrap_or_default(),
            Some(_) = tasks.join_next() => admission.sweep(),
            accepted = listeners.accept(), if waiting.is_none() && !backoff.is_waiting() => match accepted {
                Ok(client) => {
                    backoff.reset();
                    waiting = Some(client);
                }
                Err(error) if is_of_client(&error) => {}
                Err(_) => {
                    site.figures().accept_failed();
                    // Most likely the process has no descriptor left: one of ours may do for the next scrape.
                    admission.spare();
                    backoff.wait();
                }
            },
            () = backoff.over(), if backoff.is_waiting() => {}
            () = sleep(ROOM_INTERVAL), if waiting.is_some() => {}
        }
    };

    drop((listeners, waiting));
    // An error says that no connection is open.
    let _ = stopping.send(true);
    let _ = timeout(grace, async { while tasks.join_next().await.is_some() {} }).await;
    admission.sweep();
    let cut = admission.in_response();
    tasks.shutdown().await;
    cut
}

/// Whether a client gave up before it was accepted: no reason to wait.
fn is_of_client(error: &io::Error) -> bool {
    matches!(
        error.kind(),
        ErrorKind::ConnectionAborted
            | ErrorKind::ConnectionReset
            | ErrorKind::ConnectionRefused
            | ErrorKind::Interrupted
            | ErrorKind::WouldBlock
    )
}

/// The pause after a failed accept: the listener stays readable, so without it the loop would spin.
struct Backoff {
    next: Duration,
    until: Option<tokio::time::Instant>,
}

impl Default for Backoff {
    fn default() -> Self {
        Self { next: Self::SHORTEST, until: None }
    }
}

impl Backoff {
    const SHORTEST: Duration = Duration::from_millis(10);
    const LONGEST: Duration = Duration::from_secs(1);

    fn reset(&mut self) {
        *self = Self::default();
    }

    fn wait(&mut self) {
        self.until = Some(tokio::time::Instant::now() + self.next);
        self.next = (self.next * 2).min(Self::LONGEST);
    }

    fn is_waiting(&self) -> bool {
        self.until.is_some()
    }

    /// Completes when the pause is over. It can be dropped and asked for again: the end of the pause stays.
    async fn over(&mut self) {
        if let Some(until) = self.until {
            tokio::time::sleep_until(until).await;
            self.until = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_pause_after_failed_accepts_doubles_up_to_a_second() {
        let mut backoff = Backoff::default();
        let pauses: Vec<u128> = (0..9)
            .map(|_| {
                let pause = backoff.next.as_millis();
                backoff.wait();
                pause
            })
            .collect();
        assert_eq!(pauses, [10, 20, 40, 80, 160, 320, 640, 1000, 1000]);
        backoff.reset();
        assert_eq!(backoff.next.as_millis(), 10);
    }

    #[test]
    fn a_client_that_gave_up_is_no_reason_for_a_pause() {
        assert!(is_of_client(&ErrorKind::ConnectionAborted.into()));
        assert!(!is_of_client(&ErrorKind::OutOfMemory.into()));
    }
}
