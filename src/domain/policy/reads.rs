//! Which claims an expression looks at (contract 4: claims that a user can change).
use cel::common::ast::{EntryExpr, Expr, IdedExpr, LiteralValue, operators};

/// The claims that an expression names.
#[derive(Debug, Default)]
pub(super) struct Reads {
    names: Vec<Box<str>>,
    /// It uses all the claims as one value, or one whose name it computes: no one can tell which it reads.
    any: bool,
}

impl Reads {
    /// Reads an expression whose depth has been bounded.
    pub(super) fn of(expression: &IdedExpr) -> Self {
        let mut reads = Self::default();
        reads.visit(&expression.expr);
        reads
    }

    pub(super) fn may_read(&self, name: &str) -> bool {
        self.any || self.names.iter().any(|named| &**named == name)
    }

    fn visit(&mut self, expression: &Expr) {
        match expression {
            // Where a loop calls its variable `claims` too, this errs on the side of caution.
            Expr::Ident(name) => self.any |= name == "claims",
            Expr::Select(select) if is_claims(&select.operand) => self.name(&select.field),
            Expr::Select(select) => self.visit(&select.operand.expr),
            Expr::Call(call) => match (&*call.func_name, call.args.as_slice()) {
                (operators::INDEX, [of, at]) if is_claims(of) => self.element(at),
                (operators::IN, [at, of]) if is_claims(of) => self.element(at),
                _ => {
                    call.target.iter().for_each(|target| self.visit(&target.expr));
                    self.all(&call.args);
                }
            },
            Expr::List(list) => self.all(&list.elements),
            Expr::Map(map) => map.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Struct(of) => of.entries.iter().for_each(|entry| self.entry(&entry.expr)),
            Expr::Comprehension(inner) => {
                for part in [
                    &inner.iter_range,
                    &inner.accu_init,
                    &inner.loop_cond,
                    &inner.loop_step,
                    &inner.result,
                ] {
                    self.visit(&part.expr);
                }
            }
            Expr::Literal(_) | Expr::Unspecified => {}
        }
    }

    fn all(&mut self, expressions: &[IdedExpr]) {
        for expression in expressions {
            self.visit(&expression.expr);
        }
    }

    fn entry(&mut self, entry: &EntryExpr) {
        match entry {
            EntryExpr::StructField(field) => self.visit(&field.value.expr),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key.expr);
                self.visit(&entry.value.expr);
            }
        }
    }

    /// The claim that is looked up by `at`.
    fn element(&mut self, at: &IdedExpr) {
        if let Expr::Literal(LiteralValue::String(name)) = &at.expr {
            self.name(name.inner());
        } else {
            self.any = true;
            self.visit(&at.expr);
        }
    }

    fn name(&mut self, name: &str) {
        self.names.push(name.into());
    }
}

fn is_claims(expression: &IdedExpr) -> bool {
    matches!(&expression.expr, Expr::Ident(name) if name == "claims")
}

#[cfg(test)]
mod tests {
    use crate::domain::policy::{Expression, Place};

    fn reads(source: &str, claim: &str) -> bool {
        Expression::compile(source, Place::Identity).unwrap().reads(claim)
    }

    #[test]
    fn p12_a_claim_is_read_however_it_is_written() {
        for source in [
            "claims.email",
            "claims['email']",
            "claims[\"e\\x6dail\"]",
            "has(claims.email) ? claims.sub : 'x'",
            "'email' in claims ? 'a' : 'b'",
            "'x-' + string(claims.email)",
            "[claims.sub, claims.email][1]",
            "{'a': claims.email}['a']",
            "claims.email.contains('@') ? claims.sub : 'x'",
            "claims.groups.exists(g, g == claims.email) ? 'a' : 'b'",
            "claims['em' + 'ail']",
            "claims[claims.which]",
            "[claims][0].email",
            "[claims].map(c, c.email)[0]",
            "claims.map(name, claims[name])[0]",
            "claims.exists(name, name == 'x') ? 'a' : 'b'",
            "string(claims == {})",
        ] {
            assert!(reads(source, "email"), "{source}");
        }
    }

    #[test]
    fn a_claim_that_is_not_read_is_not_said_to_be() {
        for source in [
            "claims.sub",
            "claims['employee_id']",
            "issuer + claims.user.email",
            "claims.emails[0]",
            "'email'",
            "'sub' in claims ? claims.sub : 'email'",
        ] {
            assert!(!reads(source, "email"), "{source}");
        }
    }
}
