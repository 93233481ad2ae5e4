//! What a configuration becomes.
use crate::{
    config::{
        fixture::{Fixture, NOW, lines, yaml},
        settings::{
            GrantService, KeySettings, KeysAt, ListenAddress, RuleSettings, Settings, StorePlace,
            TokenTypes, TrustedProxy,
        },
    },
    inbound::admin::Role,
    token::algorithm::Algorithm,
};
use std::time::Duration;

#[test]
fn three_sections_are_enough() {
    let settings = Fixture::new().load(&yaml(&[])).unwrap();
    assert_eq!(settings.services.len(), 1);
    assert_eq!(&*settings.services[0].service.region, "us1");
    assert_eq!(settings.services[0].secret.reveal(), b"0123456789abcdef0123456789abcdef");
    assert_eq!(settings.warnings, Vec::<String>::new());
    let names = settings.files.iter().map(|file| file.file_name().unwrap().to_str().unwrap());
    assert_eq!(names.collect::<Vec<_>>(), ["usher.yaml", "secret", "identity-key"]);
}

#[test]
fn an_issuer_has_the_defaults_of_the_contract() {
    let settings = Fixture::new().load(&yaml(&[])).unwrap();
    let issuer = &settings.issuers[0];
    assert_eq!(issuer.namespace.as_str(), "https://login.example.com/realms/corp");
    assert_eq!(issuer.algorithms, Algorithm::ALL);
    assert_eq!(issuer.token_types, TokenTypes::Both);
    assert_eq!(issuer.subject, ["sub".into()]);
    assert_eq!(issuer.clock_skew, Duration::from_secs(30));
    let keys = KeySettings {
        refresh: Duration::from_mins(10),
        cooldown: Duration::from_secs(30),
        max_stale: Duration::from_hours(24),
        fetch_timeout: Duration::from_secs(5),
    };
    assert_eq!(issuer.keys, keys);
    let document = "https://login.example.com/realms/corp/.well-known/openid-configuration";
    assert_eq!(issuer.keys_at, KeysAt::Discovery(document.parse().unwrap()));
}

#[test]
fn the_rest_has_the_defaults_of_the_contract() {
    let settings = Fixture::new().load(&yaml(&[])).unwrap();
    assert_eq!(&*settings.public.prefix, "/conversations");
    assert_eq!(settings.life.ttl, Duration::from_mins(15));
    assert_eq!(settings.life.grace_beyond_upstream, Duration::from_mins(4));
    assert!(settings.grants.is_empty());
    assert_eq!(settings.token_headers, ["authorization".into()]);
    assert_eq!(settings.store.place, StorePlace::Sqlite("/var/lib/usher/usher.db".into()));
    assert_eq!(settings.store.stale_for, Duration::from_hours(1));
    let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
    assert_eq!(settings.listen.public.address, tcp("127.0.0.1:4180"));
    assert_eq!(settings.listen.health.address, tcp("0.0.0.0:4183"));
    assert_eq!(settings.shutdown_grace, Duration::from_secs(25));
    assert!(settings.log.json && &*settings.log.level == "info");
}

