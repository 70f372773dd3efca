//! Programs to run, and to read: each shows one thing, and `demo` all of them. This library is empty.
