//! Answers and refusals in the venue's words.

use connector_core::dialect::Scope;
use connector_core::wire::HttpResponse;
use connector_venue::exchange::Exchange;
use connector_venue::face::Denied;
use connector_venue::limits::ScopeKey;
use connector_venue::orders::{AccountId, Reject, Rule};
use serde_json::{Value, json};

use crate::family::WEIGHT;

/// A refusal: D/errors.
#[derive(Clone, Debug)]
pub struct Refused {
    pub(super) status: u16,
    code: i64,
    msg: String,
    /// For limits: seconds to wait, and when that is in milliseconds since the epoch.
    retry: Option<(u64, i64)>,
}

/// What an API says of limits that are used up.
#[derive(Clone, Copy, Debug)]
pub struct LimitTexts {
    /// Of a ban until then, in milliseconds since the epoch.
    pub banned: fn(i64) -> String,
    /// Of request weight: the limit, and its window as number and unit.
    pub weight: fn(u32, u64, &str) -> String,
    /// Of an account's orders, likewise.
    pub orders: fn(u32, u64, &str) -> String,
}

impl Refused {
    /// A refusal of this code, with the status that goes with it.
    pub fn new(code: i64, msg: impl Into<String>) -> Self {
        let status = if matches!(code, -2014 | -2015) { 401 } else { 400 };
        Self { status, code, msg: msg.into(), retry: None }
    }

    /// A parameter that must be there is not.
    #[must_use]
    pub fn missing(name: &str) -> Self {
        Self::new(-1102, format!("Mandatory parameter '{name}' was not sent, was empty/null, or malformed."))
    }

    /// Of two parameters at least one must be there.
    #[must_use]
    pub fn missing_both(one: &str, other: &str) -> Self {
        Self::new(-1102, format!("Param '{one}' or '{other}' must be sent, but both were empty/null!"))
    }

    /// A parameter has characters that it may not have.
    #[must_use]
    pub fn illegal(name: &str, range: &str) -> Self {
        Self::new(-1100, format!("Illegal characters found in parameter '{name}'; legal range is '{range}'."))
    }

    /// A parameter is one too many.
    #[must_use]
    pub fn not_required(name: &str) -> Self {
        Self::new(-1106, format!("Parameter '{name}' sent when not required."))
    }

    /// A parameter has a value that means nothing.
    #[must_use]
    pub fn invalid(name: &str) -> Self {
        Self::new(-1130, format!("Data sent for parameter '{name}' is not valid."))
    }

    /// There is no such market.
    #[must_use]
    pub fn invalid_symbol() -> Self {
        Self::new(-1121, "Invalid symbol.")
    }

    /// The key may not do this.
    #[must_use]
    pub fn bad_key() -> Self {
        Self::new(-2015, "Invalid API-key, IP, or permissions for action.")
    }

    /// What the matching engine, or the filters before it, said of a placement.
    pub(super) fn placement(reject: &Reject) -> Self {
        let filter = |name: &str| Self::new(-1013, format!("Filter failure: {name}"));
        match reject {
            Reject::InsufficientBalance => {
                Self::new(-2010, "Account has insufficient balance for requested action.")
            }
            Reject::WouldTake => Self::new(-2010, "Order would immediately match and take."),
            Reject::DuplicateClientId => Self::new(-2010, "Duplicate order sent."),
            Reject::UnknownMarket => Self::invalid_symbol(),
            Reject::UnknownAccount => Self::bad_key(),
            Reject::MarketClosed => Self::new(-1013, "Market is closed."),
            Reject::UnsupportedType => Self::new(-2010, "Market orders are not supported for this symbol."),
            Reject::PriceMissing => Self::missing("price"),
            Reject::Rule(Rule::PriceFilter) => filter("PRICE_FILTER"),
            Reject::Rule(Rule::PercentPrice) => filter("PERCENT_PRICE_BY_SIDE"),
            Reject::Rule(Rule::LotSize) => filter("LOT_SIZE"),
            Reject::Rule(Rule::MarketLotSize) => filter("MARKET_LOT_SIZE"),
            Reject::Rule(Rule::MinNotional) => filter("NOTIONAL"),
            Reject::Rule(Rule::MaxOpenOrders) => filter("MAX_NUM_ORDERS"),
            _ => Self::new(-2010, "This action is disabled on this account."),
        }
    }

    /// What the matching engine said of a cancel.
    pub(super) fn cancel(reject: &Reject) -> Self {
        match reject {
            Reject::UnknownMarket => Self::invalid_symbol(),
            _ => Self::new(-2011, "Unknown order sent."),
        }
    }

    /// A limit or a ban, as spot says it.
    pub(super) fn denied(denied: &Denied, exchange: &Exchange) -> Self {
        Self::limited(denied, exchange, &TEXTS)
    }

