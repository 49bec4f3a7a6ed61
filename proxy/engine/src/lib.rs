//! The data plane: a snapshot directory in, a running proxy out.

pub mod admin;
pub mod drain;
pub mod progress;
pub mod reload;
