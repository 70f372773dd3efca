//! Walks over the rows of a projection, while which no cells are given back.

use std::sync::Arc;

use crate::row::{Chunk, DEAD, HIDDEN, Row};
use crate::sync::MutexGuard;

use super::{Projection, Writer};

/// A walk over the rows of a projection, in the order in which they were made.
#[derive(Debug)]
pub(crate) struct Walk {
    projection: Arc<Projection>,
    chunks: Vec<Arc<Chunk>>,
    chunk: usize,
    offset: usize,
}

impl Projection {
    /// The rows of now, and the right to read their cells until the walk is dropped.
    pub(crate) fn walk(self: &Arc<Self>) -> Walk {
        let mut writer = self.lock();
        writer.walks += 1;
        let overflow = self.overflow.get().map(|(chunk, _)| Arc::clone(chunk));
        let chunks = writer.chunks.iter().cloned().chain(overflow).collect();
        Walk { chunks, projection: Arc::clone(self), chunk: 0, offset: 0 }
    }

    /// Keeps every other walk from beginning, if the caller's is the only one.
    pub(crate) fn alone(&self) -> Option<Alone<'_>> {
        let writer = self.lock();
        (writer.walks == 1).then_some(Alone(writer))
    }
}

impl Walk {
    /// The next row that is shown.
    #[inline]
    pub(crate) fn next(&mut self) -> Option<Row> {
        loop {
            let chunk = self.chunks.get(self.chunk)?;
            if self.offset >= chunk.used() {
                self.chunk += 1;
                self.offset = 0;
                continue;
            }
            // SAFETY: the offset starts at zero, is stepped by `row_at`, and is below `used`.
            let (row, next) = unsafe { chunk.row_at(self.offset) };
            self.offset = next;
            if row.flags() & (HIDDEN | DEAD) == 0 {
                return Some(row);
            }
        }
    }
}

impl Drop for Walk {
    fn drop(&mut self) {
        self.projection.lock().walks -= 1;
    }
}

/// Nobody else reads cells of the projection, and no cells are given back, as long as this lives.
#[derive(Debug)]
pub(crate) struct Alone<'a>(#[allow(dead_code, reason = "held, not read")] MutexGuard<'a, Writer>);
