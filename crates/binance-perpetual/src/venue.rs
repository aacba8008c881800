//! The reverse direction: Binance USDⓈ-M as the embedded exchange speaks it, for any client.
//!
//! Serves what the venue documents of REST and of streams on its routed addresses, as far as trading needs it. Orders that wait
//! for a trigger are refused as the venue has refused them since they have a service of their own. What the venue of spot markets
//! does alike stands there, in [`spot_binance::venue`].

mod account;
mod market;
mod modify;
mod orders;
mod refusals;
mod requests;
mod rows;
mod settings;
mod streams;
mod user;

use std::time::Duration;

use connector_core::Decimal;
use connector_core::dialect::{Auth, Rest, Row, Spec};
use connector_core::time::UnixNanos;
use connector_core::wire::HttpResponse;
use connector_venue::exchange::Exchange;
use connector_venue::face::{Call, Denied, Face, Outbox, Peer, Session};
use connector_venue::keys::ApiKey;
use connector_venue::news::News;
use connector_venue::orders::AccountId;
use connector_venue::perpetual::{Bracket, ContractSetup, PerpetualSetup};
pub use connector_venue::server::Server;
use connector_venue::setup::{AccountSetup, Fees, Liveliness, MarketSetup, MarketStatus, Rules, Setup};
use serde_json::Value;
use smol_str::SmolStr;
use spot_binance::venue::answer::{self, Refused};
use spot_binance::venue::auth;
use spot_binance::venue::params::Params;

use crate::spec::SPEC;
use crate::venue::streams::Class;

/// The face of Binance USDⓈ-M.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinancePerpetualFace;

/// The accounts' keys, HMAC, which may read and trade, and their secrets, which open nothing but the embedded exchange.
const KEYS: [(&str, &str); 2] = [
    (
        "embeddedVenuePerpetualKey0000000000000000000000000000000000001A",
        "embeddedVenuePerpetualSecret0000000000000000000000000000000001A",
    ),
    (
        "embeddedVenuePerpetualKey0000000000000000000000000000000000002B",
        "embeddedVenuePerpetualSecret0000000000000000000000000000000002B",
    ),
];

impl Face for BinancePerpetualFace {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn tick_period(&self) -> Option<Duration> {
        u64::try_from(streams::TICK).ok().map(Duration::from_millis)
    }

    fn rest(&self) -> &'static Rest {
        &crate::rest::REST
    }

    fn setup(&self, seed: u64) -> Setup {
        let mut setup = Setup::new(UnixNanos::from_millis(1_795_305_600_000), seed);
        setup.markets = markets();
        setup.fees = Fees { maker_ppm: 200, taker_ppm: 500 };
        for (number, (key, secret)) in (1..).zip(KEYS) {
            let account = AccountId(number);
            let money = |asset: &str, amount: u32| (asset.into(), Decimal::from(amount * number));
            let balances = vec![money("USDT", 100_000), money("USDC", 50_000), money("BNB", 10)];
            setup.accounts.push(AccountSetup::new(account, balances));
            setup.keys.push(ApiKey::hmac(key, account, secret));
        }
        setup.pools = SPEC.pools.to_vec();
        setup.first_order_id = 22_542_179;
        setup.perpetual = PerpetualSetup {
            liquidation_prefix: SmolStr::new_static("autoclose-"),
            deleverage_prefix: SmolStr::new_static("adl_autoclose-"),
            settlement_prefix: SmolStr::new_static("settlement_autoclose-"),
            ..PerpetualSetup::default()
        };
        setup
    }

    fn extra(&self) -> &'static [Row] {
        rows::EXTRA
    }

    fn http(&self, call: &Call<'_>, exchange: &mut Exchange) -> HttpResponse {
        answer::of(serve(call, exchange))
    }

    fn refuse(&self, denied: &Denied, exchange: &Exchange) -> HttpResponse {
        match denied {
            Denied::NoRoute | Denied::WrongMethod => answer::html(404, "404 Not Found"),
            denied => refusals::denied(denied, exchange).response(),
        }
    }

    // What an address carries is told by its class.
    fn accept(
        &self,
        path: &str,
        query: &str,
        peer: &Peer,
        exchange: &mut Exchange,
    ) -> Result<Session, Box<HttpResponse>> {
        let (class, rest) = streams::class(path);
        let name = match class {
            Class::Public => "public",
            Class::Market => "market",
            Class::Private => "user",
        };
        let link = SPEC.links.iter().find(|link| link.name == name);
        let opened = link.and_then(|link| {
            let mut session = Session::new(link, *peer);
            streams::opened(&mut session, class, rest, query)?;
            Some(session)
        });
        let mut session = opened.ok_or_else(|| Box::new(answer::html(404, "404 Not Found")))?;
        if class == Class::Private {
            user::follow(&mut session, exchange);
        }
        Ok(session)
    }

    fn message(&self, session: &mut Session, text: &str, exchange: &mut Exchange, out: &mut Outbox) {
        spot_binance::venue::streams::message::<streams::State>(session, text, out);
        if streams::is_private(session) {
            user::follow(session, exchange);
        }
    }

    fn push(&self, session: &mut Session, news: &News, exchange: &Exchange, out: &mut Outbox) {
        if streams::is_private(session) {
            user::push(session, news, exchange, out);
        } else {
            streams::push(session, news, exchange, out);
        }
    }

    fn tick(&self, session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
        streams::tick(session, exchange, out);
    }
}

