//! Expressions that operators write over a token's claims, in CEL (contract 5: `claimValidationRules`, `identity`,
//! `grants`).
//!
//! Compiling may recurse deeply and happens when a configuration is read, on a thread with a stack for it. What was
//! compiled is bounded so that evaluating it fits the stack of any thread. An evaluation that fails means no.
mod reads;
mod shape;
mod values;

use super::claims::{Claims, UserKind};
use cel::{
    Context, Env, Program,
    common::{
        types::{CelBool, CelString},
        value::CowVal,
    },
    context::VariableResolver,
};
use reads::Reads;
use std::{
    fmt,
    sync::{Arc, LazyLock},
};
pub(super) use values::ClaimValues;

/// The longest expression, in bytes.
const LONGEST: usize = 4096;

/// The stack for compiling: enough for the deepest nesting that [`LONGEST`] bytes can write, in a debug build.
const COMPILER_STACK: usize = 64 * 1024 * 1024;

static ENVIRONMENT: LazyLock<Arc<Env>> =
    LazyLock::new(|| Arc::new(Env::stdlib().with_optional_support(false)));

/// Where an expression stands, and so which variables it may name.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// `claimValidationRules`: `claims`.
    ClaimRule,
    /// `issuers[].identity.expression`: `claims`, `issuer`.
    Identity,
    /// `grants[].when` and `grants[].service`: `claims`, `issuer`, `identity`, `kind`.
    Grant,
}

impl Place {
    /// The variables an expression may name there.
    pub fn variables(self) -> &'static [&'static str] {
        match self {
            Self::ClaimRule => &["claims"],
            Self::Identity => &["claims", "issuer"],
            Self::Grant => &["claims", "issuer", "identity", "kind"],
        }
    }
}

/// What is known about a user when an expression is evaluated.
#[derive(Clone, Copy, Debug)]
pub struct Facts<'a> {
    /// All the token says.
    pub claims: &'a Claims,
    /// The issuer's URL as configured; for identities and grants.
    pub issuer: &'a str,
    /// The Conversations identity; for grants.
    pub identity: &'a str,
    /// Who stands behind the token; for grants.
    pub kind: UserKind,
}

impl<'a> Facts<'a> {
    /// What claim rules may ask: only the claims.
    pub fn claims(claims: &'a Claims) -> Self {
        Self::unnamed(claims, "")
    }

    /// What is known before there is an identity.
    pub fn unnamed(claims: &'a Claims, issuer: &'a str) -> Self {
        Self { claims, issuer, identity: "", kind: UserKind::User }
    }
}

impl VariableResolver for Facts<'_> {
    fn resolve<'b>(&'b self, variable: &str) -> Option<CowVal<'b, 'b>> {
        let text = |text: &'b str| Some(CowVal::owned(CelString::from(text)));
        match variable {
            "claims" => Some(CowVal::Borrowed(self.claims.values().map())),
            "issuer" => text(self.issuer),
            "identity" => text(self.identity),
            "kind" => text(self.kind.as_str()),
            _ => None,
        }
    }
}

/// A compiled expression.
pub struct Expression {
    program: Program,
    reads: Reads,
}

impl Expression {
    /// Compiles `source`, at most 4 KiB of CEL over the variables of `place`.
    ///
    /// # Errors
    /// Each variant of [`InvalidExpression`]. No sentence repeats more of the source than one name.
    pub fn compile(source: &str, place: Place) -> Result<Self, InvalidExpression> {
        if source.len() > LONGEST {
            return Err(InvalidExpression::TooLong);
        }
        std::thread::scope(|scope| {
            let compiler = std::thread::Builder::new()
                .name("cel".to_owned())
                .stack_size(COMPILER_STACK)
                .spawn_scoped(scope, || Self::compile_here(source, place))
                .map_err(|_| InvalidExpression::NoThread)?;
            // The parser panicked: it does not understand the text.
            compiler.join().unwrap_or(Err(InvalidExpression::Syntax { line: 1, column: 1 }))
        })
    }

    fn compile_here(source: &str, place: Place) -> Result<Self, InvalidExpression> {
        let program = ENVIRONMENT.compile(source).map_err(|errors| {
            let (line, column) = errors.errors.first().map_or((1, 1), |error| error.pos);
            let at = |n: isize| u32::try_from(n).unwrap_or(1).max(1);
            InvalidExpression::Syntax { line: at(line), column: at(column) }
        })?;
        shape::check(program.expression(), place.variables())?;
        let reads = Reads::of(program.expression());
        Ok(Self { program, reads })
    }

    /// Whether the expression may look at the claim `name`: it names it, or looks claims up by names that it computes.
    pub fn reads(&self, name: &str) -> bool {
        self.reads.may_read(name)
    }

    /// Whether the expression is `true`.
    ///
    /// # Errors
    /// It has no value here, or one that is not a boolean: which means no.
    pub fn holds(&self, facts: &Facts<'_>) -> Result<bool, Unevaluated> {
        self.value(facts, |value| value.downcast_ref::<CelBool>().map(|truth| *truth.inner()))
    }

