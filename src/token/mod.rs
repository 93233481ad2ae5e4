//! Tokens on the wire: how a JWT is read, checked and written. Pure: no I/O, no clock.
pub mod algorithm;
mod jwk;
pub mod key;
mod roca;
pub mod write;
