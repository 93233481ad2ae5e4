//! What `usher dev` embeds; tests use it too. Nothing here runs in `usher serve`.
pub mod provider;
pub mod state;
