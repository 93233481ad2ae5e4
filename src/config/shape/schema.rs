//! The JSON Schema of a configuration, made of the shape (`usher schema`).
use super::{Key, Kind, ROOT, SECRET};
use crate::config::{
    mistake::Report,
    plain::{self, Reading},
    tree::{Node, Value as Tree},
    yaml,
};
use serde_json::{Map, Value, json};

/// The schema, draft 2020-12. What no schema can say, such as that two issuers differ, only `usher check` finds.
pub fn schema() -> Value {
    let mut schema = json!({
        "$schema": "https://json-schema.org/draft/2020-12/schema",
        "title": "The configuration of usher",
        "$defs": {"secret": with_title(forms(SECRET), "A secret, which is never written here")},
    });
    merge(&mut schema, of(&ROOT));
    schema
}

/// The schema of one kind; a secret is a reference.
pub(super) fn of(kind: &Kind) -> Value {
    match kind {
        Kind::Flag => json!({"type": "boolean"}),
        Kind::Count { min, max } => json!({"type": "integer", "minimum": min, "maximum": max}),
        Kind::Amount => json!({"type": "number", "minimum": 0}),
        Kind::Text(format) => json!({"type": "string", "pattern": format.pattern}),
        Kind::Word(words) => {
            let all = [words.now, words.later].concat();
            json!({"type": "string", "enum": all})
        }
        Kind::Secret => json!({"$ref": "#/$defs/secret"}),
        Kind::List { of: item, min } => {
            let mut list = json!({"type": "array", "items": of(item)});
            if *min > 0 {
                merge(&mut list, json!({"minItems": min}));
            }
            list
        }
        Kind::Section(keys) => section(keys),
        Kind::Names { name, of: value, min } => json!({
            "type": "object",
            "propertyNames": {"pattern": name.pattern},
            "additionalProperties": of(value),
            "minProperties": min,
        }),
        Kind::Either(short, long) => json!({"oneOf": [of(short), of(long)]}),
        Kind::Forms(list) => forms(list),
    }
}

fn forms(forms: &[&[Key]]) -> Value {
    json!({"oneOf": forms.iter().map(|form| section(form)).collect::<Vec<_>>()})
}

fn section(keys: &[Key]) -> Value {
    let properties: Map<_, _> = keys.iter().map(|key| (key.name.into(), property(key))).collect();
    let required: Vec<_> = keys.iter().filter(|key| key.required).map(|key| key.name).collect();
    let mut section = json!({
        "type": "object",
        "properties": properties,
        "additionalProperties": false,
    });
    if !required.is_empty() {
        merge(&mut section, json!({"required": required}));
    }
    section
}

fn property(key: &Key) -> Value {
    let mut property = of(&key.kind);
    let later = if key.later { " Not in this version." } else { "" };
    merge(&mut property, json!({"description": format!("{}{later}", key.doc)}));
    if let Some(default) = key.default {
        merge(&mut property, json!({"default": json_of(default)}));
    }
    if let Some(example) = key.example {
        merge(&mut property, json!({"examples": [json_of(example)]}));
    }
    property
}

fn with_title(mut schema: Value, title: &str) -> Value {
    merge(&mut schema, json!({"title": title}));
    schema
}

fn merge(schema: &mut Value, more: Value) {
    if let (Value::Object(schema), Value::Object(more)) = (schema, more) {
        schema.extend(more);
    }
}

/// A default or an example, which the shape writes in YAML.
pub(super) fn json_of(yaml: &str) -> Value {
    let mut ignored = Report::default();
    yaml::parse(yaml.as_bytes(), &mut ignored).map_or(Value::Null, |node| value(&node))
}

fn value(node: &Node) -> Value {
    match &node.value {
        Tree::Broken => Value::Null,
        Tree::List(items) => items.iter().map(value).collect(),
        Tree::Map(entries) => {
            entries.iter().map(|entry| (entry.key.to_string(), value(&entry.node))).collect()
        }
        Tree::Scalar { text, quoted: true } => Value::String(text.to_string()),
        Tree::Scalar { text, quoted: false } => match plain::reading(text) {
            Reading::Nothing => Value::Null,
            Reading::Boolean | Reading::Number | Reading::Text => {
                let known = matches!(&**text, "true" | "false");
                let read = known || plain::reading(text) == Reading::Number;
                let parsed = if read { serde_json::from_str(text).ok() } else { None };
                parsed.unwrap_or_else(|| Value::String(text.to_string()))
            }
        },
    }
}
