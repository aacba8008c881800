//! What an account of perpetual contracts has besides orders: listen keys, positions, leverage, funding.

use std::time::Duration;

use connector_core::dialect::{
    Auth, DecodeError, Endpoint, FundingInfoRest, FundingPaymentsQuery, Payload, PerpetualRest, Row, Source,
    StreamKeyRest, Symbols,
};
use connector_core::json::{Json, each, parse_answer, read_answer, read_list, required_list};
use connector_core::message::{
    FundingInfo, FundingPaid, LeverageBracket, LeverageBrackets, LeverageReport, Market, Message,
    PositionModeReport, PositionReport, StreamKey,
};
use connector_core::number::parse_decimal;
use connector_core::position::{MarginMode, PositionMode, PositionSide};
use connector_core::{Asset, Decimal};
use smol_str::{SmolStr, format_smolstr};
use spot_binance::family::{either, need, weight};

use crate::rest::time;
use crate::spec::docs;
use crate::wire;

const MARKET: Source = docs!("market-data/rest-api/Mark-Price");
const TRADING: Source = docs!("trade/rest-api");
const ACCOUNT: Source = docs!("account/rest-api");
const USER_STREAM: Source = docs!("user-data-streams");
const INCOME: Source = docs!("account/rest-api/Get-Income-History");

/// The key of the user stream. An account has one at a time, which all its programs share: asked for again, it is the same.
pub(crate) const STREAM_KEY: StreamKeyRest = StreamKeyRest {
    create: Endpoint::new(
        Row::set("stream_key", "/fapi/v1/listenKey", Auth::Keyed, &[weight(1)], USER_STREAM),
        |(), _| {},
        |payload, out| {
            parse_answer("stream_key", payload.bytes, |json| {
                let key = SmolStr::new(need(json, "stream_key", "listenKey", Json::text)?);
                out.message(Message::StreamKey(StreamKey { key }));
                Ok(())
            })
        },
    ),
    // The account's key is meant, so it is not named.
    keep_alive: Endpoint::new(
        Row::put("keep_key", "/fapi/v1/listenKey", Auth::Keyed, &[weight(1)], USER_STREAM),
        |_, _| {},
        |payload, _| accepted("keep_key", payload),
    ),
    lifetime: Duration::from_secs(60 * 60),
    renewal: Duration::from_secs(30 * 60),
};

