//! The people who can sign in.

/// One of them.
#[derive(Debug, PartialEq, Eq)]
pub struct User {
    /// The subject id, for ever.
    pub sub: &'static str,
    /// What to call them.
    pub name: &'static str,
    /// What a policy may ask for.
    pub groups: &'static [&'static str],
}

/// All of them.
pub const USERS: &[User] = &[
    User { sub: "alice", name: "Alice Archer", groups: &["chat", "staff"] },
    User { sub: "bob", name: "Bob Baker", groups: &["chat"] },
    User { sub: "carol", name: "Carol Carter", groups: &[] },
];

impl User {
    /// The user of that subject id.
    pub fn of(sub: &str) -> Option<&'static Self> {
        USERS.iter().find(|user| user.sub == sub)
    }
}
