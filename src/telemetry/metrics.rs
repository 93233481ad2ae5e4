//! The metric registry: every name, help text and label of contract 9 that this version can count.
//!
//! Labels are closed sets: outcomes, codes and the issuers that the configuration names.
use super::process::Process;
use prometheus_client::{
    encoding::{EncodeLabelSet, text::encode},
    metrics::{counter::Counter, family::Family, gauge::Gauge, histogram::Histogram, info::Info},
    registry::{Registry, Unit},
};
use std::{fmt, sync::atomic::AtomicU64, time::Duration};

/// Everything usher counts. Cheap to count on from any thread.
pub struct Metrics {
    registry: Registry,
    token_requests: Family<RequestLabels, Counter>,
    token_request_seconds: Histogram,
    verify_cache: Lookups,
    identity_cache: Lookups,
    claim_rules_audited: Family<IssuerLabels, Counter>,
    jwks_age: Family<IssuerLabels, Gauge<f64, AtomicU64>>,
    jwks_fetches: Family<FetchLabels, Counter>,
    store_operations: Family<OperationLabels, Counter>,
    config_reload_failed: Gauge,
    api_key_last_expiry: Family<SidLabels, Gauge>,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct RequestLabels {
    outcome: &'static str,
    code: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct IssuerLabels {
    issuer: String,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct FetchLabels {
    issuer: String,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct OperationLabels {
    operation: &'static str,
    outcome: &'static str,
}

#[derive(Clone, Debug, PartialEq, Eq, Hash, EncodeLabelSet)]
struct SidLabels {
    sid: String,
}

#[derive(Default)]
struct Lookups {
    hits: Counter,
    misses: Counter,
}

impl Lookups {
    fn count(&self, hit: bool) {
        let counter = if hit { &self.hits } else { &self.misses };
        counter.inc();
    }
}

impl Metrics {
    /// A registry that has counted nothing yet, for the build that calls itself `version` and derives identities
    /// with the key whose fingerprint is `identity_key`.
    pub fn new(version: &str, identity_key: &str) -> Self {
        let mut metrics = Self {
            registry: Registry::default(),
            token_requests: Family::default(),
            token_request_seconds: Histogram::new(LATENCY_BUCKETS),
            verify_cache: Lookups::default(),
            identity_cache: Lookups::default(),
            claim_rules_audited: Family::default(),
            jwks_age: Family::default(),
            jwks_fetches: Family::default(),
            store_operations: Family::default(),
            config_reload_failed: Gauge::default(),
            api_key_last_expiry: Family::default(),
        };
        metrics.registry.register_collector(Box::new(Process));
        metrics.register(version, identity_key);
        metrics
    }

    fn register(&mut self, version: &str, identity_key: &str) {
        let r = self.registry.sub_registry_with_prefix("usher");
        r.register(
            "token_requests",
            "Requests for a Conversations token",
            self.token_requests.clone(),
        );
        r.register_with_unit(
            "token_request_duration",
            "Time from a request's head to its answer",
            Unit::Seconds,
            self.token_request_seconds.clone(),
        );
        for (name, lookups) in
            [("verify_cache", &self.verify_cache), ("identity_cache", &self.identity_cache)]
        {
            r.register(format!("{name}_hits"), "Look-ups that found it", lookups.hits.clone());
            r.register(
                format!("{name}_misses"),
                "Look-ups that did not find it",
                lookups.misses.clone(),
            );
        }
        r.register(
            "claim_rules_audited",
            "Claim rules that would have refused a user, were they enforced",
            self.claim_rules_audited.clone(),
        );
        r.register_with_unit(
            "jwks_age",
            "Age of the issuer's keys",
            Unit::Seconds,
            self.jwks_age.clone(),
        );
        r.register("jwks_fetches", "Fetches of an issuer's keys", self.jwks_fetches.clone());
        r.register("store_operations", "Operations of the store", self.store_operations.clone());
        r.register(
            "config_reload_failed",
            "1 while a changed configuration is refused and the old one serves",
            self.config_reload_failed.clone(),
        );
        r.register_with_unit(
            "api_key_last_token_expiry",
            "When the last token signed with this API key ends: the key may go after it",
            Unit::Seconds,
            self.api_key_last_expiry.clone(),
        );
        let info = |label: &str, value: &str| Info::new(vec![(label.to_owned(), value.to_owned())]);
        r.register("build", "The version that runs", info("version", version));
        r.register("identity_key", "The identity key in use", info("fingerprint", identity_key));
    }

    /// Counts an answered request for a token: `outcome` is `issued`, `refused` or `failed`, `code` one of
    /// contract 3's table or `none`.
    pub fn token_request(&self, outcome: &'static str, code: &'static str, took: Duration) {
        self.token_requests.get_or_create(&RequestLabels { outcome, code }).inc();
        self.token_request_seconds.observe(took.as_secs_f64());
    }

    /// Counts a look-up of a verified token.
    pub fn verify_cache(&self, hit: bool) {
        self.verify_cache.count(hit);
    }

    /// Counts a look-up of a bound identity.
    pub fn identity_cache(&self, hit: bool) {
        self.identity_cache.count(hit);
    }

    /// Counts a claim rule of a configured issuer that is not enforced yet and would have refused.
    pub fn claim_rule_audited(&self, issuer: &str) {
        let labels = IssuerLabels { issuer: issuer.to_owned() };
        self.claim_rules_audited.get_or_create(&labels).inc();
    }

    /// Says how old the keys of a configured issuer are.
    pub fn jwks_age(&self, issuer: &str, age: Duration) {
        let labels = IssuerLabels { issuer: issuer.to_owned() };
        self.jwks_age.get_or_create(&labels).set(age.as_secs_f64());
    }

    /// Counts a fetch of a configured issuer's keys; `outcome` is `ok` or `failed`.
    pub fn jwks_fetch(&self, issuer: &str, outcome: &'static str) {
        self.jwks_fetches.get_or_create(&FetchLabels { issuer: issuer.to_owned(), outcome }).inc();
    }

    /// Counts an operation of the store (`find`, `bind`, `pin`, `ping`); `outcome` is `ok`, `refused` or `failed`.
    pub fn store_operation(&self, operation: &'static str, outcome: &'static str) {
        self.store_operations.get_or_create(&OperationLabels { operation, outcome }).inc();
    }

    /// Says whether the last reload was refused.
    pub fn config_reload_failed(&self, failed: bool) {
        self.config_reload_failed.set(i64::from(failed));
    }

    /// Notes that a token signed with the API key `sid` lives until `expiry`, seconds since the Unix epoch.
    pub fn token_signed(&self, sid: &str, expiry: u64) {
        let gauge = self.api_key_last_expiry.get_or_create(&SidLabels { sid: sid.to_owned() });
        gauge.inner().fetch_max(
            i64::try_from(expiry).unwrap_or(i64::MAX),
            std::sync::atomic::Ordering::Relaxed,
        );
    }

    /// All of it as `application/openmetrics-text; version=1.0.0; charset=utf-8`.
    ///
    /// # Errors
    /// The formatter failed, which a `String` never does.
    pub fn text(&self) -> Result<String, fmt::Error> {
        let mut text = String::new();
        encode(&mut text, &self.registry)?;
        Ok(text)
    }
}

/// Upper bounds in seconds, from a remembered token to a wait for an issuer's keys.
const LATENCY_BUCKETS: [f64; 11] =
    [0.000_1, 0.000_25, 0.000_5, 0.001, 0.002_5, 0.005, 0.025, 0.1, 0.5, 2.5, 10.0];

impl fmt::Debug for Metrics {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Metrics")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_those_of_the_contract() {
        let metrics = Metrics::new("0.0.0", "63458b39");
        metrics.token_request("issued", "none", Duration::from_micros(90));
        metrics.jwks_fetch("https://a", "ok");
        metrics.jwks_age("https://a", Duration::from_secs(7));
        metrics.store_operation("bind", "ok");
        metrics.claim_rule_audited("https://a");
        metrics.token_signed("SKx", 5);
        metrics.token_signed("SKx", 3);
        let text = metrics.text().unwrap();
        for line in [
            "usher_token_requests_total{outcome=\"issued\",code=\"none\"} 1",
            "usher_token_request_duration_seconds_count 1",
            "usher_verify_cache_hits_total 0",
            "usher_identity_cache_misses_total 0",
            "usher_claim_rules_audited_total{issuer=\"https://a\"} 1",
            "usher_jwks_age_seconds{issuer=\"https://a\"} 7.0",
            "usher_jwks_fetches_total{issuer=\"https://a\",outcome=\"ok\"} 1",
            "usher_store_operations_total{operation=\"bind\",outcome=\"ok\"} 1",
            "usher_config_reload_failed 0",
            "usher_identity_key_info{fingerprint=\"63458b39\"} 1",
            "usher_api_key_last_token_expiry_seconds{sid=\"SKx\"} 5",
            "usher_build_info{version=\"0.0.0\"} 1",
        ] {
            assert!(text.lines().any(|l| l == line), "{line} is not in\n{text}");
        }
        for name in ["process_cpu_seconds_total", "process_start_time_seconds", "process_open_fds"]
        {
            assert!(
                text.lines().any(|l| l.starts_with(&format!("{name} "))),
                "{name} is not in\n{text}"
            );
        }
    }
}
