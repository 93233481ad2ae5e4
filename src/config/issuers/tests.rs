//! What one issuer means for another, and what refuses to start.
use crate::config::{
    fixture::{Fixture, NOW, yaml},
    settings::{IssuerSettings, KeysAt, RuleSettings},
};

fn read(issuers: &str) -> (Vec<IssuerSettings>, Vec<String>) {
    let settings = Fixture::new().load(&yaml(&[("issuers", issuers)]));
    settings
        .map(|settings| (settings.issuers, settings.warnings))
        .map_err(|m| m.to_string())
        .unwrap()
}

fn mistakes(issuers: &str) -> String {
    Fixture::new().mistakes(&yaml(&[("issuers", issuers)])).join("\n")
}

const A: &str = "url: 'https://a.example', audiences: [a]";
const B: &str = "url: 'https://b.example', audiences: [b]";

#[test]
fn p20_issuers_share_a_namespace_only_if_each_says_so() {
    let shared = |a: &str, b: &str| {
        mistakes(&format!("[{{{A}, namespace: corp{a}}}, {{{B}, namespace: corp{b}}}]"))
    };
    let yes = ", sharedNamespace: true";
    assert_eq!(shared(yes, yes), "");
    for (a, b, place) in [
        ("", "", "issuers[1].namespace"),
        (yes, "", "issuers[1].namespace"),
        ("", yes, "issuers[0].namespace"),
    ] {
        let found = shared(a, b);
        assert!(
            found.contains(&format!("{place}: another issuer names this namespace too")),
            "{found}"
        );
    }
    assert_eq!(mistakes(&format!("[{{{A}, namespace: corp}}, {{{B}, namespace: Corp}}]")), "");
}

#[test]
fn p20_issuers_that_share_a_namespace_have_as_many_subject_claims() {
    let yes = "namespace: corp, sharedNamespace: true";
    let found = mistakes(&format!("[{{{A}, {yes}}}, {{{B}, {yes}, subject: [tid, oid]}}]"));
    assert!(
        found.contains(
            "issuers[1].subject: issuers that share a namespace need as many subject claims"
        ),
        "{found}"
    );
    let same = format!("[{{{A}, {yes}, subject: [t, o]}}, {{{B}, {yes}, subject: [tid, oid]}}]");
    assert_eq!(mistakes(&same), "");
}

#[test]
fn p20_a_namespace_is_never_another_issuers_url() {
    let found = mistakes(&format!(
        "[{{{A}, sharedNamespace: true}}, {{{B}, namespace: 'https://a.example', sharedNamespace: true}}]"
    ));
    assert!(found.contains("issuers[1].namespace: this is another issuer's URL"), "{found}");
    // Also where that issuer has a namespace of its own, and whichever comes first.
    let found =
        mistakes(&format!("[{{{B}, namespace: 'https://a.example'}}, {{{A}, namespace: corp}}]"));
    assert!(found.contains("issuers[0].namespace: this is another issuer's URL"), "{found}");
    assert_eq!(mistakes(&format!("[{{{A}, namespace: 'https://a.example'}}]")), "");
}

#[test]
fn p20_the_namespaces_of_guests_and_api_tokens_are_ushers_own() {
    for name in ["urn:usher:guest", "urn:usher:api-token", "urn:usher:x"] {
        let found = mistakes(&format!("[{{{A}, namespace: '{name}'}}]"));
        assert!(
            found.contains("issuers[0].namespace: namespaces that begin with urn:usher:"),
            "{found}"
        );
    }
}

#[test]
fn p20_tenants_under_one_namespace_share_it_only_if_the_configuration_says_so() {
    let entra = |more: &str| {
        format!(
            "[{{url: 'https://entra.example/{{tenantid}}/v2.0', audiences: [a], tenants: [t1, t2]{more}}}]"
        )
    };
    assert!(
        mistakes(&entra(", namespace: corp")).contains("all tenants would share this namespace")
    );
    assert_eq!(mistakes(&entra(", namespace: corp, sharedNamespace: true")), "");
    let (issuers, _) = read(&entra(", namespace: 'corp-{tenantid}'"));
    assert_eq!(issuers[1].namespace.as_str(), "corp-t2");
}

#[test]
fn a_multi_tenant_issuer_becomes_one_a_tenant_whose_tokens_say_so() {
    let (issuers, _) = read(
        "[{url: 'https://entra.example/{tenantid}/v2.0', audiences: [a], tenants: [t1, t2], jwksUri: 'https://entra.example/{tenantid}/keys', claimValidationRules: [{claim: hd, requiredValue: x}]}]",
    );
    let [one, two] = issuers.as_slice() else { panic!("not two") };
    assert_eq!(one.url.as_str(), "https://entra.example/t1/v2.0");
    assert_eq!(two.namespace.as_str(), "https://entra.example/t2/v2.0");
    assert_eq!(two.keys_at, KeysAt::Jwks("https://entra.example/t2/keys".parse().unwrap()));
    let tid = RuleSettings::Required { claim: "tid".into(), value: "t2".into() };
    assert_eq!((two.rules.len(), two.rules.first()), (2, Some(&tid)));
}

