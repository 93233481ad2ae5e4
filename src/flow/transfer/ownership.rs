//! Whose an identity is that has the form usher derives.
use super::ImportFailure;
use crate::{
    domain::{
        identity::{IdentityKey, KeyFingerprint},
        subject::Subject,
    },
    flow::registry::{Order, Registrar},
    ports::{
        registry::{ChangeError, ClashKind, Conflict, Owner, Rekey, Row},
        store::StoreError,
    },
};

/// The key, if it is what made the row's identity of its subject.
pub(super) fn derived_with(row: &Row, key: &IdentityKey) -> Option<KeyFingerprint> {
    let Owner::Subject(namespace, name) = &row.owner else { return None };
    let is_own = row.identity.has_derived_form()
        && Subject::stored(namespace, name)
            .is_ok_and(|subject| key.derive(&subject) == row.identity);
    is_own.then(|| key.fingerprint())
}

/// What stands against a row without looking at any other: an identity that usher would derive for somebody else.
pub(super) fn clash(row: &Row) -> Option<ClashKind> {
    if !row.identity.has_derived_form() {
        return None;
    }
    let is_own = match &row.owner {
        // Nobody gets it.
        Owner::Nobody => true,
        Owner::Subject(_, _) => row.derived_with.is_some(),
        // Whose it will be is not known, so it cannot be shown to be theirs.
        Owner::Waiting(_, _) => false,
    };
    (!is_own).then_some(ClashKind::NotOwn)
}

/// Refuses a key that is not the store's: with it, everybody's own identity would look like somebody else's.
///
/// # Errors
/// [`ImportFailure::Store`] and [`ImportFailure::NotDurable`].
pub(super) async fn has_the_key(registrar: &Registrar, order: &Order) -> Result<(), ImportFailure> {
    // Asks for nothing, and is refused where the key is another.
    let question = Rekey {
        old: registrar.key().clone(),
        new: None,
        formats: Vec::new(),
        keep: true,
        dry_run: true,
    };
    match registrar.rekey(&question, order).await {
        Ok(_)
        | Err(
            ChangeError::NotFound
            | ChangeError::Conflict(Conflict::HasAnother(_) | Conflict::Retired | Conflict::Taken),
        ) => Ok(()),
        Err(ChangeError::Conflict(Conflict::OtherKey(held))) => {
            Err(ImportFailure::Store(StoreError::Rekeyed(held)))
        }
        Err(ChangeError::NotDurable) => Err(ImportFailure::NotDurable),
        Err(ChangeError::Store(cause)) => Err(ImportFailure::Store(cause)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::transfer::{
        fields::{Fields, Shape},
        row,
        scene::key,
    };

    fn read(fields: [&str; 4]) -> Row {
        let [namespace, name, identity, state] = fields.map(str::to_owned);
        row::of(&Fields { namespace, name, identity, state }, Shape::Registry).unwrap()
    }

    #[test]
    fn p12_an_identity_of_derived_form_is_its_own_subjects() {
        let key = key();
        let (corp, alices) =
            ("https://login.example.com/realms/corp", "u-d3j7cm4uyqsr24th2j5j4osoqi");
        let clash_of = |fields| {
            let row = read(fields);
            clash(&Row { derived_with: derived_with(&row, &key), ..row })
        };
        assert_eq!(clash_of([corp, "alice", alices, ""]), None);
        assert_eq!(clash_of([corp, "bob", "u-not-of-derived-form", ""]), None);
        assert_eq!(clash_of([corp, "bob", alices, ""]), Some(ClashKind::NotOwn));
        assert_eq!(clash_of([corp, "alice", alices, "unclaimed"]), Some(ClashKind::NotOwn));
        assert_eq!(clash_of(["", "", alices, "retired"]), None);
    }
}
