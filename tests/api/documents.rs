//! Documents that must stay true: the `OpenAPI` document names what the code answers.
use serde_json::Value;
use std::collections::BTreeSet;
use usher::inbound::{OPENAPI, problem::Code};

fn document() -> Value {
    serde_json::from_str(OPENAPI).unwrap()
}

#[test]
fn every_code_is_in_the_openapi_document_and_no_other() {
    let document = document();
    let listed = &document["components"]["schemas"]["Problem"]["properties"]["code"]["enum"];
    let listed: BTreeSet<_> =
        listed.as_array().unwrap().iter().map(|c| c.as_str().unwrap()).collect();
    let known: BTreeSet<_> = Code::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(listed, known);
}

#[test]
fn every_route_of_the_admin_and_egress_listeners_is_in_the_openapi_document_and_no_other() {
    let document = document();
    let mut listed = BTreeSet::new();
    for (path, operations) in document["paths"].as_object().unwrap() {
        for (method, operation) in operations.as_object().unwrap() {
            let tag = operation["tags"][0].as_str().unwrap();
            if ["admin", "egress"].contains(&tag) {
                listed.insert((tag, method.to_uppercase(), path.replace("{identity}", "x")));
            }
        }
    }
    let admin = crate::admin::ROUTES.iter().map(|(method, path)| ("admin", *method, *path));
    let egress = ["/usher/identities", "/usher/identities/x"].map(|path| ("egress", "GET", path));
    let known = admin.chain(egress);
    let known = known.map(|(tag, method, path)| (tag, method.to_owned(), path.to_owned()));
    assert_eq!(listed, known.collect());
}

#[test]
fn every_reference_in_the_openapi_document_leads_somewhere() {
    fn walk<'a>(value: &'a Value, found: &mut Vec<&'a str>) {
        match value {
            Value::Object(members) => {
                found.extend(members.get("$ref").and_then(Value::as_str));
                members.values().for_each(|value| walk(value, found));
            }
            Value::Array(items) => items.iter().for_each(|value| walk(value, found)),
            Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
        }
    }
    let document = document();
    let mut found = Vec::new();
    walk(&document, &mut found);
    assert!(found.len() > 10);
    for reference in found {
        let pointer = reference.strip_prefix('#').unwrap();
        assert!(document.pointer(pointer).is_some(), "{reference}");
    }
}
