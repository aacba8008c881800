//! What a venue says of perpetual contracts: positions, funding, leverage and mode.

use std::fmt;

use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

use super::Market;
use crate::number::{serialize_plain as plain, serialize_plain_option as plain_option};
use crate::pair::Asset;
use crate::position::{MarginMode, PositionCause, PositionMode, PositionSide};
use crate::time::UnixNanos;

/// What the account holds of a contract, or of one leg of it. Absolute: it replaces what was known.
///
/// Built by [`net`](Self::net) or [`leg`](Self::leg), which keep side and amount consistent.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PositionReport {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// Which way it goes. A net position is long or short by its sign, and `both` only when it is zero.
    pub side: PositionSide,
    /// Base amount, whatever unit the venue counts in; never negative.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// Average price it was entered at, quote per base.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub entry_price: Option<Decimal>,
    /// What closing it at the mark price would bring, in the collateral asset and before fees; negative = a loss.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub unrealised_pnl: Option<Decimal>,
    /// Its leverage: value ÷ initial margin.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub leverage: Option<Decimal>,
    /// The venue's mark price, quote per base.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub mark_price: Option<Decimal>,
    /// What backs it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_mode: Option<MarginMode>,
    /// Why it is as it is, where the venue names a cause other than an order.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub cause: Option<PositionCause>,
    /// In which mode it is held: net, or as one of two legs.
    pub mode: PositionMode,
    /// The venue's time of this state: when the position last changed, not when the message was sent.
    #[serde(rename = "time_ns", skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixNanos>,
}

impl PositionReport {
    /// A one-way position of `amount` base units, negative = short, and nothing else known of it.
    #[must_use]
    pub fn net(market: Market, amount: Decimal) -> Self {
        Self::new(market, PositionSide::of(amount), amount, PositionMode::OneWay)
    }

    /// The long or short leg of a hedged position, of `amount` base units whatever their sign, and nothing else known of it.
    #[must_use]
    pub fn leg(market: Market, side: PositionSide, amount: Decimal) -> Self {
        Self::new(market, side, amount, PositionMode::Hedge)
    }

    fn new(market: Market, side: PositionSide, amount: Decimal, mode: PositionMode) -> Self {
        Self {
            market,
            side,
            amount: amount.abs(),
            entry_price: None,
            unrealised_pnl: None,
            leverage: None,
            mark_price: None,
            margin_mode: None,
            cause: None,
            mode,
            time: None,
        }
    }

    /// Base amount with its sign: negative = short.
    #[must_use]
    pub fn signed_amount(&self) -> Decimal {
        match self.side {
            PositionSide::Short => -self.amount,
            PositionSide::Long | PositionSide::Both => self.amount,
        }
    }
}

/// What is known of the next funding of a contract, and the prices it is reckoned by. What a message does not carry is absent
/// and unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FundingInfo {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// The rate of the next funding as it stands, a fraction of the position's value per interval; positive = long pays short.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal>,
    /// When it is due, by the venue's clock.
    #[serde(rename = "next_time_ns", skip_serializing_if = "Option::is_none")]
    pub next_time: Option<UnixNanos>,
    /// The mark price, quote per base: positions are valued by it.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub mark_price: Option<Decimal>,
    /// The index price, quote per base: what the contract follows.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub index_price: Option<Decimal>,
    /// The venue's time.
    #[serde(rename = "time_ns", skip_serializing_if = "Option::is_none")]
    pub time: Option<UnixNanos>,
}

/// One funding payment the account received or made.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct FundingPaid {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// Positive = received, negative = paid.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// What it was paid in.
    pub asset: Asset,
    /// The rate, a fraction of the position's value.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub rate: Option<Decimal>,
    /// The venue's time of the payment.
    #[serde(rename = "time_ns")]
    pub time: UnixNanos,
    /// The venue's id of the payment, where it has one: the two legs of a hedged position are paid for at the same time.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub payment_id: Option<SmolStr>,
}

/// How positions of a market are margined. What a message does not carry is absent and unchanged.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeverageReport {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// Value ÷ initial margin.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub leverage: Option<Decimal>,
    /// What backs positions.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub margin_mode: Option<MarginMode>,
}

/// What a position of this size must be backed by. Sizes are notional: mark price × base amount, in the quote asset.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeverageBracket {
    /// From this notional on.
    #[serde(serialize_with = "plain")]
    pub floor: Decimal,
    /// Up to this notional; absent in the last bracket of a venue that has no bound.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub cap: Option<Decimal>,
    /// Highest leverage.
    #[serde(serialize_with = "plain")]
    pub max_leverage: Decimal,
    /// Maintenance margin, a fraction of the notional …
    #[serde(serialize_with = "plain")]
    pub maintenance_ratio: Decimal,
    /// … less this, so that it does not jump where a bracket begins.
    #[serde(serialize_with = "plain")]
    pub deduction: Decimal,
}

/// The brackets of a market, smallest notional first.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct LeverageBrackets {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// At least one.
    pub brackets: Vec<LeverageBracket>,
}

/// The mode positions are held in.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct PositionModeReport {
    /// The market it is about; absent where one mode holds for the whole account.
    #[serde(flatten)]
    pub market: Option<Market>,
    /// The mode.
    pub mode: PositionMode,
}

