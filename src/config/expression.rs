//! CEL expressions, compiled where they are read so that a mistake in one is found before a user finds it.

/// The longest expression, 4 KiB.
const MOST_BYTES: usize = 4096;

/// Says what is wrong with an expression.
pub(super) fn check(text: &str) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("this expression is empty (remove the key)".to_owned());
    }
    if text.len() > MOST_BYTES {
        return Err("an expression is at most 4 KiB long".to_owned());
    }
    Ok(())
}
