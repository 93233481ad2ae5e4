//! Which known word was meant.

/// The known word nearest to `word`, and whether it is so near that it was surely meant.
pub(in crate::config) fn nearest<'k>(
    word: &str,
    known: impl IntoIterator<Item = &'k str>,
) -> Option<(&'k str, bool)> {
    // A key may be long, and a text of any length costs its square.
    let folded: String = folded(word).chars().take(64).collect();
    let distance = |name: &str| strsim::osa_distance(&folded, &self::folded(name));
    let (distance, name) = known.into_iter().map(|name| (distance(name), name)).min()?;
    Some((name, distance <= (name.len() / 3).clamp(1, 3)))
}

/// `service_sid`, `service-sid` and `ServiceSid` are the same key in other habits of writing.
fn folded(word: &str) -> String {
    word.chars().filter(|c| !matches!(c, '_' | '-')).flat_map(char::to_lowercase).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_slip_or_another_spelling_finds_its_key() {
        let known = ["audiences", "audienceClaim", "url", "issuers"];
        for (word, wanted) in [
            ("audience", ("audiences", true)),
            ("audience_claim", ("audienceClaim", true)),
            ("URL", ("url", true)),
            ("ulr", ("url", true)),
            ("issuer", ("issuers", true)),
            ("uri", ("url", true)),
        ] {
            assert_eq!(nearest(word, known), Some(wanted), "{word}");
        }
        assert!(!nearest("database", known).unwrap().1);
    }
}
