//! The connector's own encoders and decoders against the venue: one path through every request and every link.

use binance_perpetual::BinancePerpetual;
use connector_core::dialect::{
    Auth, BookQuery, Dialect as _, Draft, Endpoint, FillsQuery, Frame, FundingInfoRest, FundingPaymentsQuery,
    Keyring, LeverageQuery, LinkRole, MarginModeQuery, OpenOrdersQuery, OrderQuery, Payload, PlaceQuery,
    PositionModeQuery, Stamp, StreamKeyQuery, SymbolQuery, Symbols,
};
use connector_core::message::{Market, Message, SessionKind};
use connector_core::order::{OrderState, OrderType, Side, TimeInForce};
use connector_core::position::{MarginMode, PositionMode};
use connector_core::time::UnixNanos;
use connector_core::{Cause, ClientOrderId, Credentials, Effect};
use connector_qa::payloads;
use connector_venue::face::SessionId;

use crate::{Client, KEY, SECRET, START, number};

fn refusal(body: &[u8]) -> (Cause, Effect) {
    let error = BinancePerpetual::error(body).unwrap();
    let fault = BinancePerpetual::SPEC.fault(&error.code, &error.message).unwrap();
    (fault.cause, fault.effect)
}

/// Asks as the engine does, and reads the answer with nothing skipped.
fn ask<Q>(
    client: &mut Client,
    endpoint: &Endpoint<Q>,
    query: &Q,
    symbols: &Symbols,
) -> Result<Vec<Message>, (Cause, Effect)> {
    let mut draft = Draft::new(&endpoint.row);
    (endpoint.encode)(query, &mut draft);
    match endpoint.row.auth {
        Auth::Public => draft.query_text = draft.query.encode(),
        Auth::Keyed | Auth::Signed => {
            let keys = Keyring::new(&Credentials::new(KEY, SECRET), BinancePerpetual::SPEC.keys).unwrap();
            let stamp = Stamp { time: client.now.utc, nonce: 1 };
            BinancePerpetual::sign(&mut draft, &keys, stamp).unwrap();
        }
    }
    let key = draft.headers.iter().find(|(name, _)| *name == "x-mbx-apikey").map(|(_, key)| key.clone());
    let target = format!("{}?{}", draft.path, draft.query_text);
    let mut response = client.send(draft.method, &target, "", key.as_deref().unwrap_or_default());
    if response.status != 200 {
        return Err(refusal(&response.body));
    }
    let market = Market::Pair("BTC-USDT".parse().unwrap());
    let mut told = Vec::new();
    let payload = Payload { bytes: &mut response.body, symbols, market: Some(&market) };
    (endpoint.decode)(payload, &mut told).unwrap();
    assert!(!told.iter().any(|message| matches!(message, Message::Skipped { .. })), "{told:?}");
    Ok(told)
}

fn symbols(client: &mut Client) -> Symbols {
    let mut symbols = Symbols::default();
    for message in ask(client, &BinancePerpetual::REST.rules, &(), &symbols).unwrap() {
        let Message::TradingRule(rule) = message else { panic!("{message:?}") };
        symbols.insert(rule.exchange_symbol, rule.pair);
    }
    symbols
}

fn order(order_type: OrderType, price: &str) -> PlaceQuery {
    let (client_order_id, price) = (ClientOrderId::new("mine-1"), Some(number(price)));
    let order = payloads::order("BTCUSDT", order_type, TimeInForce::Gtc);
    PlaceQuery { client_order_id, price, amount: number("0.2"), ..order }
}