/// Every section that is built, with something else than its default.
const FULL: &[(&str, &str)] = &[
    (
        "twilio",
        "{accountSid: AC0123456789abcdef0123456789abcdef, apiKey: {file: both}, region: ie1, services: {a: {sid: IS0123456789abcdef0123456789abcdef, pushCredentials: {ios: CR0123456789abcdef0123456789abcdef}}, b: {sid: IS1123456789abcdef0123456789abcdef, accountSid: AC1123456789abcdef0123456789abcdef, region: us1, apiKey: {sid: SK1123456789abcdef0123456789abcdef, secret: {file: secret}}}}}",
    ),
    (
        "public",
        "{prefix: /chat/v1, url: 'https://chat.example.com/', trustedProxies: [loopback, 10.0.0.0/8]}",
    ),
    ("token", "{ttl: 24h, allowLongLived: true, graceBeyondUpstream: 0s}"),
    (
        "issuers",
        "[{url: 'http://127.0.0.1:8080/', insecureHttp: true, audiences: [a, b], audienceClaim: azp, jwksUri: 'https://keys.example.com/jwks', bearer: {file: secret}, certificateAuthority: {file: cert.pem}, algorithms: [ES256, EdDSA], tokenTypes: [id_token], allow: [cnf], namespace: corp, subject: [tid, oid], claimValidationRules: [{claim: hd, requiredValue: example.com}, {expression: claims.ok, message: sorry}], enforcement: {auditUntil: 2026-12-20}, clockSkew: 1m, keys: {cooldown: 5s}, identity: {format: opaque}}]",
    ),
    (
        "grants",
        "[{name: staff, when: \"'chat' in claims.groups\", service: b, ttl: 5m, role: RL0123456789abcdef0123456789abcdef}, {name: rest, kinds: [user], service: {expression: claims.tenant}}]",
    ),
    ("tokenSources", "[{header: X-Forwarded-Access-Token}, {header: Authorization}]"),
    ("store", "{url: 'sqlite:data/usher.db', staleFor: 10m, migrate: never, maxConnections: 2}"),
    (
        "listen",
        "{public: 'unix:/run/usher/public.sock', health: {address: '127.0.0.1:0', tls: {certificate: {file: cert.pem}, key: {file: key.pem}, clientCa: {file: cert.pem}}}, admin: '127.0.0.1:4190'}",
    ),
    ("cors", "{allowedOrigins: ['https://app.example.com']}"),
    ("shutdown", "{grace: 5s}"),
    ("log", "{format: text, level: debug}"),
    ("telemetry", "{otlpEndpoint: 'http://127.0.0.1:4318'}"),
    ("forwardAuth", "{token: false, guests: false}"),
    (
        "admin",
        "{tokens: [{name: ops, sha256: 9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, role: operator}, {name: eye, sha256: 0f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08, role: reader}], hosts: [usher.shop.svc]}",
    ),
    (
        "egress",
        "{lookup: [corp, 'https://a.example'], token: {file: secret}, hosts: ['[fd00::1]']}",
    ),
    ("denied", "[]"),
];

fn full() -> (Fixture, Settings) {
    let fixture = Fixture::new();
    fixture.write("both", "SK00000000000000000000000000000000:abcdefabcdefabcdefabcdefabcdefab\n");
    let settings = fixture.load(&yaml(FULL)).unwrap();
    (fixture, settings)
}

#[test]
fn a_service_may_differ_from_the_others() {
    let (_fixture, settings) = full();
    let [a, b] = settings.services.as_slice() else { panic!("not two services") };
    assert_eq!(
        (a.service.api_key.as_str(), &*a.service.region),
        ("SK00000000000000000000000000000000", "ie1")
    );
    assert_eq!(a.service.push_credentials.len(), 1);
    assert_eq!(
        (b.service.account.as_str(), &*b.service.region),
        ("AC1123456789abcdef0123456789abcdef", "us1")
    );
}

#[test]
fn an_issuer_may_differ_from_the_defaults() {
    let (_fixture, settings) = full();
    let issuer = &settings.issuers[0];
    assert_eq!(issuer.url.as_str(), "http://127.0.0.1:8080/");
    assert_eq!(issuer.keys_at, KeysAt::Jwks("https://keys.example.com/jwks".parse().unwrap()));
    assert_eq!(issuer.algorithms, [Algorithm::Es256, Algorithm::EdDsa]);
    assert_eq!(
        (issuer.token_types, issuer.allow_act, issuer.allow_cnf),
        (TokenTypes::IdToken, false, true)
    );
    assert_eq!((issuer.namespace.as_str(), issuer.subject.len()), ("corp", 2));
    assert_eq!(issuer.rules.len(), 2);
    assert!(issuer.audit_until.unwrap() > NOW);
    assert_eq!(issuer.keys.cooldown, Duration::from_secs(5));
}