/// Requests about positions.
pub(crate) const PERPETUAL: PerpetualRest = PerpetualRest {
    positions: Endpoint::new(
        Row::get("positions", "/fapi/v3/positionRisk", Auth::Signed, &[weight(5)], TRADING),
        |(), _| {},
        |payload, out| {
            read_list(("positions", None, "symbol"), payload.bytes, out, |entry: wire::PositionRisk<'_>| {
                Ok([Message::Position(position_risk(&entry, payload.symbols)?)])
            })
        },
    ),
    leverage: Some(Endpoint::new(
        Row::get("leverage", "/fapi/v1/symbolConfig", Auth::Signed, &[weight(5)], ACCOUNT),
        |(), _| {},
        |payload, out| {
            read_list(("leverage", None, "symbol"), payload.bytes, out, |entry: wire::SymbolConfig<'_>| {
                Ok([Message::Leverage(LeverageReport {
                    market: payload.symbols.market(entry.symbol),
                    leverage: Some(entry.leverage.into()),
                    margin_mode: margin_mode(entry.margin_type),
                })])
            })
        },
    )),
    set_leverage: Endpoint::new(
        Row::set("set_leverage", "/fapi/v1/leverage", Auth::Signed, &[weight(1)], TRADING),
        |query, draft| {
            draft.query.push("symbol", &query.symbol);
            draft.query.push("leverage", query.leverage.normalize());
        },
        |payload, out| {
            read_answer("set_leverage", payload.bytes, |answer: wire::LeverageSet<'_>| {
                out.message(Message::Leverage(LeverageReport {
                    market: payload.symbols.market(answer.symbol),
                    leverage: Some(answer.leverage.into()),
                    margin_mode: None,
                }));
                Ok(())
            })
        },
    ),
    set_margin_mode: Some(Endpoint::new(
        Row::set("set_margin_mode", "/fapi/v1/marginType", Auth::Signed, &[weight(1)], TRADING),
        |query, draft| {
            draft.query.push("symbol", &query.symbol);
            draft.query.push("marginType", margin_mode_word(query.margin_mode));
        },
        |payload, _| accepted("set_margin_mode", payload),
    )),
    brackets: Some(Endpoint::new(
        Row::get("brackets", "/fapi/v1/leverageBracket", Auth::Signed, &[weight(1)], ACCOUNT),
        |(), _| {},
        |payload, out| {
            parse_answer("brackets", payload.bytes, |json| {
                each(required_list(Some(json), "brackets")?, "symbol", out, |entry| {
                    Ok([Message::LeverageBrackets(brackets(entry, payload.symbols)?)])
                });
                Ok(())
            })
        },
    )),
    position_mode: Some(Endpoint::new(
        Row::get("position_mode", "/fapi/v1/positionSide/dual", Auth::Signed, &[weight(30)], ACCOUNT),
        |(), _| {},
        |payload, out| {
            parse_answer("position_mode", payload.bytes, |json| {
                let hedge = need(json, "position_mode", "dualSidePosition", Json::bool)?;
                let mode = if hedge { PositionMode::Hedge } else { PositionMode::OneWay };
                out.message(Message::PositionMode(PositionModeReport { market: None, mode }));
                Ok(())
            })
        },
    )),
    set_position_mode: Some(Endpoint::new(
        Row::set("set_position_mode", "/fapi/v1/positionSide/dual", Auth::Signed, &[weight(1)], TRADING),
        |query, draft| draft.query.push("dualSidePosition", query.mode == PositionMode::Hedge),
        |payload, _| accepted("set_position_mode", payload),
    )),
    funding_info: FundingInfoRest::All(Endpoint::new(
        Row::get("funding_info", "/fapi/v1/premiumIndex", Auth::Public, &[either("symbol", 1, 10)], MARKET),
        |(), _| {},
        |payload, out| {
            read_list(
                ("funding_info", None, "symbol"),
                payload.bytes,
                out,
                |entry: wire::PremiumIndex<'_>| {
                    Ok([Message::FundingInfo(premium_index(&entry, payload.symbols))])
                },
            )
        },
    )),
    funding_payments: Endpoint::new(
        Row::get("funding_payments", "/fapi/v1/income", Auth::Signed, &[weight(30)], INCOME),
        encode_funding_payments,
        |payload, out| {
            read_list(("funding_payments", None, "symbol"), payload.bytes, out, |entry: wire::Income<'_>| {
                let paid = (entry.income_type == "FUNDING_FEE").then(|| income(&entry, payload.symbols));
                Ok(paid.transpose()?.map(Message::FundingPayment))
            })
        },
    ),
    funding_page: INCOME_PAGE,
};

const INCOME_PAGE: u32 = 1000;

fn encode_funding_payments(query: &FundingPaymentsQuery, draft: &mut connector_core::dialect::Draft) {
    draft.query.push("incomeType", "FUNDING_FEE");
    draft.query.push("startTime", query.from.millis());
    draft.query.push("endTime", query.to.millis());
    draft.query.push("limit", query.limit.clamp(1, INCOME_PAGE));
}

/// An answer that says no more than that it was done, in one of several ways.
fn accepted(what: &'static str, payload: Payload<'_>) -> Result<(), DecodeError> {
    let Payload { bytes, .. } = payload;
    parse_answer(what, bytes, |json| match json.is_object() {
        true => Ok(()),
        false => Err(DecodeError::new(what, "not an object")),
    })
}

