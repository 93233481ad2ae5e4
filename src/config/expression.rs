//! CEL expressions, compiled where they are read so that a mistake in one is found before a user finds it.
use crate::domain::policy::{Expression, InvalidExpression, Place};

/// Says what is wrong with an expression over the claims alone.
pub(super) fn over_claims(text: &str) -> Result<(), String> {
    compile(text, Place::ClaimRule)
}

/// Says what is wrong with an expression that makes an identity.
pub(super) fn over_identity(text: &str) -> Result<(), String> {
    compile(text, Place::Identity)
}

/// Which of `claims` an expression that makes an identity may look at; none where it does not compile.
pub(super) fn reads<'c>(text: &str, claims: &[&'c str]) -> Vec<&'c str> {
    let compiled = Expression::compile(text, Place::Identity);
    let reads = |name: &&str| compiled.as_ref().is_ok_and(|expression| expression.reads(name));
    claims.iter().copied().filter(reads).collect()
}

/// Says what is wrong with an expression of a grant.
pub(super) fn over_grant(text: &str) -> Result<(), String> {
    compile(text, Place::Grant)
}

fn compile(text: &str, place: Place) -> Result<(), String> {
    if text.trim().is_empty() {
        return Err("this expression is empty (write CEL, or remove the key)".to_owned());
    }
    Expression::compile(text, place).map(drop).map_err(|error| match error {
        InvalidExpression::Syntax { .. } => {
            format!("this {error} (write it as in 'chat' in claims.groups)")
        }
        InvalidExpression::TooLong
        | InvalidExpression::TooDeep
        | InvalidExpression::UnknownVariable { .. }
        | InvalidExpression::UnknownFunction(_)
        | InvalidExpression::NoThread => format!("this {error}"),
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_expression_that_does_not_compile_says_where_and_why() {
        assert_eq!(over_grant("'chat' in claims.groups && kind == 'user'"), Ok(()));
        assert!(over_claims("claims.a ==").unwrap_err().contains("is not CEL at line 1"));
        assert!(over_claims("identity == 'u'").unwrap_err().contains("names identity"));
        assert!(over_claims("now()").unwrap_err().contains("calls now"));
        assert!(over_claims(" ").unwrap_err().contains("is empty"));
        assert!(over_claims(&"(".repeat(5000)).unwrap_err().contains("longer than 4096"));
    }
}
