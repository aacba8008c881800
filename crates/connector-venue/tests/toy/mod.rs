//! A venue that never was: the smallest face that has requests, a stream, a private channel and limits.

#![allow(dead_code, reason = "each test binary uses its own part")]

use std::time::Duration;

use connector_core::dialect::{
    Auth, BookRule, Cost, DecodeError, Domain, Draft, Endpoint, FeeRule, IdRule, Kind, LinkRole, LinkSpec,
    Login, Method, Payload, Pool, Repeat, Rest, Row, Scope, Source, Spec, Weight, Window,
};
use connector_core::message::Sink;
use connector_core::order::{OrderType, Side, TimeInForce};
use connector_core::time::UnixNanos;
use connector_core::wire::HttpResponse;
use connector_core::{Asset, Decimal};
use connector_venue::exchange::Exchange;
use connector_venue::face::{Call, Denied, Face, Outbox, Peer, Session};
use connector_venue::keys::{ApiKey, KeyRefusal, Permission};
use connector_venue::news::{News, What};
use connector_venue::orders::{AccountId, Submit};
use connector_venue::setup::{AccountSetup, MarketSetup, Rules, Setup};
use connector_venue::venue::Venue;
use serde_json::{Value, json};

pub(crate) const START: UnixNanos = UnixNanos(1_700_000_000_000_000_000);
pub(crate) const KEY: &str = "toy-key";
pub(crate) const SECRET: &str = "toy-secret";
pub(crate) const ME: AccountId = AccountId(1);
pub(crate) const OTHER: AccountId = AccountId(2);

const SOURCE: Source = Source { url: "https://toy.example", read: "2026-11-22" };
const WEIGHT: &[Cost] = &[Cost { pool: "weight", weight: Weight::Fixed(1) }];
const ORDER: &[Cost] =
    &[Cost { pool: "weight", weight: Weight::Fixed(1) }, Cost { pool: "orders", weight: Weight::Fixed(1) }];

const fn row(name: &'static str, method: Method, path: &'static str, costs: &'static [Cost]) -> Row {
    Row { name, method, path, auth: Auth::Public, costs, repeat: Repeat::Safe, source: SOURCE }
}

fn encode<Q>(_: &Q, _: &mut Draft) {}

fn decode(_: Payload<'_>, _: &mut dyn Sink) -> Result<(), DecodeError> {
    Ok(())
}

const fn endpoint<Q>(row: Row) -> Endpoint<Q> {
    Endpoint { row, encode: encode::<Q>, decode }
}

static REST: Rest = Rest {
    ping: endpoint(row("ping", Method::Get, "/ping", WEIGHT)),
    server_time: None,
    rules: endpoint(row("rules", Method::Get, "/rules", WEIGHT)),
    last_price: endpoint(row("last_price", Method::Get, "/last", WEIGHT)),
    book: endpoint(row("book", Method::Get, "/book", WEIGHT)),
    balances: endpoint(row("balances", Method::Get, "/balances", WEIGHT)),
    place: endpoint(row("place", Method::Post, "/order", ORDER)),
    cancel: endpoint(row("cancel", Method::Delete, "/order", WEIGHT)),
    order: endpoint(row("order", Method::Get, "/order", WEIGHT)),
    open_orders: endpoint(row("open_orders", Method::Get, "/orders", WEIGHT)),
    fills: endpoint(row("fills", Method::Get, "/fills", WEIGHT)),
    fills_page: 100,
    batch: None,
    fees: None,
    stream_key: None,
    perpetual: None,
};

static EXTRA: [Row; 1] = [row("ticker", Method::Get, "/ticker/<symbol>", WEIGHT)];

const fn pool(
    name: &'static str,
    limit: u32,
    seconds: u64,
    scope: Scope,
    used_header: Option<&'static str>,
) -> Pool {
    let window = Window::Fixed(Duration::from_secs(seconds));
    Pool { name, limit, window, scope, used_header, source: SOURCE }
}

static POOLS: [Pool; 2] = [
    pool("weight", 1_000, 60, Scope::Address, Some("x-used")),
    pool("orders", 50, 10, Scope::Account, Some("x-orders")),
];

static LINKS: [LinkSpec; 1] = [LinkSpec {
    name: "stream",
    role: LinkRole::Public,
    login: Login::Frame,
    connect_cost: &[Cost { pool: "weight", weight: Weight::Fixed(2) }],
    login_cost: &[],
    frames_per_second: 20,
    max_subscriptions: 10,
    lifetime: Duration::from_secs(3_600),
    max_silence: Duration::from_secs(20),
    source: SOURCE,
}];

static SPEC: Spec = Spec {
    name: "spot-toy",
    exchange: "Toy",
    kind: Kind::Spot,
    perpetual: None,
    domains: &[Domain {
        name: "main",
        rest: "https://api.toy.example",
        links: &[("stream", "wss://stream.toy.example:9443/stream")],
        source: SOURCE,
    }],
    keys: &[connector_core::dialect::KeyKind::HmacSha256],
    pools: &POOLS,
    links: &LINKS,
    channels: &[],
    book: BookRule::Sequenced,
    clock: None,
    ids: IdRule { max_len: 36, punctuation: "-", source: SOURCE },
    order_types: &[OrderType::Limit],
    times_in_force: &[TimeInForce::Gtc],
    fees: FeeRule { maker_ppm: 1_000, taker_ppm: 1_000, from_received: true, source: SOURCE },
    balance_push: true,
    faults: &[],
    faults_source: SOURCE,
    visibility: Duration::ZERO,
    not_applicable: &[],
};

