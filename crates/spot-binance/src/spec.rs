//! What is true of Binance spot, as data.

use std::time::Duration;

use connector_core::dialect::{
    BookRule, Channel, ChannelSpec, ClockRule, Cost, Domain, Fault, FeeRule, IdRule, KeyKind, Kind, LinkRole,
    LinkSpec, Login, NotApplicable, Pool, Scope, Source, Spec, Weight, Window,
};
use connector_core::order::{OrderType, TimeInForce};
use connector_core::{Cause, Effect};

/// A page of the venue's documentation, as read for this crate.
pub(crate) const fn page(url: &'static str) -> Source {
    Source { url, read: "2026-11-22" }
}

/// Request weight per minute.
pub(crate) const WEIGHT: &str = "request_weight";
/// Requests of any kind per five minutes.
pub(crate) const RAW_REQUESTS: &str = "raw_requests";
/// Unfilled orders per ten seconds.
pub(crate) const ORDERS_TEN_SECONDS: &str = "orders_10s";
/// Unfilled orders per day.
pub(crate) const ORDERS_DAY: &str = "orders_1d";
/// WebSocket connections per five minutes.
const CONNECTIONS: &str = "connections";

const STREAMS: Source = page("https://developers.binance.com/docs/binance-spot-api-docs/web-socket-streams");
const WS_API: Source =
    page("https://developers.binance.com/docs/binance-spot-api-docs/websocket-api/general-api-information");
const LIMITS: Source = page("https://developers.binance.com/docs/binance-spot-api-docs/rest-api/limits");

/// What is true of the venue.
pub(crate) const SPEC: Spec = Spec {
    name: "spot-binance",
    exchange: "Binance",
    kind: Kind::Spot,
    domains: DOMAINS,
    keys: &[KeyKind::HmacSha256, KeyKind::Ed25519, KeyKind::Rsa],
    pools: POOLS,
    links: LINKS,
    channels: &[
        ChannelSpec { channel: Channel::Book, link: "market", name: "<symbol>@depth@100ms", source: STREAMS },
        ChannelSpec { channel: Channel::Trades, link: "market", name: "<symbol>@trade", source: STREAMS },
        ChannelSpec {
            channel: Channel::BestPrice,
            link: "market",
            name: "<symbol>@bookTicker",
            source: STREAMS,
        },
    ],
    book: BookRule::Sequenced,
    clock: Some(ClockRule {
        // `recvWindow` is not sent; this is its default.
        window: Duration::from_millis(5000),
        source: page("https://developers.binance.com/docs/binance-spot-api-docs/rest-api/request-security"),
    }),
    ids: IdRule {
        max_len: 36,
        punctuation: "-_",
        source: page("https://developers.binance.com/docs/binance-spot-api-docs/fix-api"),
    },
    order_types: &[OrderType::Limit, OrderType::LimitMaker, OrderType::Market],
    times_in_force: &[TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok],
    fees: FeeRule {
        maker_ppm: 1000,
        taker_ppm: 1000,
        from_received: true,
        source: page("https://developers.binance.com/docs/binance-spot-api-docs/faqs/commission_faq"),
    },
    // `outboundAccountPosition` is sent "any time an account balance has changed".
    balance_push: true,
    faults: FAULTS,
    faults_source: page("https://developers.binance.com/docs/binance-spot-api-docs/errors"),
    // Orders are read from the engine's memory and then a database, copied to asynchronously.
    visibility: Duration::from_secs(2),
    not_applicable: &[
        NotApplicable {
            row: "XQ-03",
            reason: "the orders placed here (LIMIT, LIMIT_MAKER, MARKET) take no expiry time",
        },
        NotApplicable { row: "XQ-05", reason: "Binance spot has no batch placement or batch cancel by id" },
    ],
};