    /// A limit or a ban, in an API's own words.
    #[must_use]
    pub fn limited(denied: &Denied, exchange: &Exchange, texts: &LimitTexts) -> Self {
        let seconds = denied.retry_after_seconds();
        let at = exchange
            .now()
            .millis()
            .saturating_add(i64::try_from(seconds).unwrap_or(i64::MAX).saturating_mul(1000));
        let (status, code, msg, at) = match denied {
            Denied::Banned { until, .. } => (418, -1003, (texts.banned)(until.millis()), until.millis()),
            Denied::Limit { pool, .. } => {
                let limits = exchange.limits();
                let limit = limits
                    .pools()
                    .find(|(known, _)| known.name == pool.name)
                    .map_or(pool.limit, |(_, now)| now);
                let (number, unit) = interval(pool.window.period().as_secs());
                match pool.name {
                    WEIGHT => (429, -1003, (texts.weight)(limit, number, unit), at),
                    _ if pool.scope == Scope::Account => {
                        (429, -1015, (texts.orders)(limit, number, unit), at)
                    }
                    _ => (429, -1003, "Too many requests queued.".to_owned(), at),
                }
            }
            _ => (404, -1020, "This operation is not supported.".to_owned(), at),
        };
        Self { status, code, msg, retry: (status != 404).then_some((seconds, at)) }
    }

    /// As the answer to a request of REST.
    #[must_use]
    pub fn response(&self) -> HttpResponse {
        let mut response = json(self.status, &self.body());
        if let Some((seconds, _)) = self.retry {
            response.headers.push(("retry-after".into(), seconds.to_string().into()));
        }
        response
    }

    /// As the answer to one of several requests in one.
    #[must_use]
    pub fn body(&self) -> Value {
        json!({ "code": self.code, "msg": self.msg })
    }

    /// As `error` in an answer of the WebSocket API. There the wait is told as a point in time.
    pub(super) fn error(&self, now_ms: i64) -> Value {
        let mut error = self.body();
        if let (Some((_, at)), Some(error)) = (self.retry, error.as_object_mut()) {
            error.insert("data".to_owned(), json!({ "serverTime": now_ms, "retryAfter": at }));
        }
        error
    }

    /// Whether the client is banned, which also ends its connections.
    pub(super) const fn is_ban(&self) -> bool {
        self.status == 418
    }
}

/// What spot says of limits.
const TEXTS: LimitTexts = LimitTexts {
    banned: |until| {
        format!(
            "Way too much request weight used; IP banned until {until}. Please use WebSocket Streams for live \
             updates to avoid bans."
        )
    },
    weight: |limit, number, unit| {
        format!(
            "Too much request weight used; current limit is {limit} request weight per {number} {unit}. Please \
             use WebSocket Streams for live updates to avoid polling the API."
        )
    },
    orders: |limit, number, unit| {
        format!("Too many new orders; current limit is {limit} orders per {number} {unit}.")
    },
};

/// A window's length in the venue's units.
#[must_use]
pub const fn interval(seconds: u64) -> (u64, &'static str) {
    if seconds.is_multiple_of(86_400) {
        (seconds / 86_400, "DAY")
    } else if seconds.is_multiple_of(60) {
        (seconds / 60, "MINUTE")
    } else {
        (seconds, "SECOND")
    }
}

/// The answer to a request, or its refusal.
#[must_use]
pub fn of(served: Result<Value, Refused>) -> HttpResponse {
    match served {
        Ok(value) => json(200, &value),
        Err(refused) => refused.response(),
    }
}

/// An answer in JSON.
#[must_use]
pub fn json(status: u16, value: &Value) -> HttpResponse {
    HttpResponse {
        status,
        headers: vec![("content-type".into(), "application/json;charset=UTF-8".into())],
        body: value.to_string().into_bytes(),
    }
}

/// An answer of the web server in front of the venue.
#[must_use]
pub fn html(status: u16, title: &str) -> HttpResponse {
    let body = format!(
        "<html>\r\n<head><title>{title}</title></head>\r\n<body>\r\n<center><h1>{title}</h1></center>\r\n\
         <hr><center>nginx</center>\r\n</body>\r\n</html>\r\n"
    );
    HttpResponse {
        status,
        headers: vec![("content-type".into(), "text/html".into())],
        body: body.into_bytes(),
    }
}

/// The limits with what is used of them: of requests, and of an account's orders where one is given.
pub(super) fn rate_limits(exchange: &Exchange, address: ScopeKey, account: Option<AccountId>) -> Vec<Value> {
    let now = exchange.now();
    let mut all = Vec::new();
    for (pool, limit) in exchange.limits().pools() {
        let (kind, key) = match (pool.name, pool.scope, account) {
            (WEIGHT, ..) => ("REQUEST_WEIGHT", address),
            (_, Scope::Account, Some(account)) => ("ORDERS", ScopeKey::Account(account)),
            _ => continue,
        };
        let (number, unit) = interval(pool.window.period().as_secs());
        let count = exchange.limits().used(pool.name, key, now);
        all.push(json!({
            "rateLimitType": kind, "interval": unit, "intervalNum": number, "limit": limit, "count": count,
        }));
    }
    all
}
