//! The reverse direction: Binance spot as the embedded exchange speaks it, for any client.
//!
//! Serves what the venue documents of REST, market streams and the WebSocket API, as far as trading needs it. Orders that
//! wait for a trigger, order lists and margin are refused as a market without them refuses them. What the venue of Binance's
//! perpetual contracts has in common with it is public here, and stands once.

pub mod answer;
mod api;
pub mod auth;
pub mod market;
pub mod orders;
pub mod params;
mod requests;
mod rows;
pub mod streams;

use connector_core::Decimal;
use connector_core::dialect::{Auth, LinkSpec, Rest, Row, Spec};
use connector_core::time::UnixNanos;
use connector_core::wire::HttpResponse;
use connector_venue::exchange::Exchange;
use connector_venue::face::{Call, Denied, Face, Outbox, Peer, Session};
use connector_venue::fields::Fields;
use connector_venue::keys::ApiKey;
use connector_venue::limits::{OrderCountPolicy, ScopeKey};
use connector_venue::news::News;
use connector_venue::orders::AccountId;
pub use connector_venue::server::Server;
use connector_venue::setup::{AccountSetup, Liveliness, MarketSetup, MarketStatus, Rules, Setup};
use serde_json::Value;
use smol_str::SmolStr;

use crate::family::{ORDERS_TEN_SECONDS, WEIGHT};
use crate::spec::{ORDERS_DAY, SPEC};
use crate::venue::answer::Refused;
use crate::venue::params::Params;
use crate::venue::streams::State;

/// The face of Binance spot.
#[derive(Clone, Copy, Debug, Default)]
pub struct BinanceFace;

/// The first account's key: HMAC, may read and trade.
const KEY: &str = "embeddedVenueTestKey0000000000000000000000000000000000000000001A";
/// Its secret. Opens nothing but the embedded exchange.
const SECRET: &str = "embeddedVenueTestSecret000000000000000000000000000000000000001A";
/// The second account's, for tests of several accounts.
const OTHER_KEY: &str = "embeddedVenueTestKey0000000000000000000000000000000000000000002B";
const OTHER_SECRET: &str = "embeddedVenueTestSecret000000000000000000000000000000000000002B";

impl Face for BinanceFace {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn rest(&self) -> &'static Rest {
        &crate::rest::REST
    }

    fn extra(&self) -> &'static [Row] {
        rows::EXTRA
    }

    fn setup(&self, seed: u64) -> Setup {
        let start = UnixNanos::from_millis(1_795_305_600_000);
        let mut setup = Setup::new(start, seed);
        setup.markets = markets();
        let balances = |share: i64| {
            [
                ("USDT", 1_000_000),
                ("BTC", 20),
                ("ETH", 500),
                ("BNB", 2_000),
                ("SHIB", 5_000_000_000),
                ("XRP", 200_000),
            ]
            .into_iter()
            .map(|(asset, amount)| (asset.into(), Decimal::from(amount * share)))
            .collect()
        };
        let (first, second) = (AccountId(1), AccountId(2));
        setup.accounts = vec![AccountSetup::new(first, balances(1)), AccountSetup::new(second, balances(2))];
        setup.keys = vec![ApiKey::hmac(KEY, first, SECRET), ApiKey::hmac(OTHER_KEY, second, OTHER_SECRET)];
        setup.pools = SPEC.pools.to_vec();
        setup.order_count = OrderCountPolicy {
            pools: vec![SmolStr::new_static(ORDERS_TEN_SECONDS), SmolStr::new_static(ORDERS_DAY)],
            ..OrderCountPolicy::default()
        };
        setup.first_order_id = 12_510_053_279;
        setup
    }

    fn http(&self, call: &Call<'_>, exchange: &mut Exchange) -> HttpResponse {
        if call.row.name == rows::LISTEN_KEY {
            return answer::html(410, "410 Gone");
        }
        answer::of(serve(call, exchange))
    }

    fn refuse(&self, denied: &Denied, exchange: &Exchange) -> HttpResponse {
        match denied {
            Denied::NoRoute | Denied::WrongMethod => answer::html(404, "404 Not Found"),
            denied => Refused::denied(denied, exchange).response(),
        }
    }

    fn accept(
        &self,
        path: &str,
        query: &str,
        peer: &Peer,
        _exchange: &mut Exchange,
    ) -> Result<Session, Box<HttpResponse>> {
        let not_found = || Box::new(answer::html(404, "404 Not Found"));
        let name = if path == "/ws-api/v3" { "user" } else { "market" };
        let link = link(name).ok_or_else(not_found)?;
        let mut session = Session::new(link, *peer);
        if name == "user" {
            session.state::<State>().quiet = query.split('&').any(|part| part == "returnRateLimits=false");
            return Ok(session);
        }
        streams::opened::<State>(&mut session, path, query).ok_or_else(not_found)?;
        Ok(session)
    }

    fn message(&self, session: &mut Session, text: &str, exchange: &mut Exchange, out: &mut Outbox) {
        if session.link.name == "user" {
            api::message(session, text, exchange, out);
        } else {
            streams::message::<State>(session, text, out);
        }
    }

    fn request_of(&self, text: &str) -> Option<(&'static Row, Fields)> {
        api::request_of(text)
    }

    fn answer_as(&self, text: &str, response: &HttpResponse, exchange: &Exchange) -> String {
        api::answer_as(text, response, exchange)
    }

    fn push(&self, session: &mut Session, news: &News, exchange: &Exchange, out: &mut Outbox) {
        if session.link.name == "user" {
            api::push(session, news, out);
        } else {
            streams::push(session, news, exchange, out);
        }
    }

    fn tick_period(&self) -> Option<std::time::Duration> {
        Some(std::time::Duration::from_secs(1))
    }

    fn tick(&self, session: &mut Session, exchange: &Exchange, out: &mut Outbox) {
        if session.link.name == "user" {
            api::tick(session, exchange, out);
        } else {
            streams::tick(session, exchange, out);
        }
    }
}

