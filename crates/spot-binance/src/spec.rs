//! What is true of Binance spot, as data.

use std::time::Duration;

use connector_core::Cause;
use connector_core::dialect::{
    BookRule, Channel, ChannelSpec, ClockRule, Cost, Domain, Fault, FeeRule, IdRule, KeyKind, Kind, LinkRole,
    LinkSpec, Login, NotApplicable, Pool, Scope, Source, Spec, Window,
};
use connector_core::order::{OrderType, TimeInForce};

use crate::family::{self, ORDERS_TEN_SECONDS, ORDERS_TEN_SECONDS_HEADER, WEIGHT, WEIGHT_HEADER, weight};

/// A page of the API's own documents.
macro_rules! docs {
    ($path:literal) => {
        $crate::family::page(concat!("https://developers.binance.com/docs/binance-spot-api-docs/", $path))
    };
}
pub(crate) use docs;

/// Requests of any kind per five minutes.
pub(crate) const RAW_REQUESTS: &str = "raw_requests";
/// Unfilled orders per day.
pub(crate) const ORDERS_DAY: &str = "orders_1d";
/// WebSocket connections per five minutes.
const CONNECTIONS: &str = "connections";

const STREAMS: Source = docs!("web-socket-streams");
pub(crate) const WS_API: Source = docs!("websocket-api/general-api-information");
const LIMITS: Source = docs!("rest-api/limits");

/// What every request costs.
pub(crate) const RAW: Cost = Cost::fixed(RAW_REQUESTS, 1);

/// What is true of the venue.
pub(crate) const SPEC: Spec = Spec {
    name: "spot-binance",
    exchange: "Binance",
    kind: Kind::Spot,
    perpetual: None,
    domains: DOMAINS,
    keys: &[KeyKind::HmacSha256, KeyKind::Ed25519, KeyKind::Rsa],
    pools: POOLS,
    links: LINKS,
    channels: &[
        ChannelSpec::new(Channel::Book, "market", "<symbol>@depth@100ms", STREAMS),
        ChannelSpec::new(Channel::Trades, "market", "<symbol>@trade", STREAMS),
        ChannelSpec::new(Channel::BestPrice, "market", "<symbol>@bookTicker", STREAMS),
    ],
    book: BookRule::Sequenced,
    clock: Some(ClockRule {
        // `recvWindow` is not sent; this is its default.
        window: Duration::from_millis(5000),
        source: docs!("rest-api/request-security"),
    }),
    ids: IdRule { max_len: 36, punctuation: "-_", source: docs!("fix-api") },
    order_types: &[OrderType::Limit, OrderType::LimitMaker, OrderType::Market],
    times_in_force: &[TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok],
    fees: FeeRule {
        maker_ppm: 1000,
        taker_ppm: 1000,
        from_received: true,
        source: docs!("faqs/commission_faq"),
    },
    // `outboundAccountPosition` is sent "any time an account balance has changed".
    balance_push: true,
    faults: &FAULTS,
    faults_source: docs!("errors"),
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
        source: docs!("rest-api/general-api-information"),
    },
    // Its own documents were read through third parties; since its upgrade of 2026-08-31 it follows com.
    Domain {
        name: "us",
        rest: "https://api.binance.us",
        links: &[
            ("market", "wss://stream.binance.us:9443/stream"),
            ("user", "wss://ws-api.binance.us:443/ws-api/v3"),
        ],
        source: family::page("https://docs.binance.us/"),
    },
    Domain {
        name: "testnet",
        rest: "https://testnet.binance.vision",
        links: &[
            ("market", "wss://stream.testnet.binance.vision/stream"),
            ("user", "wss://ws-api.testnet.binance.vision/ws-api/v3"),
        ],
        source: docs!("testnet/general-info"),
    },
];

const MINUTE: Duration = Duration::from_secs(60);
const FIVE_MINUTES: Duration = MINUTE.saturating_mul(5);
pub(crate) const DAY: Duration = MINUTE.saturating_mul(24 * 60);

