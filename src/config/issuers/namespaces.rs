//! A namespace is a wall (contract 4, pitfall P20): no issuer's subjects are taken for another's unless both
//! issuers say that they are the same people.
use crate::config::{mistake::Report, reader::flag, settings::IssuerSettings, tree::Cursor};
use std::collections::HashMap;

/// One issuer with the entry it comes from.
#[derive(Clone, Copy)]
struct Owner<'e, 't> {
    at: &'e Cursor<'t>,
    issuer: &'e IssuerSettings,
}

impl Owner<'_, '_> {
    fn shares(&self) -> bool {
        flag(Some(self.at), "sharedNamespace")
    }

    fn wrong(&self, key: &str, report: &mut Report, what: &str) {
        let written = self.at.get(key).or_else(|| self.at.get("url"));
        written.as_ref().unwrap_or(self.at).wrong(report, what);
    }
}

/// Compares each issuer with all others.
pub(super) fn check<'e, 't: 'e>(
    entries: impl Iterator<Item = (&'e Cursor<'t>, &'e Option<Vec<IssuerSettings>>)>,
    report: &mut Report,
) {
    let owners: Vec<_> = entries
        .flat_map(|(at, read)| read.iter().flatten().map(move |issuer| Owner { at, issuer }))
        .collect();
    let mut urls = HashMap::new();
    for owner in &owners {
        if urls.insert(owner.issuer.url.as_str(), *owner).is_some() {
            owner.wrong(
                "url",
                report,
                "this issuer is here a second time (write one entry with all its audiences)",
            );
        }
    }
    let mut namespaces: HashMap<&str, Owner<'_, '_>> = HashMap::new();
    for owner in &owners {
        let namespace = owner.issuer.namespace.as_str();
        if namespace != owner.issuer.url.as_str() && urls.contains_key(namespace) {
            owner.wrong("namespace", report, "this is another issuer's URL, whose subjects are other people (write a name for both, and sharedNamespace: true at both, if they are the same)");
            continue;
        }
        let Some(first) = namespaces.get(namespace).copied() else {
            namespaces.insert(namespace, *owner);
            continue;
        };
        share(&first, owner, report);
    }
}

/// Two issuers name one namespace.
fn share(first: &Owner<'_, '_>, second: &Owner<'_, '_>, report: &mut Report) {
    if first.issuer.url == second.issuer.url || first.at.path() == second.at.path() {
        // One entry named twice, or the tenants of one: reported elsewhere.
        return;
    }
    if !first.shares() || !second.shares() {
        let silent = if second.shares() { first } else { second };
        silent.wrong("namespace", report, "another issuer names this namespace too (write sharedNamespace: true at both if their subjects are the same people, else another name)");
    }
    let format = |issuer: &'_ IssuerSettings| {
        (issuer.identity.source.clone(), issuer.identity.prefix.clone())
    };
    if format(first.issuer) != format(second.issuer) {
        // Which issuer somebody comes by first would decide who they are.
        second.wrong(
            "identity",
            report,
            "issuers that share a namespace need one format (write the same `identity` in each)",
        );
    }
    if first.issuer.subject.len() != second.issuer.subject.len() {
        // A pair of claims is written as JSON, and one claim could be that text.
        second.wrong(
            "subject",
            report,
            "issuers that share a namespace need as many subject claims (write as many in each)",
        );
    }
}
