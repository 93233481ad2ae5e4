//! What `usher dev` embeds; tests use it too. Nothing here runs in `usher serve`.
pub mod page;
pub mod provider;
pub mod state;
