//! What is true of Binance USDⓈ-M futures, as data.

use std::time::Duration;

use connector_core::Cause;
use connector_core::dialect::{
    BookRule, Channel, ChannelSpec, ClockRule, Domain, Fault, FeeRule, IdRule, KeyKind, Kind, LinkRole,
    LinkSpec, Login, NotApplicable, PerpetualSpec, Pool, Scope, Source, Spec, Window,
};
use connector_core::order::{OrderType, TimeInForce};
use connector_core::position::{MarginMode, PositionMode};
use spot_binance::family::{self, ORDERS_TEN_SECONDS, ORDERS_TEN_SECONDS_HEADER, WEIGHT, WEIGHT_HEADER};

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
    not_applicable: &[
        NotApplicable {
            row: "XQ-03",
            reason: "the orders placed here (GTC, IOC, FOK, GTX) take no expiry time",
        },
        NotApplicable { row: "XQ-05", reason: "orders are placed and cancelled one by one" },
    ],
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

const FAULTS: [Fault; OWN_FAULTS.len() + family::FAULTS.len()] = family::joined(OWN_FAULTS);

const OWN_FAULTS: &[Fault] = &[
    // "100 % failure". The same page says so of -1008 (overload), but an order refused with it was once found alive, so that
    // one stays unclear.
    Fault::no(&["-1001"], Cause::Unavailable),
    Fault::no(&["-1011"], Cause::Credentials),
    Fault::no(&["-1004", "-1005", "-1013", "-1023", "-1110", "-1113", "-1126", "-1136"], Cause::BadRequest),
    Fault::no(&["-1099", "-1109", "-2017"], Cause::Permission),
    Fault::no(&["-1122"], Cause::Market),
    // The listen key has ended: another one has to be made.
    Fault::no(&["-1125"], Cause::Other),
    // 20xx: the account.
    Fault::no(&["-2012"], Cause::Other),
    Fault::no(&["-2018", "-2019", "-2028", "-4050", "-4051"], Cause::InsufficientBalance),
    Fault::no(&["-2020", "-2021"], Cause::Other),
    Fault::no(&["-2022", "-2023", "-2024", "-2027", "-4118"], Cause::Position),
    Fault::no(&["-2025"], Cause::TradingRule),
    Fault::no(&["-2026"], Cause::BadRequest),
    // 40xx: filters.
    Fault::no(
        &[
            "-4001", "-4002", "-4003", "-4004", "-4005", "-4006", "-4007", "-4013", "-4014", "-4016",
            "-4023", "-4024", "-4131", "-4164", "-4183", "-4184", "-4210", "-4211", "-5029",
        ],
        Cause::TradingRule,
    ),
    Fault::no(&["-4116"], Cause::DuplicateOrderId),
    // Leverage, margin and position mode. What is so already needs no change.
    Fault::no(&["-4046", "-4059", "-4171", "-5027"], Cause::Unchanged),
    Fault::no(
        &[
            "-4047", "-4048", "-4049", "-4054", "-4061", "-4067", "-4068", "-4161", "-4167", "-4168",
            "-4169", "-4170", "-4172",
        ],
        Cause::Position,
    ),
    Fault::no(&["-4028"], Cause::TradingRule),
    // What the account may do.
    Fault::no(
        &[
            "-4084", "-4087", "-4088", "-4109", "-4189", "-4192", "-4202", "-4203", "-4205", "-4206",
            "-4208", "-4209", "-4402", "-4403",
        ],
        Cause::Permission,
    ),
    // What the market may not be traded for now.
    Fault::no(
        &["-4022", "-4104", "-4105", "-4106", "-4107", "-4140", "-4141", "-4144", "-5024"],
        Cause::Market,
    ),
    // Requests we do not make so.
    Fault::no(
        &[
            "-4000", "-4015", "-4020", "-4021", "-4031", "-4055", "-4060", "-4062", "-4082", "-4120",
            "-4137", "-4138", "-4139", "-4165", "-5025", "-5037", "-5038", "-5039", "-5040", "-5047",
        ],
        Cause::BadRequest,
    ),
    Fault::no(&["-4045"], Cause::TradingRule),
    Fault::no(&["-4083", "-4117", "-4142", "-4400", "-4401"], Cause::Other),
    // 50xx: the matching engine.
    Fault::no(&["-5021", "-5026", "-5041", "-5043"], Cause::Other),
    Fault::no(&["-5022"], Cause::WouldTake),
    Fault::no(&["-5028"], Cause::Timestamp),
];
