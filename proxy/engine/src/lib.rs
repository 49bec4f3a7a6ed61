//! The data plane: a snapshot directory in, a running proxy out.

pub mod drain;