#[test]
fn tenants_and_their_place_in_the_url_belong_together() {
    let templated = "url: 'https://entra.example/{tenantid}/v2.0', audiences: [a]";
    assert!(mistakes(&format!("[{{{templated}}}]")).contains("issuers[0].tenants: missing"));
    assert!(mistakes(&format!("[{{{A}, tenants: [t]}}]")).contains("needs {tenantid}"));
    assert!(mistakes(&format!("[{{{templated}, tenants: [t, t]}}]")).contains("a second time"));
    assert!(
        mistakes(&format!("[{{{templated}, tenants: ['a/../b']}}]")).contains("not a tenant id")
    );
    assert!(
        mistakes(&format!("[{{{A}, jwksUri: 'https://a/{{tenantid}}'}}]"))
            .contains("there are none")
    );
}

#[test]
fn an_issuer_is_configured_once() {
    assert!(
        mistakes(&format!("[{{{A}}}, {{{A}}}]"))
            .contains("issuers[1].url: this issuer is here a second time")
    );
    // A slash at the end makes another issuer: `iss` is compared byte for byte.
    assert_eq!(mistakes(&format!("[{{{A}}}, {{url: 'https://a.example/', audiences: [a]}}]")), "");
}

#[test]
fn plain_http_needs_insecure_http_beside_it_on_loopback_too() {
    for (key, more) in [
        ("url", ""),
        ("jwksUri", ", url: 'https://a.example'"),
        ("discoveryUrl", ", url: 'https://a.example'"),
    ] {
        let found =
            mistakes(&format!("[{{{key}: 'http://127.0.0.1:8080', audiences: [a]{more}}}]"));
        assert!(found.contains(&format!("issuers[0].{key}: this is plain http")), "{found}");
        let (_, warnings) = read(&format!(
            "[{{{key}: 'HTTP://127.0.0.1:8080', audiences: [a], insecureHttp: true{more}}}]"
        ));
        assert!(warnings[0].contains("is plain http"), "{warnings:?}");
    }
}

#[test]
fn discovery_is_below_the_url_whose_last_slash_is_dropped() {
    let (issuers, _) = read("[{url: 'https://a.example/realm/', audiences: [a]}]");
    let document = "https://a.example/realm/.well-known/openid-configuration";
    assert_eq!(issuers[0].keys_at, KeysAt::Discovery(document.parse().unwrap()));
    assert_eq!(issuers[0].url.as_str(), "https://a.example/realm/");
}

#[test]
fn an_issuer_that_serves_the_public_is_narrowed_or_anyone_is_said() {
    for url in [
        "https://accounts.google.com",
        "https://appleid.apple.com",
        "https://login.microsoftonline.com/common/v2.0",
        "https://login.microsoftonline.com/9188040d-6c67-4c5b-b112-36a304b66dad/v2.0",
    ] {
        let issuer = |more: &str| format!("[{{url: '{url}', audiences: [a]{more}}}]");
        assert!(
            mistakes(&issuer("")).contains("issuers[0].url: this issuer serves the public"),
            "{url}"
        );
        assert_eq!(mistakes(&issuer(", anyone: true")), "");
        assert_eq!(
            mistakes(&issuer(", claimValidationRules: [{claim: hd, requiredValue: b}]")),
            ""
        );
        let with = |grants| {
            Fixture::new().mistakes(&yaml(&[("issuers", &issuer("")), ("grants", grants)]))
        };
        assert_eq!(with("[{name: a, when: claims.x}]"), Vec::<String>::new());
        assert_eq!(with("[{name: a, when: claims.x}, {name: b}]").len(), 1);
    }
    assert_eq!(
        mistakes("[{url: 'https://login.microsoftonline.com/contoso/v2.0', audiences: [a]}]"),
        ""
    );
}

#[test]
fn a_trial_of_rules_ends_within_30_days() {
    let until = |day: &str| format!("[{{{A}, enforcement: {{auditUntil: {day}}}}}]");
    assert!(mistakes(&until("2026-12-24")).contains("auditUntil: this is more than 30 days ahead"));
    assert!(read(&until("2026-12-23")).0[0].audit_until.unwrap() > NOW);
    let (issuers, warnings) = read(&until("2026-01-01"));
    assert!(issuers[0].audit_until.unwrap() < NOW && warnings[0].contains("has passed"));
    assert_eq!(read(&format!("[{{{A}, enforcement: enforce}}]")).0[0].audit_until, None);
}

#[test]
fn keys_are_fetched_at_some_interval() {
    assert!(
        mistakes(&format!("[{{{A}, keys: {{cooldown: 0s}}}}]"))
            .contains("keys.cooldown: this must be longer")
    );
    assert!(mistakes(&format!("[{{{A}, clockSkew: 2h}}]")).contains("clockSkew"));
    assert!(read(&format!("[{{{A}, keys: {{maxStale: 1m}}}}]")).1[0].contains("maxStale"));
}
