//! Stands empty until its room is built.
