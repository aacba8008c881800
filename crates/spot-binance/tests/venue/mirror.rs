//! The connector's own encoders and decoders against the venue: one path through every request.

use connector_core::dialect::{
    Auth, BookQuery, Dialect as _, Draft, Endpoint, FillsQuery, Frame, Keyring, LinkRole, OpenOrdersQuery,
    OrderQuery, Payload, PlaceQuery, Stamp, SymbolQuery, Symbols,
};
use connector_core::message::{Market, Message, SessionKind};
use connector_core::order::{OrderState, OrderType, Side, TimeInForce};
use connector_core::{Cause, ClientOrderId, Credentials, Effect};
use connector_qa::payloads;
use connector_venue::orders::Submit;
use spot_binance::SpotBinance;

use crate::{Desk, KEY, SECRET, number};

fn keys() -> Keyring {
    Keyring::new(&Credentials::new(KEY, SECRET), SpotBinance::SPEC.keys).unwrap()
}

fn stamp(desk: &Desk) -> Stamp {
    Stamp { time: desk.now.utc, nonce: 1 }
}

/// Asks as the engine does; the answer's messages, or the venue's error as the connector understands it.
fn ask<Q>(
    desk: &mut Desk,
    endpoint: &Endpoint<Q>,
    query: &Q,
    symbols: &Symbols,
) -> Result<Vec<Message>, (Cause, Effect)> {
    let mut draft = Draft::new(&endpoint.row);
    (endpoint.encode)(query, &mut draft);
    if endpoint.row.auth == Auth::Signed {
        SpotBinance::sign(&mut draft, &keys(), stamp(desk)).unwrap();
    } else {
        draft.query_text = draft.query.encode();
    }
    let key = draft.headers.iter().find(|(name, _)| *name == "x-mbx-apikey").map(|(_, key)| key.clone());
    let mut response = desk.send(draft.method, draft.path, &draft.query_text, "", key.as_deref());
    if response.status != 200 {
        let error = SpotBinance::error(&response.body).unwrap();
        let fault = SpotBinance::SPEC.fault(&error.code, &error.message).unwrap();
        return Err((fault.cause, fault.effect));
    }
    let market = Market::Pair("LTC-BTC".parse().unwrap());
    let mut out = Vec::new();
    let payload = Payload { bytes: &mut response.body, symbols, market: Some(&market) };
    (endpoint.decode)(payload, &mut out).unwrap();
    Ok(out)
}

fn map(desk: &mut Desk) -> Symbols {
    let mut symbols = Symbols::default();
    for message in ask(desk, &SpotBinance::REST.rules, &(), &symbols).unwrap() {
        let Message::TradingRule(rule) = message else { panic!("{message:?}") };
        symbols.insert(rule.exchange_symbol, rule.pair);
    }
    symbols
}

fn place(order_type: OrderType, price: &str) -> PlaceQuery {
    PlaceQuery {
        client_order_id: ClientOrderId::new("mine-1"),
        amount: number("2"),
        price: Some(number(price)),
        ..payloads::order("LTCBTC", order_type, TimeInForce::Gtc)
    }
}

#[test]
fn every_request() {
    let mut desk = Desk::new();
    let rest = SpotBinance::REST;
    let symbols = map(&mut desk);
    let pair: connector_core::Pair = "LTC-BTC".parse().unwrap();
    assert_eq!(symbols.symbol(&pair).unwrap(), "LTCBTC");
    assert_eq!(ask(&mut desk, &rest.ping, &(), &symbols), Ok(Vec::new()));
    let time = ask(&mut desk, rest.server_time.as_ref().unwrap(), &(), &symbols).unwrap();
    assert_eq!(time, [Message::ServerTime { time: desk.now.utc }]);
    let symbol = SymbolQuery { symbol: "LTCBTC".into() };
    assert_eq!(ask(&mut desk, &rest.last_price, &symbol, &symbols).unwrap().len(), 1);
    desk.rest(&Submit::limit("LTCBTC", Side::Sell, number("0.1"), number("1")));
    let book =
        ask(&mut desk, &rest.book, &BookQuery { symbol: "LTCBTC".into(), depth: 5000 }, &symbols).unwrap();
    let [Message::BookSnapshot(book)] = book.as_slice() else { panic!("{book:?}") };
    assert_eq!((book.asks[0].price, book.asks[0].amount), (number("0.1"), number("1")));

    let placed = ask(&mut desk, &rest.place, &place(OrderType::Limit, "0.1"), &symbols).unwrap();
    let [Message::Fill(fill), Message::Order(order)] = placed.as_slice() else { panic!("{placed:?}") };
    assert_eq!((fill.amount, fill.fee.as_ref().unwrap().amount), (number("1"), number("0.001")));
    assert_eq!((order.state, order.filled_amount), (OrderState::PartiallyFilled, Some(number("1"))));
    let fills =
        FillsQuery { symbol: "LTCBTC".into(), exchange_order_id: None, from: None, since: None, limit: 1000 };
    let fills = ask(&mut desk, &rest.fills, &fills, &symbols).unwrap();
    let [Message::Fill(again)] = fills.as_slice() else { panic!("{fills:?}") };
    assert_eq!((&again.trade_id, again.price, &again.fee), (&fill.trade_id, fill.price, &fill.fee));

    let mut named = OrderQuery {
        symbol: "LTCBTC".into(),
        client_order_id: Some(ClientOrderId::new("mine-1")),
        exchange_order_id: None,
    };
    let open = ask(&mut desk, &rest.open_orders, &OpenOrdersQuery { symbol: None }, &symbols).unwrap();
    assert_eq!(ask(&mut desk, &rest.order, &named, &symbols).unwrap(), open);
    let balances = ask(&mut desk, &rest.balances, &(), &symbols).unwrap();
    let locked = balances.iter().find_map(|message| match message {
        Message::Balance(held) if held.asset.as_str() == "BTC" => Some(held.total? - held.available?),
        _ => None,
    });
    assert_eq!(locked, Some(number("0.1")));
    let Ok(fees) = ask(&mut desk, rest.fees.as_ref().unwrap(), &symbol, &symbols) else { panic!() };
    let [Message::Fees(fees)] = fees.as_slice() else { panic!("{fees:?}") };
    assert_eq!(fees.taker, number("0.001"));
    let cancelled = ask(&mut desk, &rest.cancel, &named, &symbols).unwrap();
    let [Message::Order(ended)] = cancelled.as_slice() else { panic!("{cancelled:?}") };
    assert_eq!(
        (ended.state, ended.client_order_id.clone()),
        (OrderState::Cancelled, named.client_order_id.clone())
    );
    named.exchange_order_id = ended.exchange_order_id.clone();
    assert_eq!(ask(&mut desk, &rest.cancel, &named, &symbols), Err((Cause::OrderNotFound, Effect::Rejected)));
}