/// The venue's word for a position's side. `None` for a word that is new.
pub(crate) fn position_side(word: &str) -> Option<PositionSide> {
    match word {
        "BOTH" => Some(PositionSide::Both),
        "LONG" => Some(PositionSide::Long),
        "SHORT" => Some(PositionSide::Short),
        _ => None,
    }
}

/// The venue's words for what backs a position: requests and events spell them differently. `None` for a word that is new.
pub(crate) fn margin_mode(word: &str) -> Option<MarginMode> {
    match word {
        "CROSSED" | "cross" | "CROSS" => Some(MarginMode::Cross),
        "ISOLATED" | "isolated" => Some(MarginMode::Isolated),
        _ => None,
    }
}

/// The word requests have for what backs a position.
pub(crate) const fn margin_mode_word(mode: MarginMode) -> &'static str {
    match mode {
        MarginMode::Cross => "CROSSED",
        MarginMode::Isolated => "ISOLATED",
    }
}

/// A position by its side and its amount with sign, with nothing else known of it.
pub(crate) fn position(
    market: Market,
    side: &str,
    amount: Decimal,
    entry_price: Decimal,
) -> Result<PositionReport, DecodeError> {
    let report = match position_side(side).ok_or_else(|| DecodeError::missing("position", "side"))? {
        PositionSide::Both => PositionReport::net(market, amount),
        leg => PositionReport::leg(market, leg, amount),
    };
    Ok(PositionReport { entry_price: (!entry_price.is_zero()).then_some(entry_price), ..report })
}

fn position_risk(entry: &wire::PositionRisk<'_>, symbols: &Symbols) -> Result<PositionReport, DecodeError> {
    let market = symbols.market(entry.symbol);
    Ok(PositionReport {
        unrealised_pnl: Some(entry.unrealized_profit.0),
        mark_price: Some(entry.mark_price.0).filter(|price| !price.is_zero()),
        time: time(entry.update_time),
        ..position(market, entry.position_side, entry.position_amt.0, entry.entry_price.0)?
    })
}

fn brackets(entry: Json<'_, '_>, symbols: &Symbols) -> Result<LeverageBrackets, DecodeError> {
    const WHAT: &str = "brackets";
    let list = required_list(entry.get("brackets"), WHAT)?;
    let read = |row: Json<'_, '_>| {
        let number = |name| need(row, WHAT, name, Json::number);
        Ok(LeverageBracket {
            floor: number("notionalFloor")?,
            cap: Some(number("notionalCap")?),
            max_leverage: number("initialLeverage")?,
            maintenance_ratio: number("maintMarginRatio")?,
            deduction: number("cum")?,
        })
    };
    let mut brackets = list.items().map(read).collect::<Result<Vec<_>, _>>()?;
    if brackets.is_empty() {
        return Err(DecodeError::new(WHAT, "there is none"));
    }
    brackets.sort_by_key(|bracket| bracket.floor);
    Ok(LeverageBrackets { market: symbols.market(need(entry, WHAT, "symbol", Json::text)?), brackets })
}

fn premium_index(entry: &wire::PremiumIndex<'_>, symbols: &Symbols) -> FundingInfo {
    FundingInfo {
        market: symbols.market(entry.symbol),
        rate: parse_decimal(entry.last_funding_rate.as_bytes()),
        next_time: time(entry.next_funding_time),
        mark_price: Some(entry.mark_price.0),
        index_price: Some(entry.index_price.0),
        time: time(entry.time),
    }
}

fn income(entry: &wire::Income<'_>, symbols: &Symbols) -> Result<FundingPaid, DecodeError> {
    Ok(FundingPaid {
        market: symbols.market(entry.symbol),
        amount: entry.income.0,
        asset: Asset::new(entry.asset),
        rate: None,
        time: time(entry.time).ok_or_else(|| DecodeError::missing("funding_payment", "time"))?,
        // Unique among the payments of an account.
        payment_id: Some(format_smolstr!("{}", entry.tran_id)),
    })
}
