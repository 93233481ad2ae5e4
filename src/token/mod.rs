//! Tokens on the wire: how a JWT is read, checked and written. Pure: no I/O, no clock.
pub mod algorithm;
pub mod digest;
pub mod json;
mod jwk;
pub mod key;
pub mod read;
mod roca;
pub mod signature;
pub mod write;

#[cfg(test)]
pub(crate) mod test_keys;
#[cfg(test)]
mod wycheproof;