    /// The text that the expression yields.
    ///
    /// # Errors
    /// It has no value here, or one that is not a string.
    pub fn text(&self, facts: &Facts<'_>) -> Result<String, Unevaluated> {
        self.value(facts, |value| {
            value.downcast_ref::<CelString<'_>>().map(|s| s.inner().to_owned())
        })
    }

    fn value<T>(
        &self,
        facts: &Facts<'_>,
        read: impl FnOnce(&CowVal<'_, '_>) -> Option<T>,
    ) -> Result<T, Unevaluated> {
        let mut context = Context::with_env(Arc::clone(&ENVIRONMENT));
        context.set_variable_resolver(facts);
        // The library's error may quote a claim, so it goes no further.
        let value = cel::Value::resolve_val(self.program.expression(), &context)
            .map_err(|_| Unevaluated::NoValue)?;
        read(&value).ok_or(Unevaluated::WrongType)
    }
}

impl fmt::Debug for Expression {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Expression(..)")
    }
}

/// Why a text is not an expression.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum InvalidExpression {
    /// Over 4 KiB.
    #[error("expression is longer than 4096 bytes")]
    TooLong,
    /// It would need more stack than a request has, or more than two loops in each other.
    #[error("expression is nested too deeply")]
    TooDeep,
    /// Not CEL.
    #[error("expression is not CEL at line {line}, column {column}")]
    Syntax {
        /// From 1.
        line: u32,
        /// From 1.
        column: u32,
    },
    /// A variable that is not known in this place.
    #[error("expression names {name}, which is none of {}", known.join(", "))]
    UnknownVariable {
        /// What it names.
        name: String,
        /// What it may name.
        known: &'static [&'static str],
    },
    /// A function that CEL does not have here.
    #[error("expression calls {0}, which there is not")]
    UnknownFunction(String),
    /// The host gives no thread to compile on.
    #[error("expression could not be compiled for want of a thread")]
    NoThread,
}

