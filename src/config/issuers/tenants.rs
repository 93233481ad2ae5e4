//! Multi-tenant issuers: `{tenantid}` in the URL stands for each of `tenants`.
use crate::config::{
    address::TENANT,
    reader::{Reader, flag},
    settings::RuleSettings,
    text,
    tree::Cursor,
};

/// One of `tenants`.
#[derive(Debug)]
pub(super) struct Tenant<'t>(&'t str);

impl Tenant<'_> {
    /// A token of this tenant says so in `tid`, or it is another tenant's under this one's name.
    pub(super) fn rule(&self) -> RuleSettings {
        RuleSettings::Required { claim: "tid".into(), value: self.0.into() }
    }
}

/// The tenants of an entry, or one that is none. `None` after a mistake.
pub(super) fn tenants<'t>(
    at: &Cursor<'t>,
    reader: &mut Reader<'_>,
) -> Option<Vec<Option<Tenant<'t>>>> {
    let url = at.get("url")?;
    let templated = url.text()?.contains(TENANT);
    let Some(list) = at.get("tenants") else {
        if templated {
            at.lacks(&mut reader.report, "tenants", "missing, and the URL has {tenantid} (write tenants: [ID], or the tenant's id into the URL)");
            return None;
        }
        refuse_templates(at, reader);
        return Some(vec![None]);
    };
    if !templated {
        url.wrong(&mut reader.report, "with `tenants`, the URL needs {tenantid} where a tenant's id stands (write https://login.microsoftonline.com/{tenantid}/v2.0)");
        return None;
    }
    let mut found: Vec<Option<Tenant<'t>>> = Vec::new();
    for item in list.items() {
        let tenant = item.text().filter(|tenant| text::tenant(tenant).is_ok())?;
        if found.iter().flatten().any(|known| known.0 == tenant) {
            item.wrong(
                &mut reader.report,
                "this tenant is here a second time (remove one of them)",
            );
            return None;
        }
        found.push(Some(Tenant(tenant)));
    }
    share(at, found.len(), reader);
    Some(found)
}

/// Tenants under one namespace share it like any other issuers: only if the configuration says so.
fn share(at: &Cursor<'_>, count: usize, reader: &mut Reader<'_>) {
    let Some(namespace) = at.get("namespace") else { return };
    let common = namespace.text().is_some_and(|text| !text.contains(TENANT));
    if count > 1 && common && !flag(Some(at), "sharedNamespace") {
        namespace.wrong(&mut reader.report, "all tenants would share this namespace (write sharedNamespace: true if one subject is one person in all of them, else put {tenantid} into it)");
    }
}

fn refuse_templates(at: &Cursor<'_>, reader: &mut Reader<'_>) {
    for key in ["discoveryUrl", "jwksUri", "namespace"] {
        if let Some(at) = at.get(key).filter(|at| at.text().is_some_and(|t| t.contains(TENANT))) {
            at.wrong(
                &mut reader.report,
                "{tenantid} stands for one of `tenants`, and there are none",
            );
        }
    }
}

/// A text with the tenant's id in its place.
pub(super) fn expand(text: &str, tenant: Option<&Tenant<'_>>) -> String {
    tenant.map_or_else(|| text.to_owned(), |tenant| text.replace(TENANT, tenant.0))
}
