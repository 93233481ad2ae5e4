//! What later steps found out about a verified token, kept beside it so that a second use of the token finds it with no
//! look-up of its own, and forgotten with it.
use super::issue::Minted;
use crate::ports::store::Binding;
use std::sync::{Arc, Mutex, OnceLock, PoisonError};

/// Empty until the steps fill it. Each step says itself whether what it finds may still be used.
#[derive(Debug, Default)]
pub(super) struct Memo {
    binding: Mutex<Option<(u64, Binding)>>,
    minted: Mutex<Option<Arc<Minted>>>,
    subject_hash: OnceLock<Arc<str>>,
}

impl Memo {
    /// The binding, and the edition of the store it was had under.
    pub(super) fn binding(&self) -> Option<(u64, Binding)> {
        self.binding.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps a binding.
    pub(super) fn put_binding(&self, edition: u64, binding: Binding) {
        *self.binding.lock().unwrap_or_else(PoisonError::into_inner) = Some((edition, binding));
    }

    /// The Conversations token that was signed last for this upstream token.
    pub(super) fn minted(&self) -> Option<Arc<Minted>> {
        self.minted.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }

    /// Keeps it in place of the last one.
    pub(super) fn put_minted(&self, minted: Arc<Minted>) {
        *self.minted.lock().unwrap_or_else(PoisonError::into_inner) = Some(minted);
    }

    /// The subject's hash for audit lines, made once.
    pub(super) fn subject_hash(&self, make: impl FnOnce() -> String) -> Arc<str> {
        Arc::clone(self.subject_hash.get_or_init(|| make().into()))
    }
}
