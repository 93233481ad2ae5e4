//! The composition root: settings in, running usher out. The one room that knows every other.
mod doors;
mod face;
mod follow;
pub mod host;
mod issuers;
mod keeping;
mod listeners;
mod naming;
mod policy;
mod postgres;
mod ready;
mod rehearsal;
mod reload;
mod running;
mod start;
mod store;
pub mod tasks;

pub use host::Host;
pub use issuers::keys_config;
pub use listeners::certificate_mistakes;
pub use naming::{namings, pin};
pub use postgres::look as look_at_postgres;
pub use rehearsal::{Rehearsal, rehearse};
pub use running::{Load, Options, Pages, Running, start};
pub use start::StartError;
pub use store::{Absent, Opened, open as open_store, registry};
