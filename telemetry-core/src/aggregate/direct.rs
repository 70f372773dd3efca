//! What most events take: one projection, its tags all text or all of closed sets, and a counter or a histogram or both.
//!
//! Each number of tags and each way of recording has a type of its own, so that all between the event and its cells is one
//! function, in which nothing is asked that was known when the handler was bound. Whatever is not as usual, such as a series
//! that is new, or a thread that shares its shard, is left to the [`BoundGroup`].

use std::sync::Arc;

use crate::cells;
use crate::event::Event;
use crate::handler::Bound;
use crate::series::Known;

use super::bound::{BoundGroup, Way};
use super::closed::Closed;
use super::step::{Recording, Short};

/// The group as it takes in its events directly; the group itself if there is no such way for it.
pub(super) fn bind(group: BoundGroup) -> Result<Arc<dyn Bound>, Box<BoundGroup>> {
    match group.short.clone() {
        Some(Short::Count(count)) => bind_recording(group, count),
        Some(Short::Measure(measure)) => bind_recording(group, measure),
        None => Err(Box::new(group)),
    }
}

fn bind_recording<R: Recording>(group: BoundGroup, recording: R) -> Result<Arc<dyn Bound>, Box<BoundGroup>> {
    Ok(match (&group.way, group.positions.len()) {
        (Way::Closed(closed), _) => Arc::new(ByClosed { closed: Arc::clone(closed), recording, group }),
        (Way::Texts(_), 0) => by_texts::<0, R>(group, recording),
        (Way::Texts(_), 1) => by_texts::<1, R>(group, recording),
        (Way::Texts(_), 2) => by_texts::<2, R>(group, recording),
        (Way::Texts(_), 3) => by_texts::<3, R>(group, recording),
        (Way::Texts(_), 4) => by_texts::<4, R>(group, recording),
        (Way::Texts(_), 5) => by_texts::<5, R>(group, recording),
        (Way::Texts(_), 6) => by_texts::<6, R>(group, recording),
        (Way::Texts(_), 7) => by_texts::<7, R>(group, recording),
        (Way::Texts(_), 8) => by_texts::<8, R>(group, recording),
        _ => return Err(Box::new(group)),
    })
}

fn by_texts<const N: usize, R: Recording>(group: BoundGroup, recording: R) -> Arc<dyn Bound> {
    let positions = group.positions.first_chunk::<N>().copied().expect("the caller has counted them");
    Arc::new(ByTexts { positions, recording, group })
}

/// By tags that are text.
struct ByTexts<const N: usize, R> {
    positions: [usize; N],
    recording: R,
    group: BoundGroup,
}

impl<const N: usize, R: Recording> Bound for ByTexts<N, R> {
    fn handle(&self, event: &Event<'_>) {
        let (group, shard) = (&self.group, cells::local());
        let Some((shard, section)) = shard.enter_own() else { return group.handle_apart(shard, event) };
        let known = group.projection.known_by(&self.positions, event.tag_values());
        if let Known::At(first) = known {
            if !self.recording.record(group.projection.touched_by_owner(shard, first), event) {
                group.record_all(shard.shard(), event, first, &[]);
            }
        } else {
            drop(section);
            group.handle_unknown(shard.shard(), event, known);
        }
    }

    fn cannot_panic(&self) -> bool {
        true
    }
}

/// By the positions of tags in their closed sets.
struct ByClosed<R> {
    closed: Arc<Closed>,
    recording: R,
    group: BoundGroup,
}

impl<R: Recording> Bound for ByClosed<R> {
    fn handle(&self, event: &Event<'_>) {
        let (group, shard) = (&self.group, cells::local());
        match (self.closed.first_cell(event.tag_values()), shard.own()) {
            (Some(first), Some(shard)) => {
                if !self.recording.record(group.projection.cells_of_owner(shard, first), event) {
                    group.record_all(shard.shard(), event, first, &[]);
                }
            }
            _ => group.handle_apart(shard, event),
        }
    }

    fn cannot_panic(&self) -> bool {
        true
    }
}
