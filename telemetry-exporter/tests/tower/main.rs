//! The metrics in a server that is not ours.

mod load;
mod service;
