//! Placeholder of the listing; members follow.
