//! Rows as text -> rows that the registry can take.
use super::fields::{Fields, Mistake, Shape};
use crate::{
    domain::{
        identity::{ChatIdentity, IdentityKey, InvalidChatIdentity},
        subject::{Namespace, Subject, SubjectId},
    },
    ports::registry::{ClashKind, Owner, Row, State},
};

/// Makes a row of what a line says.
pub(super) fn of(fields: &Fields, shape: Shape) -> Result<Row, Mistake> {
    let identity = identity(&fields.identity)?;
    let state = match shape {
        Shape::Registry => state(&fields.state)?,
        Shape::Unclaimed => State::Unclaimed,
    };
    let is_nobody = fields.namespace.is_empty() && fields.name.is_empty();
    let owner = match (state, is_nobody) {
        (State::Retired | State::Unlinked, true) => Owner::Nobody,
        (State::Unlinked, false) => return Err(Mistake::NotUnlinked),
        (State::Active, true) => return Err(Mistake::Nobody),
        (State::Active | State::Retired, false) => {
            let (namespace, name) = names(fields, shape)?;
            Owner::Subject(namespace, name)
        }
        (State::Unclaimed, true | false) => {
            let (namespace, name) = names(fields, shape)?;
            Owner::Waiting(namespace, name)
        }
    };
    Ok(Row { owner, identity, is_retired: state == State::Retired })
}

fn identity(text: &str) -> Result<ChatIdentity, Mistake> {
    if text.is_empty() {
        return Err(Mistake::Empty("identity"));
    }
    if text.starts_with("g-") {
        return Err(Mistake::GuestIdentity);
    }
    ChatIdentity::imported(text).map_err(|invalid| match invalid {
        InvalidChatIdentity::Alphabet => Mistake::InvalidIdentity,
        InvalidChatIdentity::Reserved => Mistake::ForbiddenIdentity,
    })
}

fn state(text: &str) -> Result<State, Mistake> {
    match text {
        "" => Ok(State::Active),
        _ => [State::Active, State::Retired, State::Unlinked, State::Unclaimed]
            .into_iter()
            .find(|state| state.as_str() == text)
            .ok_or(Mistake::UnknownState),
    }
}

/// Namespace, and subject or match: both by the rules of subjects, so that they can equal what a token says.
fn names(fields: &Fields, shape: Shape) -> Result<(Box<str>, Box<str>), Mistake> {
    let label = shape.label(super::fields::Column::Name);
    for (text, label) in [(&fields.namespace, "namespace"), (&fields.name, label)] {
        if text.is_empty() {
            return Err(Mistake::Empty(label));
        }
    }
    let namespace: Namespace =
        fields.namespace.parse().map_err(|_| Mistake::InvalidName("namespace"))?;
    if namespace.as_str().starts_with("urn:usher:") {
        return Err(Mistake::ReservedNamespace);
    }
    let name: SubjectId = fields.name.parse().map_err(|_| Mistake::InvalidName(label))?;
    Ok((namespace.as_str().into(), name.as_str().into()))
}