const POOLS: &[Pool] = &[
    Pool::new(WEIGHT, 6000, Window::Fixed(MINUTE), Scope::Address, LIMITS).told_in(WEIGHT_HEADER),
    Pool::new(RAW_REQUESTS, 300_000, Window::Fixed(FIVE_MINUTES), Scope::Address, LIMITS),
    // The venue counts orders until their first fill; not knowing the reduction, we count all.
    Pool::new(ORDERS_TEN_SECONDS, 100, Window::Fixed(Duration::from_secs(10)), Scope::Account, LIMITS)
        .told_in(ORDERS_TEN_SECONDS_HEADER),
    Pool::new(ORDERS_DAY, 200_000, Window::Fixed(DAY), Scope::Account, LIMITS)
        .told_in("x-mbx-order-count-1d"),
    Pool::new(CONNECTIONS, 300, Window::Fixed(FIVE_MINUTES), Scope::Address, STREAMS),
];

/// What a request about the connection itself costs: logging on, subscribing, listing.
pub(crate) const LOGIN_COST: &[Cost] = &[weight(2)];

/// What opening a connection to the WebSocket API costs.
pub(crate) const API_CONNECT_COST: &[Cost] = &[Cost::fixed(CONNECTIONS, 1), weight(2)];

const LINKS: &[LinkSpec] = &[
    LinkSpec {
        name: "market",
        role: LinkRole::Public,
        login: Login::None,
        connect_cost: &[Cost::fixed(CONNECTIONS, 1)],
        login_cost: &[],
        // Pings, pongs and control messages count alike.
        frames_per_second: 5,
        max_subscriptions: 1024,
        lifetime: DAY,
        max_silence: Duration::from_secs(20),
        source: STREAMS,
    },
    LinkSpec {
        name: "user",
        role: LinkRole::User,
        login: Login::Frame,
        connect_cost: API_CONNECT_COST,
        login_cost: LOGIN_COST,
        // Not limited as such: requests pay in weight.
        frames_per_second: 1000,
        max_subscriptions: 1,
        lifetime: DAY,
        max_silence: Duration::from_secs(20),
        source: WS_API,
    },
];

const FAULTS: [Fault; OWN_FAULTS.len() + family::FAULTS.len()] = family::joined(OWN_FAULTS);

const OWN_FAULTS: &[Fault] = &[
    Fault::says(&["4"], "Too many subscriptions", Cause::RateLimited),
    Fault::no(&["4"], Cause::BadRequest),
    // A failed connection to the message bus: the venue does not say before or after the deed.
    Fault::unclear(&["-1001"], Cause::Unavailable),
    Fault::says(&["-1013"], "Market is closed", Cause::Market),
    Fault::no(&["-1013"], Cause::TradingRule),
    Fault::no(&["-1034"], Cause::RateLimited),
    Fault::no(&["-1122", "-1125", "-1134", "-1135", "-1139", "-1145", "-1151", "-1194"], Cause::BadRequest),
    Fault::no(&["-1220"], Cause::Market),
    // 20xx: the matching engine and the account. The text of -2010 and -2011 decides.
    Fault::says(&["-2010"], "insufficient balance", Cause::InsufficientBalance),
    Fault::says(&["-2010"], "Duplicate order sent", Cause::DuplicateOrderId),
    Fault::says(&["-2010"], "immediately match and take", Cause::WouldTake),
    Fault::says(&["-2010"], "Market is closed", Cause::Market),
    Fault::says(&["-2010"], "not permitted for this account", Cause::Permission),
    Fault::says(&["-2010"], "restricted for this account", Cause::Permission),
    Fault::says(&["-2010"], "disabled on this account", Cause::Permission),
    Fault::says(&["-2010"], "may not place or cancel", Cause::Permission),
    Fault::says(&["-2010"], "trading is not enabled", Cause::Permission),
    Fault::says(&["-2010"], "not supported for this symbol", Cause::TradingRule),
    Fault::says(&["-2010"], "not support for this symbol", Cause::TradingRule),
    Fault::says(&["-2010"], "QTY", Cause::TradingRule),
    Fault::says(&["-2010"], "Unsupported order combination", Cause::BadRequest),
    Fault::says(&["-2011"], "may not place or cancel", Cause::Permission),
    Fault::says(&["-2011"], "Cancel order is invalid", Cause::BadRequest),
    Fault::says(&["-2011"], "Market is closed", Cause::Market),
    // One half of a cancel-and-replace was carried out: which one the answer's data tell.
    Fault::unclear(&["-2021"], Cause::Other),
    Fault::no(&["-2022", "-2035", "-2036", "-2038"], Cause::Other),
    Fault::no(&["-2026", "-2039"], Cause::OrderNotFound),
    Fault::no(&["-2042"], Cause::RateLimited),
    Fault::no(&["-2043"], Cause::Market),
];