#[test]
fn requests_about_markets_and_orders() {
    let mut client = Client::new();
    let rest = BinancePerpetual::REST;
    let symbols = symbols(&mut client);
    assert_eq!(symbols.symbol(&"BTC-USDT".parse().unwrap()).unwrap(), "BTCUSDT");
    assert_eq!(ask(&mut client, &rest.ping, &(), &symbols), Ok(Vec::new()));
    let time = ask(&mut client, rest.server_time.as_ref().unwrap(), &(), &symbols).unwrap();
    assert_eq!(time, [Message::ServerTime { time: UnixNanos::from_millis(START) }]);
    let bitcoin = SymbolQuery { symbol: "BTCUSDT".into() };
    assert_eq!(ask(&mut client, &rest.last_price, &bitcoin, &symbols).unwrap().len(), 1);
    client.offer(Side::Sell, "61850", "0.1");
    let book = BookQuery { symbol: "BTCUSDT".into(), depth: 1000 };
    let book = ask(&mut client, &rest.book, &book, &symbols).unwrap();
    let [Message::BookSnapshot(book)] = book.as_slice() else { panic!("{book:?}") };
    assert_eq!((book.asks[0].price, book.asks[0].amount), (number("61850"), number("0.1")));

    ask(&mut client, &rest.place, &order(OrderType::Limit, "61850"), &symbols).unwrap();
    let mut named = OrderQuery {
        symbol: "BTCUSDT".into(),
        client_order_id: Some(ClientOrderId::new("mine-1")),
        exchange_order_id: None,
    };
    let known = ask(&mut client, &rest.order, &named, &symbols).unwrap();
    let [Message::Order(known)] = known.as_slice() else { panic!("{known:?}") };
    assert_eq!((known.state, known.filled_amount), (OrderState::PartiallyFilled, Some(number("0.1"))));
    let open = ask(&mut client, &rest.open_orders, &OpenOrdersQuery { symbol: None }, &symbols).unwrap();
    assert_eq!(open, [Message::Order(known.clone())]);
    let all = FillsQuery {
        symbol: "BTCUSDT".into(),
        exchange_order_id: None,
        from: None,
        since: None,
        limit: 1000,
    };
    let fills = ask(&mut client, &rest.fills, &all, &symbols).unwrap();
    let [Message::Fill(fill)] = fills.as_slice() else { panic!("{fills:?}") };
    assert_eq!((fill.amount, fill.fee.as_ref().unwrap().amount), (number("0.1"), number("3.0925")));
    let fees = ask(&mut client, rest.fees.as_ref().unwrap(), &bitcoin, &symbols).unwrap();
    let [Message::Fees(fees)] = fees.as_slice() else { panic!("{fees:?}") };
    assert_eq!((fees.maker, fees.taker), (number("0.0002"), number("0.0005")));
    let ended = ask(&mut client, &rest.cancel, &named, &symbols).unwrap();
    let [Message::Order(ended)] = ended.as_slice() else { panic!("{ended:?}") };
    assert_eq!((ended.state, &ended.client_order_id), (OrderState::Cancelled, &named.client_order_id));
    named.exchange_order_id = ended.exchange_order_id.clone();
    assert_eq!(
        ask(&mut client, &rest.cancel, &named, &symbols),
        Err((Cause::OrderNotFound, Effect::Rejected))
    );
}

#[test]
fn requests_about_several_orders() {
    let mut client = Client::new();
    let batch = BinancePerpetual::REST.batch.as_ref().unwrap();
    let symbols = symbols(&mut client);
    client.offer(Side::Sell, "61850", "1");
    let of = |id: &str, order_type, price| PlaceQuery {
        client_order_id: ClientOrderId::new(id),
        ..order(order_type, price)
    };
    let orders = vec![
        of("a", OrderType::Limit, "60000"),
        of("b", OrderType::LimitMaker, "61850"),
        of("c", OrderType::Limit, "61850"),
        of("a", OrderType::Limit, "60000"),
        of("e", OrderType::Limit, "60000"),
    ];
    let told = ask(&mut client, &batch.place, &orders, &symbols).unwrap();
    let came: Vec<_> = told
        .iter()
        .map(|message| match message {
            Message::Order(order) => Ok((order.client_order_id.as_ref().unwrap().as_str(), order.state)),
            Message::Refusal(refusal) => Err((refusal.cause, refusal.effect)),
            other => panic!("{other:?}"),
        })
        .collect();
    assert_eq!(
        came,
        [
            Ok(("a", OrderState::Open)),
            Err((Cause::WouldTake, Effect::Rejected)),
            Ok(("c", OrderState::Filled)),
            Err((Cause::DuplicateOrderId, Effect::Rejected)),
            Ok(("e", OrderState::Open)),
        ]
    );
    let named = |id: &str| OrderQuery {
        symbol: "BTCUSDT".into(),
        client_order_id: Some(ClientOrderId::new(id)),
        exchange_order_id: None,
    };
    let told = ask(&mut client, &batch.cancel, &vec![named("e"), named("c"), named("a")], &symbols).unwrap();
    let [Message::Order(first), Message::Refusal(second), Message::Order(third)] = told.as_slice() else {
        panic!("{told:?}")
    };
    assert_eq!((first.state, third.state), (OrderState::Cancelled, OrderState::Cancelled));
    assert_eq!((second.cause, second.effect), (Cause::OrderNotFound, Effect::Rejected));
    let many = orders.iter().cycle().take(6).cloned().collect();
    assert_eq!(ask(&mut client, &batch.place, &many, &symbols), Err((Cause::BadRequest, Effect::Rejected)));
}

