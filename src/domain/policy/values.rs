//! Claims as CEL sees them.
use cel::common::{
    types::{CelBool, CelDouble, CelInt, CelList, CelMap, CelMapKey, CelNull, CelString, CelUInt},
    value::Val,
};
use serde_json::{Map, Number, Value};
use std::collections::HashMap;

/// The members of a payload, turned into CEL's values once for all expressions.
#[derive(Debug)]
pub(in crate::domain) struct ClaimValues(CelMap<'static>);

impl ClaimValues {
    /// Turns `members` into CEL's values.
    pub(in crate::domain) fn of(members: &Map<String, Value>) -> Self {
        Self(map(members))
    }

    pub(super) fn map(&self) -> &dyn Val {
        &self.0
    }
}

fn map(members: &Map<String, Value>) -> CelMap<'static> {
    let entries = members
        .iter()
        .map(|(name, value)| (CelMapKey::String(CelString::from(name.clone())), value_of(value)));
    CelMap::from(entries.collect::<HashMap<_, _>>())
}

/// Recurses at most 32 levels: no deeper token is read.
fn value_of(value: &Value) -> Box<dyn Val> {
    match value {
        Value::Null => Box::new(CelNull),
        Value::Bool(truth) => Box::new(CelBool::from(*truth)),
        Value::Number(number) => number_of(number),
        Value::String(text) => Box::new(CelString::from(text.clone())),
        Value::Array(items) => {
            Box::new(CelList::from(items.iter().map(value_of).collect::<Vec<_>>()))
        }
        Value::Object(members) => Box::new(map(members)),
    }
}

/// A whole number stays whole, so that those from 2^53 keep their last digits.
fn number_of(number: &Number) -> Box<dyn Val> {
    if let Some(int) = number.as_i64() {
        return Box::new(CelInt::from(int));
    }
    if let Some(uint) = number.as_u64() {
        return Box::new(CelUInt::from(uint));
    }
    Box::new(CelDouble::from(number.as_f64().unwrap_or(f64::NAN)))
}