#[test]
fn the_rest_may_differ_from_the_defaults() {
    let (fixture, settings) = full();
    assert_eq!(settings.public.url.as_ref().unwrap().as_str(), "https://chat.example.com/");
    assert_eq!(settings.public.trusted_proxies[0], TrustedProxy::Loopback);
    assert_eq!(
        (settings.life.ttl, settings.life.grace_beyond_upstream),
        (Duration::from_hours(24), Duration::from_secs(0))
    );
    assert_eq!(settings.grants[0].service, GrantService::Named(1));
    assert_eq!(settings.grants[0].terms.ttl, Some(Duration::from_mins(5)));
    assert_eq!(settings.grants[1].service, GrantService::Expression("claims.tenant".into()));
    assert_eq!(settings.token_headers, ["x-forwarded-access-token".into(), "authorization".into()]);
    assert_eq!(
        settings.store.place,
        StorePlace::Sqlite(fixture.folder.path().join("data/usher.db"))
    );
    assert_eq!((settings.store.migrate, settings.store.max_connections), (false, 2));
    assert!(settings.listen.health.tls.as_ref().unwrap().client_ca.is_some());
    assert!(!settings.log.json);
    assert_eq!(settings.warnings.len(), 1, "{:?}", settings.warnings);
}

#[test]
fn the_admin_listener_is_always_opened_and_egress_only_where_it_is_configured() {
    let settings = Fixture::new().load(&yaml(&[])).unwrap();
    let tcp = |text: &str| ListenAddress::Tcp(text.parse().unwrap());
    assert_eq!(settings.listen.admin.address, tcp("127.0.0.1:4182"));
    assert_eq!((&settings.listen.egress, &settings.egress), (&None, &None));
    assert!(settings.admin.tokens.is_empty() && settings.admin.hosts.is_empty());
    let settings = Fixture::new().load(&yaml(&[("egress", "{}")])).unwrap();
    assert_eq!(settings.listen.egress.unwrap().address, tcp("127.0.0.1:4181"));
    assert!(settings.egress.unwrap().lookup.is_empty(), "the app may ask for nothing");
}

#[test]
fn who_may_come_to_admin_and_egress_is_configured() {
    let (_fixture, settings) = full();
    let [ops, eye] = settings.admin.tokens.as_slice() else { panic!("not two tokens") };
    assert_eq!((&*ops.name, ops.role, ops.sha256[0]), ("ops", Role::Operator, 0x9f));
    assert_eq!((&*eye.name, eye.role, eye.sha256[31]), ("eye", Role::Reader, 0x08));
    assert_eq!(settings.admin.hosts, ["usher.shop.svc".into()]);
    let egress = settings.egress.unwrap();
    assert_eq!(egress.lookup[1].as_str(), "https://a.example");
    assert_eq!(egress.token.unwrap().reveal(), b"0123456789abcdef0123456789abcdef");
    let mistakes =
        |section: &str, value: &str| Fixture::new().mistakes(&yaml(&[(section, value)])).join("\n");
    let digest = "9f86d081884c7d659a2feaa0c55ad015a3bf4f1b2b0b822cd15d6c15b0f00a08";
    let token = format!("{{name: ops, sha256: {digest}, role: reader}}");
    assert!(
        mistakes("admin", &format!("{{tokens: [{token}, {token}]}}"))
            .contains("admin.tokens[1].name: another token has this name")
    );
    let other = format!("{{name: eye, sha256: {digest}, role: operator}}");
    assert!(
        mistakes("admin", &format!("{{tokens: [{token}, {other}]}}"))
            .contains("admin.tokens[1].sha256: another name has this token")
    );
    assert!(mistakes("admin", "{hosts: ['usher:4182']}").contains("not a host"));
    assert!(mistakes("egress", "{token: hunter2}").contains("a secret is never written here"));
}

