//! Local rate limits (Envoy's `local_ratelimit`): of a chain, of a virtual host, of a route. What they count lives on
//! through reloads, as long as place and bucket stay the same.

use std::{
    collections::HashMap,
    sync::{Arc, Mutex, PoisonError, Weak},
};

use http::{HeaderMap, HeaderValue, StatusCode};
use postern_snapshot::model::{self, LocalRateLimit};
use tokio::time::Instant;

use super::{
    header_ops::HeaderOps,
    headers::{X_RATELIMIT_LIMIT, X_RATELIMIT_REMAINING, X_RATELIMIT_RESET},
    token_bucket::{Taken, TokenBucket},
};

/// The buckets of a process, found again by their place. Only compilations look here.
#[derive(Debug, Default)]
pub struct RateLimits {
    buckets: Mutex<HashMap<Key, Weak<TokenBucket>>>,
}

/// Where a bucket is, and what it is like: with another size it begins anew.
type Key = (String, model::TokenBucket);

impl RateLimits {
    fn bucket(&self, place: String, settings: model::TokenBucket) -> Arc<TokenBucket> {
        // Nothing panics while it is held.
        let mut buckets = self.buckets.lock().unwrap_or_else(PoisonError::into_inner);
        let key = (place, settings);
        if let Some(bucket) = buckets.get(&key).and_then(Weak::upgrade) {
            return bucket;
        }
        buckets.retain(|_, bucket| bucket.strong_count() > 0);
        let bucket = Arc::new(TokenBucket::new(settings));
        buckets.insert(key, Arc::downgrade(&bucket));
        bucket
    }
}

/// A compiled [`LocalRateLimit`] that limits something.
#[derive(Debug)]
pub(super) struct RateLimit {
    bucket: Arc<TokenBucket>,
    pub(super) status: StatusCode,
    pub(super) resource_exhausted: bool,
    headers: Option<HeaderOps>,
    tells: bool,
}

/// Those that a request must pass, in order. Mostly none.
pub(super) type Limits = Box<[Arc<RateLimit>]>;

/// What all responses to a request say of its limit (`x-ratelimit-*`).
#[derive(Debug, Clone, Copy)]
pub(super) struct Told(Taken);

impl RateLimit {
    /// Adds what the answer to a request too many says.
    pub(super) fn add_headers(&self, headers: &mut HeaderMap) {
        if let Some(ops) = &self.headers {
            ops.apply(headers);
        }
    }
}

impl Told {
    /// Whole seconds, rounded up.
    pub(super) fn add_headers(self, headers: &mut HeaderMap) {
        let Taken { limit, remaining, reset, .. } = self.0;
        let reset = reset.as_secs() + u64::from(reset.subsec_nanos() > 0);
        headers.insert(X_RATELIMIT_LIMIT, HeaderValue::from(limit));
        headers.insert(X_RATELIMIT_REMAINING, HeaderValue::from(remaining));
        headers.insert(X_RATELIMIT_RESET, HeaderValue::from(reset));
    }
}

/// Takes a token of each. The one that has none, and what responses say.
pub(super) fn pass(limits: &Limits) -> (Option<Arc<RateLimit>>, Option<Told>) {
    let mut told = None;
    if limits.is_empty() {
        return (None, told);
    }
    let now = Instant::now();
    for limit in limits {
        let taken = limit.bucket.take(now);
        if limit.tells {
            told = Some(Told(taken));
        }
        if !taken.allowed {
            return (Some(Arc::clone(limit)), told);
        }
    }
    (None, told)
}

/// Compiles the limits of a chain, and what virtual hosts and routes say instead.
pub(super) struct LimitCompiler<'a> {
    registry: &'a RateLimits,
    /// Of the chain.
    chain: &'a str,
    own: &'a [LocalRateLimit],
    compiled: Vec<Option<Arc<RateLimit>>>,
}

impl<'a> LimitCompiler<'a> {
    /// `chain` is the name of its route table, of which it is the only one. What is wrong is added to `problems`, with the
    /// object that says it.
    pub(super) fn new(
        registry: &'a RateLimits,
        chain: &'a str,
        own: &'a [LocalRateLimit],
        problems: &mut Vec<Problem>,
    ) -> Self {
        let mut compiler = Self { registry, chain, own, compiled: Vec::new() };
        compiler.compiled = own.iter().map(|limit| compiler.limit(limit, "", problems)).collect();
        compiler
    }

    /// For requests without a route.
    pub(super) fn chain(&self) -> Limits {
        self.compiled.iter().flatten().cloned().collect()
    }

    /// Those of a virtual host, one for each of the chain's.
    pub(super) fn host(
        &self,
        name: &str,
        overrides: &[LocalRateLimit],
        problems: &mut Vec<Problem>,
    ) -> Vec<Option<Arc<RateLimit>>> {
        self.overridden(&self.compiled, name, overrides, problems)
    }

    /// Those of a route in a virtual host that has `host`.
    pub(super) fn route(
        &self,
        host: &[Option<Arc<RateLimit>>],
        place: &str,
        overrides: &[LocalRateLimit],
        problems: &mut Vec<Problem>,
    ) -> Limits {
        if overrides.is_empty() {
            return host.iter().flatten().cloned().collect();
        }
        self.overridden(host, place, overrides, problems).into_iter().flatten().collect()
    }

    fn overridden(
        &self,
        above: &[Option<Arc<RateLimit>>],
        place: &str,
        overrides: &[LocalRateLimit],
        problems: &mut Vec<Problem>,
    ) -> Vec<Option<Arc<RateLimit>>> {
        let of = |own: &LocalRateLimit| overrides.iter().find(|other| other.name == own.name);
        let both = self.own.iter().zip(above);
        both.map(|(own, above)| match of(own) {
            Some(limit) => self.limit(limit, place, problems),
            None => above.clone(),
        })
        .collect()
    }

    /// `None` if it limits nothing.
    fn limit(
        &self,
        from: &LocalRateLimit,
        place: &str,
        problems: &mut Vec<Problem>,
    ) -> Option<Arc<RateLimit>> {
        let bucket = from.token_bucket.filter(|bucket| bucket.tokens_per_fill > 0)?;
        let mut problem = |what: String| problems.push(Problem { origin: from.origin.clone(), what });
        let headers = match HeaderOps::compile(&from.response_headers) {
            Ok(_) if from.response_headers.is_empty() => None,
            Ok(headers) => Some(headers),
            Err(what) => {
                problem(format!("rate limit {}: {what}", from.name));
                None
            }
        };
        let status = from.status.unwrap_or(429);
        let status = StatusCode::from_u16(status).unwrap_or_else(|_| {
            problem(format!("rate limit {}: {status} is no status", from.name));
            StatusCode::TOO_MANY_REQUESTS
        });
        let place = format!("{}|{place}|{}", self.chain, from.name);
        Some(Arc::new(RateLimit {
            bucket: self.registry.bucket(place, bucket),
            status,
            resource_exhausted: from.rate_limited_as_resource_exhausted,
            headers,
            tells: from.x_ratelimit_headers,
        }))
    }
}

/// A piece of a rate limit, or another setting, that cannot be done. The rest holds nevertheless.
#[derive(Debug)]
pub(super) struct Problem {
    pub(super) origin: String,
    pub(super) what: String,
}
