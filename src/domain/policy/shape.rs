//! Bounds what an expression may cost, and finds names that nobody declares before a user has to.
use super::InvalidExpression;
use cel::common::ast::{ComprehensionExpr, EntryExpr, Expr, IdedEntryExpr, IdedExpr};

/// How deep an expression may be nested. Evaluating recurses once a level, which takes 40 KiB in a debug build.
const DEEPEST: usize = 24;

/// How many loops (`exists`, `all`, `map`, `filter`) may stand in each other: a token of 16 KiB can hold lists of
/// thousands, and there is no other bound on the steps of an evaluation.
const MOST_LOOPS: usize = 2;

/// The functions of CEL's standard library without times, as far as the library has them.
const FUNCTIONS: &[&str] = &[
    "bool",
    "bytes",
    "contains",
    "double",
    "dyn",
    "endsWith",
    "int",
    "matches",
    "size",
    "startsWith",
    "string",
    "type",
    "uint",
];

/// Names that stand for types, as in `type(claims.groups) == list`.
const TYPES: &[&str] =
    &["bool", "bytes", "double", "int", "list", "map", "null_type", "string", "type", "uint"];

/// Checks a whole expression that may name `variables`.
pub(super) fn check(
    expression: &IdedExpr,
    variables: &'static [&'static str],
) -> Result<(), InvalidExpression> {
    Walk { variables, bound: Vec::new(), depth: 0, loops: 0 }.visit(expression)
}

struct Walk<'e> {
    variables: &'static [&'static str],
    /// The variables of the loops around.
    bound: Vec<&'e str>,
    depth: usize,
    loops: usize,
}

impl<'e> Walk<'e> {
    fn visit(&mut self, expression: &'e IdedExpr) -> Result<(), InvalidExpression> {
        self.depth += 1;
        if self.depth > DEEPEST {
            return Err(InvalidExpression::TooDeep);
        }
        match &expression.expr {
            Expr::Literal(_) => {}
            Expr::Ident(name) => self.variable(name)?,
            Expr::Select(select) => self.visit(&select.operand)?,
            Expr::Call(call) => {
                function(&call.func_name)?;
                call.target.iter().try_for_each(|target| self.visit(target))?;
                self.all(&call.args)?;
            }
            Expr::List(list) => self.all(&list.elements)?,
            Expr::Map(map) => self.entries(&map.entries)?,
            Expr::Struct(of) => {
                return Err(InvalidExpression::UnknownFunction(of.type_name.clone()));
            }
            Expr::Comprehension(inner) => self.comprehension(inner)?,
            Expr::Unspecified => return Err(InvalidExpression::Syntax { line: 1, column: 1 }),
        }
        self.depth -= 1;
        Ok(())
    }

    fn all(&mut self, expressions: &'e [IdedExpr]) -> Result<(), InvalidExpression> {
        expressions.iter().try_for_each(|expression| self.visit(expression))
    }

    fn entries(&mut self, entries: &'e [IdedEntryExpr]) -> Result<(), InvalidExpression> {
        entries.iter().try_for_each(|entry| match &entry.expr {
            EntryExpr::StructField(field) => self.visit(&field.value),
            EntryExpr::MapEntry(entry) => {
                self.visit(&entry.key)?;
                self.visit(&entry.value)
            }
        })
    }

    fn comprehension(&mut self, inner: &'e ComprehensionExpr) -> Result<(), InvalidExpression> {
        self.visit(&inner.iter_range)?;
        self.visit(&inner.accu_init)?;
        let outer = self.bound.len();
        self.bound.extend([inner.iter_var.as_str(), &inner.accu_var]);
        self.bound.extend(inner.iter_var2.as_deref());
        self.loops += 1;
        if self.loops > MOST_LOOPS {
            return Err(InvalidExpression::TooDeep);
        }
        for part in [&inner.loop_cond, &inner.loop_step, &inner.result] {
            self.visit(part)?;
        }
        self.loops -= 1;
        self.bound.truncate(outer);
        Ok(())
    }

    fn variable(&self, name: &str) -> Result<(), InvalidExpression> {
        if self.variables.contains(&name) || self.bound.contains(&name) || TYPES.contains(&name) {
            return Ok(());
        }
        Err(InvalidExpression::UnknownVariable { name: name.to_owned(), known: self.variables })
    }
}

fn function(name: &str) -> Result<(), InvalidExpression> {
    // Operators are functions with names that nobody can write, such as `_+_`.
    let operator = !name.chars().all(|c| c.is_ascii_alphanumeric() || matches!(c, '_' | '.'));
    if operator || FUNCTIONS.contains(&name) {
        return Ok(());
    }
    Err(InvalidExpression::UnknownFunction(name.to_owned()))
}