const DOMAINS: &[Domain] = &[
    Domain {
        name: "com",
        rest: "https://api.binance.com",
        links: &[
            ("market", "wss://stream.binance.com:9443/stream"),
            ("user", "wss://ws-api.binance.com:443/ws-api/v3"),
        ],
        source: page(
            "https://developers.binance.com/docs/binance-spot-api-docs/rest-api/general-api-information",
        ),
    },
    // Its own documents were read through third parties; since its upgrade of 2026-08-31 it follows com.
    Domain {
        name: "us",
        rest: "https://api.binance.us",
        links: &[
            ("market", "wss://stream.binance.us:9443/stream"),
            ("user", "wss://ws-api.binance.us:443/ws-api/v3"),
        ],
        source: page("https://docs.binance.us/"),
    },
    Domain {
        name: "testnet",
        rest: "https://testnet.binance.vision",
        links: &[
            ("market", "wss://stream.testnet.binance.vision/stream"),
            ("user", "wss://ws-api.testnet.binance.vision/ws-api/v3"),
        ],
        source: page("https://developers.binance.com/docs/binance-spot-api-docs/testnet/general-info"),
    },
];

const MINUTE: Duration = Duration::from_secs(60);

const POOLS: &[Pool] = &[
    Pool {
        name: WEIGHT,
        limit: 6000,
        window: Window::Fixed(MINUTE),
        scope: Scope::Address,
        used_header: Some("x-mbx-used-weight-1m"),
        source: LIMITS,
    },
    Pool {
        name: RAW_REQUESTS,
        limit: 300_000,
        window: Window::Fixed(MINUTE.saturating_mul(5)),
        scope: Scope::Address,
        used_header: None,
        source: LIMITS,
    },
    // The venue counts orders until their first fill; not knowing the reduction, we count all.
    Pool {
        name: ORDERS_TEN_SECONDS,
        limit: 100,
        window: Window::Fixed(Duration::from_secs(10)),
        scope: Scope::Account,
        used_header: Some("x-mbx-order-count-10s"),
        source: LIMITS,
    },
    Pool {
        name: ORDERS_DAY,
        limit: 200_000,
        window: Window::Fixed(MINUTE.saturating_mul(24 * 60)),
        scope: Scope::Account,
        used_header: Some("x-mbx-order-count-1d"),
        source: LIMITS,
    },
    Pool {
        name: CONNECTIONS,
        limit: 300,
        window: Window::Fixed(MINUTE.saturating_mul(5)),
        scope: Scope::Address,
        used_header: None,
        source: STREAMS,
    },
];

/// What a request about the connection itself costs: logging on, subscribing, listing.
const LOGIN_COST: &[Cost] = &[Cost { pool: WEIGHT, weight: Weight::Fixed(2) }];

/// [`LOGIN_COST`], for the venue's side.
#[cfg(feature = "venue")]
pub(crate) const fn link_login_cost() -> &'static [Cost] {
    LOGIN_COST
}

const LINKS: &[LinkSpec] = &[
    LinkSpec {
        name: "market",
        role: LinkRole::Public,
        login: Login::None,
        connect_cost: &[Cost { pool: CONNECTIONS, weight: Weight::Fixed(1) }],
        login_cost: &[],
        // Pings, pongs and control messages count alike.
        frames_per_second: 5,
        max_subscriptions: 1024,
        lifetime: MINUTE.saturating_mul(24 * 60),
        max_silence: Duration::from_secs(20),
        source: STREAMS,
    },
    LinkSpec {
        name: "user",
        role: LinkRole::User,
        login: Login::Frame,
        connect_cost: &[
            Cost { pool: CONNECTIONS, weight: Weight::Fixed(1) },
            Cost { pool: WEIGHT, weight: Weight::Fixed(2) },
        ],
        login_cost: LOGIN_COST,
        // Not limited as such: requests pay in weight.
        frames_per_second: 100,
        max_subscriptions: 1,
        lifetime: MINUTE.saturating_mul(24 * 60),
        max_silence: Duration::from_secs(20),
        source: WS_API,
    },
];

const fn no(code: &'static str, cause: Cause) -> Fault {
    Fault { code, text: None, cause, effect: Effect::Rejected }
}

const fn says(code: &'static str, text: &'static str, cause: Cause) -> Fault {
    Fault { code, text: Some(text), cause, effect: Effect::Rejected }
}

const fn unclear(code: &'static str, cause: Cause) -> Fault {
    Fault { code, text: None, cause, effect: Effect::Unknown }
}