#[test]
fn refusals_are_understood() {
    let mut desk = Desk::new();
    let symbols = map(&mut desk);
    desk.rest(&Submit::limit("LTCBTC", Side::Sell, number("0.1"), number("1")));
    let rest = SpotBinance::REST;
    for (query, cause) in [
        (place(OrderType::LimitMaker, "0.1"), Cause::WouldTake),
        (place(OrderType::Limit, "1000"), Cause::InsufficientBalance),
        (place(OrderType::Limit, "0.0000001"), Cause::TradingRule),
        (PlaceQuery { symbol: "NOPE".into(), ..place(OrderType::Limit, "1") }, Cause::Market),
        (PlaceQuery { symbol: "LUNAUSDT".into(), ..place(OrderType::Limit, "3") }, Cause::Market),
    ] {
        assert_eq!(
            ask(&mut desk, &rest.place, &query, &symbols),
            Err((cause, Effect::Rejected)),
            "{query:?}"
        );
    }
    ask(&mut desk, &rest.place, &place(OrderType::Limit, "0.05"), &symbols).unwrap();
    let again = ask(&mut desk, &rest.place, &place(OrderType::Limit, "0.05"), &symbols);
    assert_eq!(again, Err((Cause::DuplicateOrderId, Effect::Rejected)));
}

#[test]
fn both_links() {
    let mut desk = Desk::new();
    let symbols = map(&mut desk);
    let market = desk.open("/stream", "");
    let channels: Vec<_> =
        SpotBinance::SPEC.channels.iter().map(|channel| (channel.channel, "LTCBTC".into())).collect();
    desk.venue.text(desk.now, market, &SpotBinance::subscribe(true, &channels, 3));
    let user = desk.open("/ws-api/v3", "");
    let login = SpotBinance::login(&keys(), stamp(&desk), 4).unwrap();
    desk.venue.text(desk.now, user, &login);
    desk.rest(&Submit::limit("LTCBTC", Side::Sell, number("0.1"), number("1")));
    ask(&mut desk, &SpotBinance::REST.place, &place(OrderType::Limit, "0.1"), &symbols).unwrap();
    desk.pass(200);
    let mut read = |id, role| -> Vec<Message> {
        let mut out: Vec<Message> = Vec::new();
        for value in desk.hear(id) {
            let (mut bids, mut asks) = (Vec::new(), Vec::new());
            let mut bytes = value.to_string().into_bytes();
            let frame =
                Frame { role, bytes: &mut bytes, symbols: &symbols, bids: &mut bids, asks: &mut asks };
            SpotBinance::frame(frame, &mut out).unwrap();
        }
        out
    };
    let public = read(market, LinkRole::Public);
    let Message::Session(answer) = &public[0] else { panic!("{public:?}") };
    assert_eq!((&answer.kind, answer.id), (&SessionKind::Subscribed, Some(3)));
    for kind in [
        |message: &Message| matches!(message, Message::BookDiff(_)),
        |message: &Message| matches!(message, Message::Trade(_)),
        |message: &Message| matches!(message, Message::BestPrice(_)),
    ] {
        assert!(public.iter().any(kind), "{public:?}");
    }
    let private = read(user, LinkRole::User);
    let Message::Session(answer) = &private[0] else { panic!("{private:?}") };
    assert_eq!((&answer.kind, answer.id), (&SessionKind::Login, Some(4)));
    let states: Vec<OrderState> = private
        .iter()
        .filter_map(|message| match message {
            Message::Order(order) => Some(order.state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [OrderState::Open, OrderState::PartiallyFilled]);
    assert_eq!(private.iter().filter(|message| matches!(message, Message::Fill(_))).count(), 1);
    assert!(private.iter().any(|message| matches!(message, Message::Balance(_))));
}