/// The toy's protocol.
pub(crate) struct Toy;

/// A venue with two accounts and one quiet market.
pub(crate) fn venue() -> Venue {
    Venue::new(Toy, 7, START).unwrap()
}

fn reply(status: u16, body: &Value) -> HttpResponse {
    let headers = vec![("content-type".into(), "application/json".into())];
    HttpResponse { status, headers, body: body.to_string().into_bytes() }
}

fn account(call: &Call<'_>, exchange: &Exchange) -> Result<AccountId, KeyRefusal> {
    let key = call.request.header("x-key").unwrap_or_default();
    let key = exchange.keys().check(key, Permission::Trade, Some(call.peer.address))?;
    Ok(key.account)
}

fn place(call: &Call<'_>, exchange: &mut Exchange) -> Option<HttpResponse> {
    let account = match account(call, exchange) {
        Ok(account) => account,
        Err(refusal) => return Some(reply(401, &json!({ "error": refusal.to_string() }))),
    };
    if let Err(denied) = call.charge_account(exchange, account) {
        return Some(Toy.refuse(&denied, exchange));
    }
    let side = if call.fields.get("side")? == "buy" { Side::Buy } else { Side::Sell };
    let number = |name| call.fields.get(name)?.parse::<Decimal>().ok();
    let submit = Submit::limit(call.fields.get("symbol")?, side, number("price")?, number("amount")?);
    let submit = submit.client_id(call.fields.get("id")?);
    Some(match exchange.place(account, &submit) {
        Ok(placement) => {
            reply(200, &json!({ "id": placement.order.id, "client": placement.order.client_id }))
        }
        Err(reject) => reply(400, &json!({ "error": reject.to_string() })),
    })
}

impl Face for Toy {
    fn spec(&self) -> &'static Spec {
        &SPEC
    }

    fn rest(&self) -> &'static Rest {
        &REST
    }

    fn extra(&self) -> &'static [Row] {
        &EXTRA
    }

    fn setup(&self, seed: u64) -> Setup {
        let mut setup = Setup::new(START, seed);
        let rules = Rules::new(Decimal::new(1, 2), Decimal::new(1, 3), Decimal::ONE);
        setup.markets = vec![MarketSetup::new("X", "Y", rules, Decimal::from(100))];
        let rich =
            || vec![(Asset::new("X"), Decimal::from(1_000)), (Asset::new("Y"), Decimal::from(100_000))];
        setup.accounts = vec![AccountSetup::new(ME, rich()), AccountSetup::new(OTHER, rich())];
        setup.keys = vec![ApiKey::hmac(KEY, ME, SECRET)];
        setup.pools = POOLS.to_vec();
        setup
    }

    fn http(&self, call: &Call<'_>, exchange: &mut Exchange) -> HttpResponse {
        match call.row.name {
            "ping" => reply(200, &json!({ "time": exchange.now().millis() })),
            "ticker" => reply(200, &json!({ "symbol": call.fields.get("symbol") })),
            "place" => {
                place(call, exchange).unwrap_or_else(|| reply(400, &json!({ "error": "bad request" })))
            }
            "open_orders" => {
                let open = exchange.open_orders(ME, None);
                let ids: Vec<&str> = open.iter().map(|order| order.client_id.as_str()).collect();
                reply(200, &json!(ids))
            }
            _ => reply(501, &json!({})),
        }
    }

    fn refuse(&self, denied: &Denied, _: &Exchange) -> HttpResponse {
        let status = match denied {
            Denied::NoRoute => 404,
            Denied::WrongMethod => 405,
            Denied::Limit { .. } => 429,
            _ => 418,
        };
        let mut response = reply(status, &json!({ "error": format!("{denied:?}") }));
        if status == 429 || status == 418 {
            response.headers.push(("retry-after".into(), denied.retry_after_seconds().to_string().into()));
        }
        response
    }

    fn accept(
        &self,
        path: &str,
        _: &str,
        peer: &Peer,
        _: &mut Exchange,
    ) -> Result<Session, Box<HttpResponse>> {
        if path == "/stream" {
            Ok(Session::new(&LINKS[0], *peer))
        } else {
            Err(Box::new(reply(404, &json!({}))))
        }
    }

    fn message(&self, session: &mut Session, text: &str, exchange: &mut Exchange, out: &mut Outbox) {
        *session.state::<u32>() += 1;
        let count = *session.state::<u32>();
        match text.split_once(' ') {
            Some(("sub", channel)) => {
                session.subscriptions.insert(channel.into());
                out.reply(format!("ok {count}"));
            }
            Some(("login", key)) => match exchange.keys().check(key, Permission::Read, None) {
                Ok(key) => {
                    session.accounts.insert("user".into(), key.account);
                    out.reply(format!("ok {count}"));
                }
                Err(refusal) => out.reply(format!("no {refusal}")),
            },
            _ => out.reply(format!("echo {text}")),
        }
    }

    fn push(&self, session: &mut Session, news: &News, _: &Exchange, out: &mut Outbox) {
        match news {
            News::Trade(trade) => {
                let channel = format!("{}@trades", trade.symbol);
                if session.subscriptions.contains(channel.as_str()) {
                    out.event(&channel, format!("trade {} {} {}", trade.id, trade.price, trade.amount));
                }
            }
            News::Order { account, order, what, .. } if session.carries(*account) => {
                let what = match what {
                    What::New => "new",
                    What::Trade(_) => "trade",
                    What::Cancelled { .. } => "cancelled",
                    _ => "other",
                };
                out.event("user", format!("order {} {what} {}", order.client_id, order.filled));
            }
            _ => {}
        }
    }
}