#[test]
fn listeners_are_apart_and_the_admin_is_not_exposed() {
    let mistakes = |listen: &str| Fixture::new().mistakes(&yaml(&[("listen", listen)])).join("\n");
    assert!(mistakes("{public: '127.0.0.1:4183'}").contains("are the same address"));
    assert!(
        mistakes("{admin: '0.0.0.0:4182'}")
            .contains("listen.admin: an address that is not loopback needs TLS")
    );
    let tls = "tls: {certificate: {file: cert.pem}, key: {file: key.pem}}";
    assert_eq!(mistakes(&format!("{{admin: {{address: '0.0.0.0:4182', {tls}}}}}")), "");
    let remote = format!("{{address: '0.0.0.0:4181', {tls}}}");
    for egress in ["'10.0.0.1:4181'", &*remote] {
        assert!(
            mistakes(&format!("{{egress: {egress}}}"))
                .contains("listen.egress: an address that is not loopback needs TLS and egress.clients, which are not in this version")
        );
    }
    assert!(mistakes("{public: '127.0.0.1:4182'}").contains("`public` and `admin` are the same"));
    assert_eq!(mistakes("{public: '127.0.0.1:4181'}"), "", "nobody else is there");
    assert_eq!(
        mistakes("{public: '127.0.0.1:0', health: '127.0.0.1:0', admin: 'unix:/run/a'}"),
        ""
    );
}

#[test]
fn a_life_outside_the_contracts_bounds_is_refused() {
    let mistakes = |token| Fixture::new().mistakes(&yaml(&[("token", token)])).join("\n");
    assert!(mistakes("{ttl: 239s}").contains("4:14 token.ttl: this is shorter than 240 s"));
    assert!(mistakes("{ttl: 2h}").contains("allowLongLived"));
    assert!(mistakes("{ttl: 25h, allowLongLived: true}").contains("24 h"));
    assert!(mistakes("{graceBeyondUpstream: 61m}").contains("1 h"));
    assert_eq!(mistakes("{ttl: 4m}"), "");
    let grants = Fixture::new().mistakes(&yaml(&[("grants", "[{name: a, ttl: 1m}]")]));
    assert!(grants[0].contains("grants[0].ttl: this is shorter"), "{grants:?}");
}

#[test]
fn grants_name_services_that_are_there() {
    let mistakes = |grants| Fixture::new().mistakes(&yaml(&[("grants", grants)])).join("\n");
    assert!(mistakes("[{name: a, service: mian}]").contains("write one of main"));
    assert!(mistakes("[{name: a}, {name: a}]").contains("another grant has this name"));
    assert!(
        mistakes("[{name: a, when: 'claims.'}]")
            .contains("grants[0].when: this expression is not CEL")
    );
    assert!(mistakes("[]").contains("needs at least 1"));
}

#[test]
fn memory_without_a_fingerprint_is_a_warning() {
    let settings = Fixture::new().load(&yaml(&[("store", "{url: 'memory:'}")])).unwrap();
    assert_eq!(settings.store.place, StorePlace::Memory);
    assert!(settings.warnings[0].contains("identity.fingerprint"), "{:?}", settings.warnings);
}

#[test]
fn a_rule_becomes_what_verification_reads() {
    let issuers = "[{url: 'https://a.example', audiences: [a], claimValidationRules: [{claim: hd, requiredValue: b}, {expression: claims.c, message: d}]}]";
    let settings = Fixture::new().load(&yaml(&[("issuers", issuers)])).unwrap();
    assert_eq!(
        settings.issuers[0].rules,
        [
            RuleSettings::Required { claim: "hd".into(), value: "b".into() },
            RuleSettings::Expression { expression: "claims.c".into(), message: Some("d".into()) },
        ]
    );
    let both = issuers.replace("claim: hd", "expression: claims.e");
    let found = lines(Fixture::new().load(&yaml(&[("issuers", &both)])));
    assert!(found[0].contains("requiredValue: this does not go with `expression`"), "{found:?}");
}