/// What stands against a row without looking at any other: an identity that usher would derive for somebody else.
pub(super) fn clash(row: &Row, key: &IdentityKey) -> Option<ClashKind> {
    if !row.identity.has_derived_form() {
        return None;
    }
    let is_own = match &row.owner {
        // Nobody gets it.
        Owner::Nobody => true,
        Owner::Subject(namespace, name) => match (namespace.parse(), name.parse()) {
            (Ok(namespace), Ok(id)) => key.derive(&Subject::new(namespace, id)) == row.identity,
            (Err(_), _) | (_, Err(_)) => false,
        },
        // Whose it will be is not known, so it cannot be shown to be theirs.
        Owner::Waiting(_, _) => false,
    };
    (!is_own).then_some(ClashKind::NotOwn)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(fields: [&str; 4]) -> Result<Row, Mistake> {
        let [namespace, name, identity, state] = fields.map(str::to_owned);
        of(&Fields { namespace, name, identity, state }, Shape::Registry)
    }

    #[test]
    fn a_state_says_whose_the_identity_is() {
        let owner = |fields| read(fields).map(|row| (row.owner, row.is_retired));
        let alice = Owner::Subject("corp".into(), "alice".into());
        assert_eq!(owner(["corp", "alice", "a@b.example", ""]), Ok((alice.clone(), false)));
        assert_eq!(owner(["corp", "alice", "a", "active"]), Ok((alice.clone(), false)));
        assert_eq!(owner(["corp", "alice", "a", "retired"]), Ok((alice, true)));
        let waiting = Owner::Waiting("corp".into(), "a@b.example".into());
        assert_eq!(owner(["corp", "a@b.example", "a", "unclaimed"]), Ok((waiting, false)));
        assert_eq!(owner(["", "", "a", "retired"]), Ok((Owner::Nobody, true)));
        assert_eq!(owner(["", "", "a", "unlinked"]), Ok((Owner::Nobody, false)));
    }

    #[test]
    fn what_does_not_make_sense_is_refused_without_repeating_it() {
        let long = "x".repeat(1025);
        for (fields, mistake) in [
            (["", "", "a", "active"], Mistake::Nobody),
            (["", "", "a", ""], Mistake::Nobody),
            (["", "alice", "a", "active"], Mistake::Empty("namespace")),
            (["corp", "", "a", "retired"], Mistake::Empty("subject")),
            (["", "", "a", "unclaimed"], Mistake::Empty("namespace")),
            (["corp", "alice", "a", "unlinked"], Mistake::NotUnlinked),
            (["corp", "alice", "a", "Active"], Mistake::UnknownState),
            (["corp", "alice", "", ""], Mistake::Empty("identity")),
            (["corp", "alice", "system", ""], Mistake::ForbiddenIdentity),
            (["corp", "alice", "..", ""], Mistake::ForbiddenIdentity),
            (["corp", "alice", "a\nb", ""], Mistake::InvalidIdentity),
            (["corp", "alice", "a\0b", ""], Mistake::InvalidIdentity),
            (["corp", "alice", &"é".repeat(257), ""], Mistake::InvalidIdentity),
            (["corp", "alice", "g-1", ""], Mistake::GuestIdentity),
            (["corp", "a\0b", "a", ""], Mistake::InvalidName("subject")),
            (["corp", &long, "a", ""], Mistake::InvalidName("subject")),
            ([&long, "a", "a", ""], Mistake::InvalidName("namespace")),
            (["urn:usher:guest", "a", "a", ""], Mistake::ReservedNamespace),
            (["urn:usher:api-token", "a", "a", "unclaimed"], Mistake::ReservedNamespace),
        ] {
            assert_eq!(read(fields), Err(mistake), "{fields:?}");
        }
        assert!(read(["corp", "alice", &"é".repeat(256), ""]).is_ok());
    }

    #[test]
    fn p12_an_identity_of_derived_form_is_its_own_subjects() {
        let key =
            IdentityKey::new(&crate::domain::secret::Secret::new((0..64).collect::<Vec<u8>>()));
        let key = key.unwrap();
        let (corp, alices) =
            ("https://login.example.com/realms/corp", "u-d3j7cm4uyqsr24th2j5j4osoqi");
        let clash_of = |fields| clash(&read(fields).unwrap(), &key);
        assert_eq!(clash_of([corp, "alice", alices, ""]), None);
        assert_eq!(clash_of([corp, "bob", "u-not-of-derived-form", ""]), None);
        assert_eq!(clash_of([corp, "bob", alices, ""]), Some(ClashKind::NotOwn));
        assert_eq!(clash_of([corp, "alice", alices, "unclaimed"]), Some(ClashKind::NotOwn));
        assert_eq!(clash_of(["", "", alices, "retired"]), None);
    }
}