/// Authenticates, charges and answers a request of REST.
fn serve(call: &Call<'_>, exchange: &mut Exchange) -> Result<Value, Refused> {
    let params = Params(&call.fields);
    let address = ScopeKey::Address(call.peer.address);
    let account = match call.row.auth {
        Auth::Public => None,
        Auth::Keyed | Auth::Signed => {
            let account = auth::request(call, auth::permission(call.row.name), exchange)?;
            call.charge_account(exchange, account).map_err(|denied| Refused::denied(&denied, exchange))?;
            Some(account)
        }
    };
    let answered = requests::answer(call.row.name, params, account, exchange);
    settle(call.row.name, answered.is_ok(), address, account, exchange);
    answered
}

/// Corrects what was charged in advance: a success costs no weight, and an order that was refused does not count.
fn settle(row: &str, success: bool, address: ScopeKey, account: Option<AccountId>, exchange: &mut Exchange) {
    let now = exchange.now();
    let limits = exchange.limits_mut();
    if success && matches!(row, "place" | "cancel" | rows::CANCEL_ALL) {
        limits.credit(WEIGHT, address, 1, now);
    }
    if let (false, "place", Some(account)) = (success, row, account) {
        for pool in [ORDERS_TEN_SECONDS, ORDERS_DAY] {
            limits.credit(pool, ScopeKey::Account(account), 1, now);
        }
    }
}

fn link(name: &str) -> Option<&'static LinkSpec> {
    SPEC.links.iter().find(|link| link.name == name)
}

/// Markets of very different scales, one that is halted, and one whose name is not ASCII.
fn markets() -> Vec<MarketSetup> {
    let market =
        |base, quote, tick: (i64, u32), step: (i64, u32), notional: (i64, u32), price: (i64, u32)| {
            let number = |(value, scale)| Decimal::new(value, scale);
            let mut rules = Rules::new(number(tick), number(step), number(notional));
            rules.max_amount = number(step) * Decimal::from(900_000_000);
            rules.percent_price = Some((Decimal::new(2, 1), Decimal::from(5)));
            MarketSetup::new(base, quote, rules, number(price)).live(Liveliness::default())
        };
    let mut halted = market("LUNA", "USDT", (1, 4), (1, 2), (5, 0), (85, 2));
    halted.status = MarketStatus::Halted;
    halted.live = None;
    vec![
        market("BTC", "USDT", (1, 2), (1, 5), (5, 0), (61_837, 0)),
        market("ETH", "USDT", (1, 2), (1, 4), (5, 0), (2_650, 0)),
        // The real step is 0.0001; with it, values would have nine decimals where the venue tells eight, and by which rule it
        // rounds them is documented nowhere.
        market("ETH", "BTC", (1, 5), (1, 3), (1, 4), (4285, 5)),
        market("BNB", "USDT", (1, 2), (1, 3), (5, 0), (585, 0)),
        market("SHIB", "USDT", (1, 8), (1, 0), (1, 0), (1_420, 8)),
        market("测试币", "USDT", (1, 4), (1, 1), (5, 0), (25, 1)),
        halted,
    ]
}