#[test]
fn requests_about_positions() {
    let mut client = Client::new();
    let rest = BinancePerpetual::REST.perpetual.as_ref().unwrap();
    let symbols = symbols(&mut client);
    client.hold(Side::Sell, "61850", "0.1");
    client.wait(8 * 3_600_000);
    let held = ask(&mut client, &rest.positions, &(), &symbols).unwrap();
    let [Message::Position(held)] = held.as_slice() else { panic!("{held:?}") };
    assert_eq!((held.signed_amount(), held.entry_price), (number("-0.1"), Some(number("61850"))));
    let settings = ask(&mut client, rest.leverage.as_ref().unwrap(), &(), &symbols).unwrap();
    assert_eq!(settings.len(), 7);
    let wanted =
        LeverageQuery { symbol: "BTCUSDT".into(), leverage: number("12"), margin_mode: MarginMode::Cross };
    let set = ask(&mut client, &rest.set_leverage, &wanted, &symbols).unwrap();
    let [Message::Leverage(set)] = set.as_slice() else { panic!("{set:?}") };
    assert_eq!(set.leverage, Some(number("12")));
    let wanted =
        MarginModeQuery { symbol: "BTCUSDT".into(), margin_mode: MarginMode::Cross, leverage: number("12") };
    let same = ask(&mut client, rest.set_margin_mode.as_ref().unwrap(), &wanted, &symbols);
    assert_eq!(same, Err((Cause::Unchanged, Effect::Rejected)));
    let brackets = ask(&mut client, rest.brackets.as_ref().unwrap(), &(), &symbols).unwrap();
    assert_eq!(brackets.len(), 7);
    let mode = ask(&mut client, rest.position_mode.as_ref().unwrap(), &(), &symbols).unwrap();
    let [Message::PositionMode(mode)] = mode.as_slice() else { panic!("{mode:?}") };
    assert_eq!(mode.mode, PositionMode::OneWay);
    let wanted = PositionModeQuery { mode: PositionMode::Hedge };
    let refused = ask(&mut client, rest.set_position_mode.as_ref().unwrap(), &wanted, &symbols);
    assert_eq!(refused, Err((Cause::Position, Effect::Rejected)));
    let funding = match &rest.funding_info {
        FundingInfoRest::All(endpoint) => ask(&mut client, endpoint, &(), &symbols),
        FundingInfoRest::Each(endpoint) => {
            ask(&mut client, endpoint, &SymbolQuery { symbol: "BTCUSDT".into() }, &symbols)
        }
    };
    let info = funding.unwrap().into_iter().find_map(|message| match message {
        Message::FundingInfo(info) if info.market == Market::Pair("BTC-USDT".parse().unwrap()) => Some(info),
        _ => None,
    });
    assert_eq!(info.unwrap().mark_price, Some(number("61837")));
    let from = UnixNanos::from_millis(START);
    let payments = FundingPaymentsQuery { from, to: client.now.utc, limit: 100 };
    let paid = ask(&mut client, &rest.funding_payments, &payments, &symbols).unwrap();
    let [Message::FundingPayment(paid)] = paid.as_slice() else { panic!("{paid:?}") };
    assert_eq!((paid.amount, paid.asset.as_str()), (number("0.61837"), "USDT"));
}