/// Why an expression says nothing about a user; treated as no. Holds nothing from the token.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Unevaluated {
    /// A claim is missing, or of a type that an operator or function does not take.
    #[error("expression has no value for this token")]
    NoValue,
    /// The value is not a boolean or string, as the place needs.
    #[error("expression's value has the wrong type")]
    WrongType,
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn claims(value: &serde_json::Value) -> Claims {
        Claims::new(value.as_object().unwrap().clone())
    }

    fn rule(source: &str) -> Expression {
        Expression::compile(source, Place::ClaimRule).unwrap()
    }

    fn holds(source: &str, value: &serde_json::Value) -> Result<bool, Unevaluated> {
        rule(source).holds(&Facts::claims(&claims(value)))
    }

    fn refused(source: &str) -> InvalidExpression {
        Expression::compile(source, Place::Grant).unwrap_err()
    }

    #[test]
    fn the_expressions_of_the_contract_hold_where_they_should() {
        let verified = "claims.email_verified == true";
        assert_eq!(holds(verified, &json!({"email_verified": true})), Ok(true));
        assert_eq!(holds(verified, &json!({"email_verified": false})), Ok(false));
        assert_eq!(holds(verified, &json!({"email_verified": "true"})), Ok(false));
        let groups = "'chat' in claims.groups";
        assert_eq!(holds(groups, &json!({"groups": ["a", "chat"]})), Ok(true));
        assert_eq!(holds(groups, &json!({"groups": []})), Ok(false));
        assert_eq!(holds("claims['https://ns/x'] == 'y'", &json!({"https://ns/x": "y"})), Ok(true));
        assert_eq!(holds("has(claims.a) && claims.a > 1", &json!({"a": 2})), Ok(true));
        assert_eq!(holds("claims.a.exists(x, x.startsWith('t'))", &json!({"a": ["t1"]})), Ok(true));
    }

    #[test]
    fn a_grant_knows_issuer_identity_and_kind() {
        let source = "[issuer, identity, kind, claims.t] == ['https://i', 'u-1', 'user', 'x']";
        let claims = claims(&json!({"t": "x"}));
        let facts =
            Facts { claims: &claims, issuer: "https://i", identity: "u-1", kind: UserKind::User };
        let expression = Expression::compile(source, Place::Grant).unwrap();
        assert_eq!(expression.holds(&facts), Ok(true));
        let tenant = Expression::compile("claims.t + '-' + kind", Place::Grant).unwrap();
        assert_eq!(tenant.text(&facts).unwrap(), "x-user");
        assert_eq!(tenant.holds(&facts), Err(Unevaluated::WrongType));
    }

    #[test]
    fn p11_an_evaluation_error_is_not_a_yes() {
        for source in
            ["claims.missing == 'x'", "claims.n.m == 1", "1 / claims.zero > 0", "claims.l[9] == 1"]
        {
            let value = json!({"n": 1, "zero": 0, "l": []});
            assert_eq!(holds(source, &value), Err(Unevaluated::NoValue), "{source}");
        }
        assert_eq!(holds("claims.n", &json!({"n": 1})), Err(Unevaluated::WrongType));
    }

    #[test]
    fn p5_whole_numbers_beyond_2_to_the_53_keep_their_last_digit() {
        let value = json!({"n": 9_007_199_254_740_993_u64, "max": u64::MAX});
        assert_eq!(holds("claims.n == 9007199254740993", &value), Ok(true));
        assert_eq!(holds("claims.n == 9007199254740992", &value), Ok(false));
        assert_eq!(holds("claims.max == 18446744073709551615u", &value), Ok(true));
    }

    #[test]
    fn a_name_that_nobody_declares_is_refused_when_it_is_compiled() {
        let unknown = |source, place| Expression::compile(source, place).unwrap_err().to_string();
        for (source, name) in [
            ("claim.email == 'a'", "claim"),
            ("claims.a.exists(x, x == y)", "y"),
            ("claims.a.exists(x, x == 1) && x == 1", "x"),
        ] {
            assert_eq!(
                unknown(source, Place::Grant),
                format!("expression names {name}, which is none of claims, issuer, identity, kind")
            );
        }
        assert_eq!(
            unknown("identity == 'u-1'", Place::ClaimRule),
            "expression names identity, which is none of claims"
        );
        assert_eq!(
            refused("claims.email.lowerAscii() == 'a'"),
            InvalidExpression::UnknownFunction("lowerAscii".to_owned())
        );
    }

    #[test]
    fn every_function_that_is_let_through_exists() {
        for source in [
            "bool('true')",
            "bytes('a') == b'a'",
            "'abc'.contains('b')",
            "double(1) == 1.0",
            "dyn(1) == 1",
            "'abc'.endsWith('c')",
            "int('1') == 1",
            "'abc'.matches('^a')",
            "size([1]) == 1 && [1].size() == 1",
            "'abc'.startsWith('a')",
            "string(1) == '1'",
            "type(1) == int && type({}) == map && type(null) == null_type",
            "uint(1) == 1u",
        ] {
            assert_eq!(holds(source, &json!({})), Ok(true), "{source}");
        }
    }

    #[test]
    fn a_syntax_error_says_where() {
        assert_eq!(refused("claims.a ==\n == 1"), InvalidExpression::Syntax { line: 2, column: 2 });
        assert!(matches!(refused(""), InvalidExpression::Syntax { .. }));
        assert!(matches!(
            refused("google.protobuf.Empty{}"),
            InvalidExpression::UnknownFunction(_)
        ));
    }

    /// Each of these overflows the stack of a thread of 2 MiB unless it is bounded, which ends the process.
    #[test]
    fn the_deepest_text_of_4_kib_is_refused_and_ends_no_process() {
        let fill = |before: &str, core: &str, after: &str| {
            let times = (LONGEST - core.len()) / (before.len() + after.len());
            before.repeat(times) + core + &after.repeat(times)
        };
        for source in [
            fill("", "1", "+1"),
            fill("", "claims", ".a"),
            fill("", "claims", "[0]"),
            fill("!", "true", ""),
            fill("-", "1", ""),
            fill("", "true", "?true:true"),
            fill("(", "1", ")"),
            fill("[", "1", "]"),
            fill("{1:", "1", "}"),
            fill("size(", "1", ")"),
            fill("", "claims", ".map(x,x)"),
            fill("claims.map(x,", "x", ")"),
            fill("", "true", "&&true"),
            fill("", "", "'"),
        ] {
            // CEL reads `!!` as nothing and `a && b && c` as a balanced tree; the others are refused.
            let flat = source.starts_with("!!")
                || source.starts_with("true&&")
                || source.starts_with("--");
            let compiled = Expression::compile(&source, Place::ClaimRule);
            assert_eq!(compiled.is_ok(), flat, "{source:.20}");
        }
        assert_eq!(refused(&" ".repeat(LONGEST + 1)), InvalidExpression::TooLong);
    }

    #[test]
    fn the_deepest_expression_that_compiles_fits_half_of_a_workers_stack() {
        let nested = |head: &str, part: &str, tail: &str| {
            (1..50).rev().find_map(|n| {
                let source = part.repeat(n) + head + &tail.repeat(n);
                Expression::compile(&source, Place::ClaimRule).ok()
            })
        };
        let expressions = [
            nested("1", "1+(", ")"),
            nested("[]", "[", "]"),
            nested("1", "{1:", "}"),
            nested("true", "true?true:(", ")"),
            nested("true", "!!(", ")"),
            nested("'a'", "string(", ")"),
            nested("true", "true && (false || ", ")"),
            nested("claims.l", "claims.l.filter(x, x in ", ")"),
            nested("claims.l", "claims.l.map(x, ", ")"),
            nested("claims", "", ".a"),
        ];
        let claims = claims(&json!({"l": [1, 2, 3]}));
        std::thread::scope(|scope| {
            let evaluator = std::thread::Builder::new().stack_size(1024 * 1024);
            evaluator
                .spawn_scoped(scope, || {
                    for expression in expressions {
                        let _ = expression.unwrap().holds(&Facts::claims(&claims));
                    }
                })
                .unwrap();
        });
    }
}