/// A position's margin is close to what it needs: it will be liquidated unless the price turns or collateral is added.
#[derive(Clone, Debug, PartialEq, Eq, Serialize)]
pub struct MarginCall {
    /// The market.
    #[serde(flatten)]
    pub market: Market,
    /// The position's side.
    pub side: PositionSide,
    /// Its base amount.
    #[serde(serialize_with = "plain")]
    pub amount: Decimal,
    /// What it needs to live on, in the collateral asset.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub maintenance_margin: Option<Decimal>,
    /// The mark price, quote per base.
    #[serde(serialize_with = "plain_option", skip_serializing_if = "Option::is_none")]
    pub mark_price: Option<Decimal>,
}

/// The key of a private stream: whoever has it can read the account, so it is never shown.
#[derive(Clone, PartialEq, Eq)]
pub struct StreamKey {
    /// The key.
    pub key: SmolStr,
}

impl Serialize for StreamKey {
    fn serialize<S: serde::Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        use serde::ser::SerializeStruct as _;
        let mut shown = serializer.serialize_struct("StreamKey", 1)?;
        shown.serialize_field("kind", "listen_key")?;
        shown.end()
    }
}

impl fmt::Debug for StreamKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("StreamKey(..)")
    }
}

#[cfg(test)]
mod tests {
    use serde_json::{Value, json};

    use super::*;
    use crate::message::Message;

    fn number(text: &str) -> Option<Decimal> {
        Some(text.parse().unwrap())
    }

    fn market() -> Market {
        Market::Pair("BTC-USDT".parse().unwrap())
    }

    fn shown(message: &Message) -> Value {
        serde_json::to_value(message).unwrap()
    }

    #[test]
    fn a_position_is_shown_by_its_sign() {
        let short = PositionReport {
            entry_price: number("65000.10"),
            unrealised_pnl: number("-1.50"),
            leverage: number("10"),
            mark_price: number("65001"),
            time: Some(UnixNanos(7)),
            ..PositionReport::net(market(), number("-0.0250").unwrap())
        };
        assert_eq!(short.signed_amount(), number("-0.025").unwrap());
        let expected = json!({
            "event": "position", "pair": "BTC-USDT", "side": "short", "amount": "0.025", "entry_price": "65000.1",
            "unrealised_pnl": "-1.5", "leverage": "10", "mark_price": "65001", "mode": "one_way", "time_ns": 7,
        });
        assert_eq!(shown(&Message::Position(short)), expected);
        let bare = |report| {
            let shown = shown(&Message::Position(report));
            (shown["side"].clone(), shown["amount"].clone(), shown.as_object().unwrap().len())
        };
        let net = |amount: &str| bare(PositionReport::net(market(), number(amount).unwrap()));
        assert_eq!(net("3"), (json!("long"), json!("3"), 5));
        assert_eq!(net("0.00"), (json!("both"), json!("0"), 5));
        assert_eq!(net("-0.00"), (json!("both"), json!("0"), 5));
        let leg = |amount: &str| PositionReport::leg(market(), PositionSide::Short, number(amount).unwrap());
        assert_eq!(bare(leg("-3")), (json!("short"), json!("3"), 5));
        assert_eq!(bare(leg("0")), (json!("short"), json!("0"), 5));
        assert_eq!(leg("3").signed_amount(), number("-3").unwrap());
    }

    #[test]
    fn funding_is_shown_as_far_as_it_is_known() {
        let info = FundingInfo {
            market: Market::Symbol("BTCUSDT".into()),
            rate: number("-0.00010"),
            next_time: Some(UnixNanos(8)),
            mark_price: None,
            index_price: number("100.0"),
            time: None,
        };
        let expected = json!({
            "event": "funding_info", "exchange_symbol": "BTCUSDT", "rate": "-0.0001", "next_time_ns": 8,
            "index_price": "100",
        });
        assert_eq!(shown(&Message::FundingInfo(info)), expected);
        let paid = FundingPaid {
            market: market(),
            amount: number("-0.375000").unwrap(),
            asset: "USDT".into(),
            rate: None,
            time: UnixNanos(9),
            payment_id: Some("9689322392".into()),
        };
        let expected = json!({
            "event": "funding_payment", "pair": "BTC-USDT", "amount": "-0.375", "asset": "USDT", "time_ns": 9,
            "payment_id": "9689322392",
        });
        assert_eq!(shown(&Message::FundingPayment(paid)), expected);
    }

    #[test]
    fn leverage_and_mode() {
        let leverage = |leverage, margin_mode| {
            shown(&Message::Leverage(LeverageReport { market: market(), leverage, margin_mode }))
        };
        let expected = json!({ "event": "leverage", "pair": "BTC-USDT", "leverage": "20" });
        assert_eq!(leverage(number("20"), None), expected);
        let expected = json!({ "event": "leverage", "pair": "BTC-USDT", "margin_mode": "isolated" });
        assert_eq!(leverage(None, Some(MarginMode::Isolated)), expected);
        let mode = |market, mode| shown(&Message::PositionMode(PositionModeReport { market, mode }));
        let expected = json!({ "event": "position_mode", "mode": "hedge" });
        assert_eq!(mode(None, PositionMode::Hedge), expected);
        let expected = json!({ "event": "position_mode", "pair": "BTC-USDT", "mode": "one_way" });
        assert_eq!(mode(Some(market()), PositionMode::OneWay), expected);
    }

    #[test]
    fn a_stream_key_is_not_shown() {
        let message = Message::StreamKey(StreamKey { key: "pqia91ma19a5s61cv6a81va65sdf19v8a65a1".into() });
        assert_eq!(shown(&message), json!({ "event": "session", "kind": "listen_key" }));
        assert!(!format!("{message:?}").contains("pqia"));
    }
}