#[test]
fn refusals_are_understood() {
    let mut client = Client::new();
    let symbols = symbols(&mut client);
    client.offer(Side::Sell, "61850", "1");
    let place = &BinancePerpetual::REST.place;
    for (query, cause) in [
        (order(OrderType::LimitMaker, "61850"), Cause::WouldTake),
        (
            PlaceQuery { amount: number("100"), ..order(OrderType::Limit, "60000") },
            Cause::InsufficientBalance,
        ),
        (order(OrderType::Limit, "60000.05"), Cause::TradingRule),
        (PlaceQuery { amount: number("0.001"), ..order(OrderType::Limit, "60000") }, Cause::TradingRule),
        (PlaceQuery { reduce_only: true, ..order(OrderType::Limit, "61850") }, Cause::Position),
        (PlaceQuery { symbol: "NOPE".into(), ..order(OrderType::Limit, "1") }, Cause::Market),
    ] {
        assert_eq!(ask(&mut client, place, &query, &symbols), Err((cause, Effect::Rejected)), "{query:?}");
    }
    ask(&mut client, place, &order(OrderType::Limit, "60000"), &symbols).unwrap();
    let again = ask(&mut client, place, &order(OrderType::Limit, "60000"), &symbols);
    assert_eq!(again, Err((Cause::DuplicateOrderId, Effect::Rejected)));
}

fn read(client: &mut Client, id: SessionId, role: LinkRole, symbols: &Symbols) -> Vec<Message> {
    let mut told: Vec<Message> = Vec::new();
    for value in client.hear(id) {
        let (mut bids, mut asks) = (Vec::new(), Vec::new());
        let mut bytes = value.to_string().into_bytes();
        let frame = Frame { role, bytes: &mut bytes, symbols, bids: &mut bids, asks: &mut asks };
        BinancePerpetual::frame(frame, &mut told).unwrap();
    }
    assert!(!told.iter().any(|message| matches!(message, Message::Skipped { .. })), "{told:?}");
    told
}

#[test]
fn all_links() {
    let mut client = Client::new();
    let symbols = symbols(&mut client);
    let mut public = Vec::new();
    for link in ["public", "market"] {
        let id = client.connect(&format!("/{link}/stream"));
        let channels: Vec<_> = BinancePerpetual::SPEC
            .channels
            .iter()
            .filter(|channel| channel.link == link)
            .map(|channel| (channel.channel, "BTCUSDT".into()))
            .collect();
        let subscribe = BinancePerpetual::subscribe(true, &channels, 3);
        client.venue.text(client.now, id, &subscribe);
        public.push(id);
    }
    let rest = BinancePerpetual::REST.stream_key.as_ref().unwrap();
    let key = ask(&mut client, &rest.create, &(), &symbols).unwrap();
    let [Message::StreamKey(key)] = key.as_slice() else { panic!("no key") };
    let kept = ask(&mut client, &rest.keep_alive, &StreamKeyQuery { key: key.key.clone() }, &symbols);
    assert!(kept.is_ok());
    let user = client.connect(&format!("/private/ws/{}", key.key));

    client.offer(Side::Sell, "61850", "0.1");
    ask(&mut client, &BinancePerpetual::REST.place, &order(OrderType::Limit, "61850"), &symbols).unwrap();
    client.wait(1000);
    let told: Vec<Message> =
        public.iter().flat_map(|id| read(&mut client, *id, LinkRole::Public, &symbols)).collect();
    let acknowledged = |message: &&Message| matches!(message, Message::Session(answer) if answer.kind == SessionKind::Subscribed && answer.id == Some(3));
    assert_eq!(told.iter().filter(acknowledged).count(), 2);
    for kind in [
        |message: &Message| matches!(message, Message::BookDiff(diff) if diff.prev_id.is_some()),
        |message: &Message| matches!(message, Message::Trade(_)),
        |message: &Message| matches!(message, Message::BestPrice(_)),
        |message: &Message| matches!(message, Message::FundingInfo(_)),
    ] {
        assert!(told.iter().any(kind), "{told:?}");
    }
    let told = read(&mut client, user, LinkRole::User, &symbols);
    let states: Vec<OrderState> = told
        .iter()
        .filter_map(|message| match message {
            Message::Order(order) => Some(order.state),
            _ => None,
        })
        .collect();
    assert_eq!(states, [OrderState::Open, OrderState::PartiallyFilled]);
    for kind in [
        |message: &Message| matches!(message, Message::Fill(fill) if fill.amount == number("0.1")),
        |message: &Message| matches!(message, Message::Balance(_)),
        |message: &Message| matches!(message, Message::Position(held) if held.signed_amount() == number("0.1")),
    ] {
        assert!(told.iter().any(kind), "{told:?}");
    }
}
