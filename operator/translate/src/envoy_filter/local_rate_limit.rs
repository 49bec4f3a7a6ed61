//! `envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit`, on a connection manager or a route.

use postern_snapshot::model::{HeaderOps, LocalRateLimit, TokenBucket};

use super::field::Field;
use super::header;
use super::message::Message;
use super::refusal::Read;

pub(super) const TYPE: &str = "envoy.extensions.filters.http.local_ratelimit.v3.LocalRateLimit";

/// Envoy's shortest `fill_interval`, in milliseconds.
const MIN_FILL_INTERVAL: u128 = 50;

/// A filter of this name.
pub(super) fn local_rate_limit(name: &str, mut message: Message<'_>, origin: &str) -> Read<LocalRateLimit> {
    let stat_prefix = message.need("stat_prefix")?;
    if stat_prefix.text()?.is_empty() {
        return Err(stat_prefix.refuse("Envoy needs one that is not empty"));
    }
    let mut response_headers = HeaderOps::default();
    if let Some(options) = message.take("response_headers_to_add")? {
        header::add(&options, &mut response_headers)?;
    }
    let limit = LocalRateLimit {
        name: name.to_owned(),
        origin: origin.to_owned(),
        stat_prefix: stat_prefix.text()?.to_owned(),
        token_bucket: token_bucket(&mut message)?,
        status: status(&mut message)?,
        response_headers,
        x_ratelimit_headers: match message.take("enable_x_ratelimit_headers")? {
            Some(version) => version.one_of(&[("OFF", 0, false), ("DRAFT_VERSION_03", 1, true)])?,
            None => false,
        },
        rate_limited_as_resource_exhausted: match message.take("rate_limited_as_resource_exhausted")? {
            Some(field) => field.bool()?,
            None => false,
        },
    };
    message.only_default("stage")?;
    message.only_default("local_rate_limit_per_downstream_connection")?;
    message.finish()?;
    Ok(limit)
}

/// The bucket, if requests are limited: the filter is for a share of the requests, Envoy's default is none.
fn token_bucket(message: &mut Message<'_>) -> Read<Option<TokenBucket>> {
    let enabled = share(message, "filter_enabled")?;
    let enforced = message.take("filter_enforced")?;
    let is_enforced = enforced.as_ref().map_or(Ok(false), fraction)?;
    let Some(bucket) = message.take("token_bucket")? else { return Ok(None) };
    let place = bucket.clone();
    let mut bucket = bucket.message()?;
    let max_tokens = bucket.need("max_tokens")?.within(1..=u32::MAX)?;
    let tokens_per_fill = match bucket.take("tokens_per_fill")? {
        Some(tokens) => tokens.within(1..=u32::MAX)?,
        None => 1,
    };
    let interval = bucket.need("fill_interval")?;
    let fill_interval = interval.duration()?;
    if fill_interval.as_millis() < MIN_FILL_INTERVAL {
        return Err(interval.refuse("Envoy needs 0.05s or more"));
    }
    bucket.finish()?;
    if !enabled {
        return Ok(None);
    }
    if !is_enforced {
        let why = "Postern does not count without enforcing; filter_enforced must be 100 % (Envoy's default is 0 %)";
        return Err(enforced.unwrap_or(place).refuse(why));
    }
    Ok(Some(TokenBucket { max_tokens, tokens_per_fill, fill_interval }))
}

fn share(message: &mut Message<'_>, name: &str) -> Read<bool> {
    message.take(name)?.as_ref().map_or(Ok(false), fraction)
}

/// `RuntimeFractionalPercent`: all or nothing. There is no runtime that could say otherwise than the default.
fn fraction(field: &Field<'_>) -> Read<bool> {
    let mut message = field.message()?;
    if let Some(key) = message.take("runtime_key")? {
        key.text()?;
    }
    let default = message.need("default_value")?;
    message.finish()?;
    let mut percent = default.message()?;
    let numerator = percent.take("numerator")?.map_or(Ok(0), |numerator| numerator.u32())?;
    let denominators = [("HUNDRED", 0, 100), ("TEN_THOUSAND", 1, 10_000), ("MILLION", 2, 1_000_000)];
    let denominator = match percent.take("denominator")? {
        Some(denominator) => denominator.one_of(&denominators)?,
        None => 100,
    };
    percent.finish()?;
    match numerator {
        0 => Ok(false),
        all if all >= denominator => Ok(true),
        _ => Err(default.refuse("Postern limits all requests or none; it must be 100 % or 0 %")),
    }
}

/// `status.code`. Envoy takes 429 for what is below 400.
fn status(message: &mut Message<'_>) -> Read<Option<u16>> {
    let Some(status) = message.take("status")? else { return Ok(None) };
    let mut status = status.message()?;
    let Some(code) = status.take("code")? else {
        status.finish()?;
        return Ok(None);
    };
    status.finish()?;
    let number = match code.value().as_str() {
        Some(name) if name.parse::<u32>().is_err() => code.one_of(&STATUS_CODES)?,
        _ => code.within(100..=599)?,
    };
    let number = u16::try_from(number).map_err(|_| code.refuse("it is no status code"))?;
    Ok(Some(number).filter(|number| *number >= 400))
}

/// Those of `envoy.type.v3.StatusCode` that refuse a request.
const STATUS_CODES: [(&str, u32, u32); 12] = [
    ("BadRequest", 400, 400),
    ("Unauthorized", 401, 401),
    ("PaymentRequired", 402, 402),
    ("Forbidden", 403, 403),
    ("NotFound", 404, 404),
    ("NotAcceptable", 406, 406),
    ("RequestTimeout", 408, 408),
    ("TooManyRequests", 429, 429),
    ("InternalServerError", 500, 500),
    ("BadGateway", 502, 502),
    ("ServiceUnavailable", 503, 503),
    ("GatewayTimeout", 504, 504),
];
