//! Rows as text -> rows that the registry can take.
use super::fields::{Column, Fields, Mistake, Shape};
use crate::{
    domain::{
        identity::{ChatIdentity, InvalidChatIdentity},
        subject::{Namespace, Subject},
    },
    ports::registry::{Owner, Row, State},
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
    Ok(Row { owner, identity, is_retired: state == State::Retired, derived_with: None })
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
    let label = shape.label(Column::Name);
    for (text, label) in [(&fields.namespace, "namespace"), (&fields.name, label)] {
        if text.is_empty() {
            return Err(Mistake::Empty(label));
        }
    }
    let namespace: Namespace =
        fields.namespace.parse().map_err(|_| Mistake::InvalidName("namespace"))?;
    if namespace.is_reserved() {
        return Err(Mistake::ReservedNamespace);
    }
    if Subject::stored(&fields.namespace, &fields.name).is_err() {
        return Err(Mistake::InvalidName(label));
    }
    Ok((namespace.as_str().into(), fields.name.as_str().into()))
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
        let (long, longer) = ("x".repeat(1025), "x".repeat(4097));
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
            (["corp", &longer, "a", ""], Mistake::InvalidName("subject")),
            ([&long, "a", "a", ""], Mistake::InvalidName("namespace")),
        ] {
            assert_eq!(read(fields), Err(mistake), "{fields:?}");
        }
        assert!(read(["corp", "alice", &"é".repeat(256), ""]).is_ok());
        let composed = format!("[\"{0}\",\"{0}\"]", "t".repeat(1024));
        assert!(read(["corp", &composed, "a", ""]).is_ok(), "an id of two claims");
    }

    #[test]
    fn p20_a_file_gives_nothing_to_guests_or_api_tokens_and_nobody_a_guests_identity() {
        for namespace in ["urn:usher:guest", "urn:usher:api-token", "urn:usher:"] {
            for state in ["", "retired", "unclaimed"] {
                let refused = read([namespace, "a", "a", state]);
                assert_eq!(refused, Err(Mistake::ReservedNamespace), "{namespace} {state}");
            }
        }
        assert!(read(["urn:usher", "a", "a", ""]).is_ok());
        assert_eq!(read(["corp", "a", "g-1", "retired"]), Err(Mistake::GuestIdentity));
    }
}
