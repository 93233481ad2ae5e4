//! Who sits at the terminal, for the history.

/// The effective user's name, or their number where the host has no name for it.
pub(super) fn name() -> String {
    let number = rustix::process::geteuid().as_raw().to_string();
    let users = std::fs::read("/etc/passwd").unwrap_or_default();
    named(&String::from_utf8_lossy(&users), &number).unwrap_or(number)
}

/// `NAME:PASSWORD:NUMBER:…`, a user a line (passwd(5)).
fn named(users: &str, number: &str) -> Option<String> {
    users.lines().find_map(|line| {
        let mut fields = line.split(':');
        let name = fields.next().filter(|name| !name.is_empty() && name.len() <= 256)?;
        let is_theirs = fields.nth(1) == Some(number) && !name.contains(char::is_control);
        is_theirs.then(|| name.to_owned())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_user_is_found_by_number() {
        let users =
            "root:x:0:0:root:/root:/bin/sh\n\nbad\n:x:7:\nalice:x:1000:1000::/home/alice:\n";
        assert_eq!(named(users, "1000").as_deref(), Some("alice"));
        assert_eq!(named(users, "0").as_deref(), Some("root"));
        for number in ["7", "100", "10000", ""] {
            assert_eq!(named(users, number), None, "{number}");
        }
        assert!(!name().is_empty());
    }
}
