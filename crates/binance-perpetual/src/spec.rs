//! What is true of Binance USDⓈ-M futures, as data.

use std::time::Duration;

use connector_core::dialect::{
    BookRule, Channel, ChannelSpec, ClockRule, Domain, FeeRule, IdRule, KeyKind, Kind, LinkRole, LinkSpec,
    Login, NotApplicable, PerpetualSpec, Pool, Scope, Source, Spec, Window,
};
use connector_core::order::{OrderType, TimeInForce};
use connector_core::position::{MarginMode, PositionMode};
use spot_binance::family::{self, ORDERS_TEN_SECONDS, ORDERS_TEN_SECONDS_HEADER, WEIGHT, WEIGHT_HEADER};

use crate::faults::FAULTS;

/// A page of the API's own documents.
macro_rules! docs {
    ($path:literal) => {
        spot_binance::family::page(concat!(
            "https://developers.binance.com/docs/derivatives/usds-margined-futures/",
            $path
        ))
    };
}
pub(crate) use docs;

/// Orders per minute.
pub(crate) const ORDERS_MINUTE: &str = "orders_1m";

const GENERAL: Source = docs!("general-info");
const STREAMS: Source = docs!("websocket-market-streams");
const USER_STREAM: Source = docs!("user-data-streams");

/// What is true of the venue.
pub(crate) const SPEC: Spec = Spec {
    name: "binance-perpetual",
    exchange: "Binance USDⓈ-M",
    kind: Kind::Perpetual,
    perpetual: Some(PerpetualSpec {
        position_modes: &[PositionMode::OneWay, PositionMode::Hedge],
        margin_modes: &[MarginMode::Cross, MarginMode::Isolated],
        // "A deviation of up to 1 minute" from the scheduled time.
        funding_delay: MINUTE,
        source: family::page("https://www.binance.com/en/support/faq/360033525031"),
    }),
    domains: DOMAINS,
    // Ed25519 keys are documented for the WebSocket API only; the official clients use them here too.
    keys: &[KeyKind::HmacSha256, KeyKind::Ed25519, KeyKind::Rsa],
    pools: POOLS,
    links: LINKS,
    channels: &[
        ChannelSpec::new(Channel::Book, "public", "<symbol>@depth@100ms", STREAMS),
        ChannelSpec::new(Channel::BestPrice, "public", "<symbol>@bookTicker", STREAMS),
        // Single trades (`@trade`) are not documented.
        ChannelSpec::new(Channel::Trades, "market", "<symbol>@aggTrade", STREAMS),
        ChannelSpec::new(Channel::Funding, "market", "<symbol>@markPrice@1s", STREAMS),
    ],
    book: BookRule::PrevLinked,
    clock: Some(ClockRule {
        // `recvWindow` is not sent; this is its default.
        window: Duration::from_millis(5000),
        source: GENERAL,
    }),
    ids: IdRule { max_len: 36, punctuation: ".:/_-", source: docs!("trade/rest-api") },
    order_types: &[OrderType::Limit, OrderType::LimitMaker, OrderType::Market],
    times_in_force: &[TimeInForce::Gtc, TimeInForce::Ioc, TimeInForce::Fok],
    fees: FeeRule {
        maker_ppm: 200,
        taker_ppm: 500,
        from_received: false,
        source: family::page("https://www.binance.com/en/fee/futureFee"),
    },
    // `ACCOUNT_UPDATE` tells wallets only, and not what orders hold.
    balance_push: false,
    faults: &FAULTS,
    faults_source: docs!("error-code"),
    // "RESTful endpoints may experience query delays"; as for spot.
    visibility: Duration::from_secs(2),
    not_applicable: &[NotApplicable {
        row: "XQ-03",
        reason: "the orders placed here (GTC, IOC, FOK, GTX) take no expiry time",
    }],
};

const DOMAINS: &[Domain] = &[
    Domain {
        name: "com",
        rest: "https://fapi.binance.com",
        links: &[
            ("public", "wss://fstream.binance.com/public/stream"),
            ("market", "wss://fstream.binance.com/market/stream"),
            ("user", "wss://fstream.binance.com/private/ws/<key>"),
        ],
        source: docs!("websocket-market-streams/Important-WebSocket-Change-Notice"),
    },
    // Documents of May 2026 name `fstream.binancefuture.com` for streams, those of October this host.
    Domain {
        name: "testnet",
        rest: "https://demo-fapi.binance.com",
        links: &[
            ("public", "wss://demo-fstream.binance.com/public/stream"),
            ("market", "wss://demo-fstream.binance.com/market/stream"),
            ("user", "wss://demo-fstream.binance.com/private/ws/<key>"),
        ],
        source: GENERAL,
    },
];

const MINUTE: Duration = Duration::from_secs(60);

/// Since 2026-06-30 coin-margined futures count in the same pools.
const POOLS: &[Pool] = &[
    Pool::new(WEIGHT, 2400, Window::Fixed(MINUTE), Scope::Address, GENERAL).told_in(WEIGHT_HEADER),
    Pool::new(ORDERS_TEN_SECONDS, 300, Window::Fixed(Duration::from_secs(10)), Scope::Account, GENERAL)
        .told_in(ORDERS_TEN_SECONDS_HEADER),
    Pool::new(ORDERS_MINUTE, 1200, Window::Fixed(MINUTE), Scope::Account, GENERAL)
        .told_in("x-mbx-order-count-1m"),
];

const LINKS: &[LinkSpec] = &[
    link("public", LinkRole::Public, Login::None, STREAMS),
    link("market", LinkRole::Public, Login::None, STREAMS),
    link("user", LinkRole::User, Login::Key, USER_STREAM),
];

const fn link(name: &'static str, role: LinkRole, login: Login, source: Source) -> LinkSpec {
    LinkSpec {
        name,
        role,
        login,
        // Connections are not limited in the documents.
        connect_cost: &[],
        login_cost: &[],
        // Pings, pongs and control messages count alike.
        frames_per_second: 10,
        max_subscriptions: 1024,
        lifetime: MINUTE.saturating_mul(24 * 60),
        max_silence: MINUTE.saturating_mul(3),
        source,
    }
}