const FAULTS: &[Fault] = &[
    // Answers of market streams.
    no("0", Cause::BadRequest),
    no("1", Cause::BadRequest),
    no("2", Cause::BadRequest),
    no("3", Cause::BadRequest),
    says("4", "Too many subscriptions", Cause::RateLimited),
    no("4", Cause::BadRequest),
    // 10xx: server and network. What the venue cannot vouch for may have happened.
    unclear("-1000", Cause::Unavailable),
    unclear("-1001", Cause::Unavailable),
    no("-1002", Cause::Permission),
    says("-1003", "banned", Cause::Banned),
    no("-1003", Cause::RateLimited),
    unclear("-1006", Cause::Unavailable),
    unclear("-1007", Cause::Timeout),
    unclear("-1008", Cause::Unavailable),
    no("-1010", Cause::Other),
    says("-1013", "Market is closed", Cause::Market),
    no("-1013", Cause::TradingRule),
    no("-1014", Cause::BadRequest),
    no("-1015", Cause::RateLimited),
    no("-1016", Cause::Unavailable),
    no("-1020", Cause::BadRequest),
    no("-1021", Cause::Timestamp),
    no("-1022", Cause::Signature),
    no("-1034", Cause::RateLimited),
    // 11xx: the request.
    no("-1100", Cause::BadRequest),
    no("-1101", Cause::BadRequest),
    no("-1102", Cause::BadRequest),
    no("-1103", Cause::BadRequest),
    no("-1104", Cause::BadRequest),
    no("-1105", Cause::BadRequest),
    no("-1106", Cause::BadRequest),
    no("-1108", Cause::BadRequest),
    no("-1111", Cause::TradingRule),
    no("-1112", Cause::Market),
    no("-1114", Cause::BadRequest),
    no("-1115", Cause::BadRequest),
    no("-1116", Cause::BadRequest),
    no("-1117", Cause::BadRequest),
    no("-1118", Cause::BadRequest),
    no("-1119", Cause::BadRequest),
    no("-1120", Cause::BadRequest),
    no("-1121", Cause::Market),
    no("-1122", Cause::BadRequest),
    no("-1125", Cause::BadRequest),
    no("-1127", Cause::BadRequest),
    no("-1128", Cause::BadRequest),
    no("-1130", Cause::BadRequest),
    no("-1134", Cause::BadRequest),
    no("-1135", Cause::BadRequest),
    no("-1139", Cause::BadRequest),
    no("-1145", Cause::BadRequest),
    no("-1151", Cause::BadRequest),
    no("-1194", Cause::BadRequest),
    no("-1220", Cause::Market),
    // 20xx: the matching engine and the account. The text of the first three decides.
    says("-2010", "insufficient balance", Cause::InsufficientBalance),
    says("-2010", "Duplicate order sent", Cause::DuplicateOrderId),
    says("-2010", "immediately match and take", Cause::WouldTake),
    says("-2010", "Market is closed", Cause::Market),
    says("-2010", "not permitted for this account", Cause::Permission),
    says("-2010", "restricted for this account", Cause::Permission),
    says("-2010", "disabled on this account", Cause::Permission),
    says("-2010", "may not place or cancel", Cause::Permission),
    says("-2010", "trading is not enabled", Cause::Permission),
    says("-2010", "not supported for this symbol", Cause::TradingRule),
    says("-2010", "not support for this symbol", Cause::TradingRule),
    says("-2010", "QTY", Cause::TradingRule),
    says("-2010", "Unsupported order combination", Cause::BadRequest),
    no("-2010", Cause::Other),
    says("-2011", "Unknown order sent", Cause::OrderNotFound),
    says("-2011", "may not place or cancel", Cause::Permission),
    says("-2011", "Cancel order is invalid", Cause::BadRequest),
    says("-2011", "Market is closed", Cause::Market),
    no("-2011", Cause::Other),
    no("-2013", Cause::OrderNotFound),
    no("-2014", Cause::Credentials),
    no("-2015", Cause::Credentials),
    no("-2016", Cause::Market),
    // One half of a cancel-and-replace was carried out: which one the answer's data tell.
    unclear("-2021", Cause::Other),
    no("-2022", Cause::Other),
    no("-2026", Cause::OrderNotFound),
    no("-2035", Cause::Other),
    no("-2036", Cause::Other),
    no("-2038", Cause::Other),
    no("-2039", Cause::OrderNotFound),
    no("-2042", Cause::RateLimited),
    no("-2043", Cause::Market),
];