/// Authenticates, charges and answers a request.
fn serve(call: &Call<'_>, exchange: &mut Exchange) -> Result<Value, Refused> {
    let (row, params) = (call.row.name, Params(&call.fields));
    let permission = rows::permission(call.row);
    let account = match call.row.auth {
        Auth::Public => return requests::public(row, params, exchange),
        Auth::Keyed => auth::keyed(call, permission, exchange)?,
        Auth::Signed => auth::request(call, permission, exchange)?,
    };
    call.charge_account(exchange, account).map_err(|denied| refusals::denied(&denied, exchange))?;
    if row == rows::HISTORICAL_TRADES {
        return requests::public(row, params, exchange);
    }
    requests::private(row, account, params, exchange)
}

/// Leverage brackets like those of the largest contracts: caps, highest leverage and maintenance ratio in ten thousandths.
fn brackets(max_leverage: i64) -> Vec<Bracket> {
    let rows = [
        (300_000, 125, 40),
        (800_000, 100, 50),
        (3_000_000, 75, 65),
        (12_000_000, 50, 100),
        (70_000_000, 25, 200),
        (100_000_000, 20, 250),
        (230_000_000, 10, 500),
        (480_000_000, 5, 1000),
    ];
    let rows = rows.map(|(cap, leverage, ratio): (i64, i64, i64)| {
        (cap.into(), leverage.min(max_leverage).into(), Decimal::new(ratio, 4))
    });
    Bracket::table(&rows)
}

/// Contracts of very different scales, one margined in another asset, one with another funding interval, one that is halted, and
/// one whose name is not ASCII.
fn markets() -> Vec<MarketSetup> {
    let number = |(value, scale)| Decimal::new(value, scale);
    let market = |base, quote, tick: (i64, u32), step: (i64, u32), notional: i64, price: (i64, u32)| {
        let mut rules = Rules::new(number(tick), number(step), Decimal::from(notional));
        rules.max_amount = number(step) * Decimal::from(1_000_000);
        rules.market_max_amount = Some(number(step) * Decimal::from(120_000));
        let contract = ContractSetup { refuses_unfillable: true, ..ContractSetup::new(quote, brackets(125)) };
        MarketSetup::new(base, quote, rules, number(price)).perpetual(contract).live(Liveliness::default())
    };
    let mut halted = market("LUNA2", "USDT", (1, 4), (1, 0), 5, (85, 2));
    halted.status = MarketStatus::Halted;
    halted.live = None;
    let mut often = market("SOL", "USDT", (1, 2), (1, 0), 5, (14_250, 2));
    if let Some(contract) = &mut often.contract {
        contract.funding_interval = Duration::from_secs(4 * 3600);
        contract.brackets = brackets(75);
    }
    vec![
        market("BTC", "USDT", (1, 1), (1, 3), 100, (61_837, 0)),
        market("ETH", "USDT", (1, 2), (1, 3), 20, (2_650, 0)),
        often,
        market("BTC", "USDC", (1, 1), (1, 3), 50, (61_830, 0)),
        market("1000SHIB", "USDT", (1, 6), (1, 0), 5, (14_200, 6)),
        market("测试币", "USDT", (1, 4), (1, 0), 5, (25, 1)),
        halted,
    ]
}
