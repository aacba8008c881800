//! The venue's JSON: reading it in place, and its structures under the venue's own names.
//!
//! Hot messages are read straight off the parser's tape ([`Json`]); the rest goes through serde. Texts are borrowed from
//! the payload. The same structures are written by the venue's side, so a field is named once.

use std::borrow::Cow;
use std::cell::Cell;
use std::fmt;

use connector_core::Decimal;
use connector_core::dialect::DecodeError;
use connector_core::number::parse_decimal;
use serde::de::{Deserialize, Deserializer, Visitor};
use serde::ser::{Serialize, Serializer};
use simd_json::{Buffers, Node, StaticNode, Tape};

thread_local! {
    /// Parser memory, kept so that a frame costs no allocation. Holds no data between frames.
    static SCRATCH: Cell<Option<(Buffers, Tape<'static>)>> = const { Cell::new(None) };
}

/// Parses `bytes` in place and hands the document to `read`. For frames: the parser's memory is used again.
pub(crate) fn parse_frame<R>(
    bytes: &mut [u8],
    read: impl FnOnce(Json<'_, '_>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    let (mut buffers, tape) = SCRATCH.take().unwrap_or_else(|| (Buffers::default(), Tape::null()));
    let mut tape = tape.reset();
    let result = simd_json::fill_tape(bytes, &mut buffers, &mut tape)
        .map_err(|error| DecodeError::new("frame", error))
        .and_then(|()| read(Json(&tape.0)));
    SCRATCH.set(Some((buffers, tape.reset())));
    result
}

/// Parses `bytes` in place and hands the document to `read`. For answers, which may be large and are rare.
pub(crate) fn parse_answer<R>(
    what: &'static str,
    bytes: &mut [u8],
    read: impl FnOnce(Json<'_, '_>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    let tape = simd_json::to_tape(bytes).map_err(|error| DecodeError::new(what, error))?;
    read(Json(&tape.0))
}

/// One value of a parsed document: its node and all nodes below it. Always well-formed, as the parser made it.
#[derive(Clone, Copy)]
pub(crate) struct Json<'t, 'i>(&'t [Node<'i>]);

impl<'t, 'i> Json<'t, 'i> {
    /// The values of an array; none if it is none.
    pub(crate) fn items(self) -> impl Iterator<Item = Json<'t, 'i>> {
        let mut rest = match self.0.split_first() {
            Some((Node::Array { .. }, rest)) => rest,
            _ => &[],
        };
        std::iter::from_fn(move || take_value(&mut rest))
    }

    /// The members of an object; none if it is none.
    pub(crate) fn members(self) -> impl Iterator<Item = (&'i str, Json<'t, 'i>)> {
        let mut rest = match self.0.split_first() {
            Some((Node::Object { .. }, rest)) => rest,
            _ => &[],
        };
        std::iter::from_fn(move || {
            let (key, behind) = rest.split_first()?;
            rest = behind;
            let Node::String(key) = key else { return None };
            Some((*key, take_value(&mut rest)?))
        })
    }

    /// A member of an object.
    pub(crate) fn get(self, name: &str) -> Option<Self> {
        self.members().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Whether this is an array.
    pub(crate) fn is_array(self) -> bool {
        matches!(self.0.first(), Some(Node::Array { .. }))
    }

    /// Whether this is an object.
    pub(crate) fn is_object(self) -> bool {
        matches!(self.0.first(), Some(Node::Object { .. }))
    }

    /// The text, if it is one.
    pub(crate) fn text(self) -> Option<&'i str> {
        match self.0.first() {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one that fits.
    pub(crate) fn int(self) -> Option<i64> {
        match self.0.first() {
            Some(Node::Static(StaticNode::I64(value))) => Some(*value),
            Some(Node::Static(StaticNode::U64(value))) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The integer, if it is one that is not negative.
    pub(crate) fn uint(self) -> Option<u64> {
        self.int().and_then(|value| u64::try_from(value).ok())
    }

    /// The truth value, if it is one.
    pub(crate) fn bool(self) -> Option<bool> {
        match self.0.first() {
            Some(Node::Static(StaticNode::Bool(value))) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is a text that holds one.
    pub(crate) fn decimal(self) -> Option<Decimal> {
        parse_decimal(self.text()?.as_bytes())
    }

    /// Reads a structure, by copying its nodes: for messages that are not hot.
    pub(crate) fn read<T: Deserialize<'i>>(self, what: &'static str) -> Result<T, DecodeError> {
        Tape(self.0.to_vec()).deserialize().map_err(|error| DecodeError::new(what, error))
    }
}

fn take_value<'t, 'i>(rest: &mut &'t [Node<'i>]) -> Option<Json<'t, 'i>> {
    let count = match rest.first()? {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    };
    let (value, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(Json(value))
}

/// A number the venue writes as text; written with the venue's eight decimals.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Num(pub(crate) Decimal);

impl Serialize for Num {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        let mut value = self.0;
        value.rescale(8);
        serializer.collect_str(&value)
    }
}

impl<'de> Deserialize<'de> for Num {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        struct Text;
        impl Visitor<'_> for Text {
            type Value = Num;

            fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
                f.write_str("a decimal number as text")
            }

            fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Num, E> {
                parse_decimal(text.as_bytes())
                    .map(Num)
                    .ok_or_else(|| E::custom(format!("`{text}` is no decimal")))
            }
        }
        deserializer.deserialize_str(Text)
    }
}

/// An error, of a request or of a stream.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ErrorBody<'a> {
    pub(crate) code: i64,
    #[serde(borrow)]
    pub(crate) msg: Cow<'a, str>,
}

/// `GET /api/v3/time`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct ServerTime {
    pub(crate) server_time: i64,
}

/// `GET /api/v3/ticker/price`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct LastPrice<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) price: Num,
}

/// One entry of `GET /api/v3/exchangeInfo`; only what is used.
#[derive(Debug, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct SymbolInfo<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) status: &'a str,
    pub(crate) base_asset: &'a str,
    pub(crate) quote_asset: &'a str,
    #[serde(default = "yes")]
    pub(crate) is_spot_trading_allowed: bool,
    #[serde(borrow, default)]
    pub(crate) permissions: Vec<&'a str>,
    #[serde(borrow, default)]
    pub(crate) permission_sets: Vec<Vec<&'a str>>,
    #[serde(borrow)]
    pub(crate) filters: Vec<Filter<'a>>,
}

const fn yes() -> bool {
    true
}

/// One filter of a symbol. Filters have different fields; those we know are read where they occur.
#[derive(Debug, Default, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Filter<'a> {
    pub(crate) filter_type: &'a str,
    pub(crate) min_price: Option<Num>,
    pub(crate) max_price: Option<Num>,
    pub(crate) tick_size: Option<Num>,
    pub(crate) min_qty: Option<Num>,
    pub(crate) max_qty: Option<Num>,
    pub(crate) step_size: Option<Num>,
    pub(crate) min_notional: Option<Num>,
}

/// One entry of `balances` in `GET /api/v3/account`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct Balance<'a> {
    pub(crate) asset: &'a str,
    pub(crate) free: Num,
    pub(crate) locked: Num,
}

/// An order in any answer: placed, cancelled or queried. Which fields occur depends on which.
#[derive(Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase", default)]
pub(crate) struct Order<'a> {
    pub(crate) symbol: &'a str,
    /// Only where an order was cancelled: the order's id. `client_order_id` is then the cancel's.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orig_client_order_id: Option<&'a str>,
    pub(crate) order_id: i64,
    pub(crate) order_list_id: i64,
    pub(crate) client_order_id: &'a str,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) transact_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) price: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orig_qty: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) executed_qty: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) orig_quote_order_qty: Option<Num>,
    /// Spelled so by the venue.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) cummulative_quote_qty: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) status: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time_in_force: Option<&'a str>,
    #[serde(rename = "type", skip_serializing_if = "Option::is_none")]
    pub(crate) order_type: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) side: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) stop_price: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) iceberg_qty: Option<Num>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) update_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) is_working: Option<bool>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) working_time: Option<i64>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) expiry_reason: Option<&'a str>,
    #[serde(skip_serializing_if = "Option::is_none")]
    pub(crate) self_trade_prevention_mode: Option<&'a str>,
    #[serde(borrow, skip_serializing_if = "Option::is_none")]
    pub(crate) fills: Option<Vec<OrderFill<'a>>>,
}

/// One entry of `fills` in the full answer to a new order.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct OrderFill<'a> {
    pub(crate) price: Num,
    pub(crate) qty: Num,
    pub(crate) commission: Num,
    pub(crate) commission_asset: &'a str,
    pub(crate) trade_id: i64,
}

/// One entry of `GET /api/v3/myTrades`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct MyTrade<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) id: i64,
    pub(crate) order_id: i64,
    #[serde(default)]
    pub(crate) order_list_id: i64,
    pub(crate) price: Num,
    pub(crate) qty: Num,
    #[serde(default)]
    pub(crate) quote_qty: Num,
    pub(crate) commission: Num,
    pub(crate) commission_asset: &'a str,
    pub(crate) time: i64,
    pub(crate) is_buyer: bool,
    pub(crate) is_maker: bool,
    #[serde(default = "yes")]
    pub(crate) is_best_match: bool,
}

/// One block of rates in `GET /api/v3/account/commission`.
#[derive(Clone, Copy, Debug, Default, serde::Serialize, serde::Deserialize)]
#[serde(default)]
pub(crate) struct Rates {
    pub(crate) maker: Num,
    pub(crate) taker: Num,
    pub(crate) buyer: Num,
    pub(crate) seller: Num,
}

/// `GET /api/v3/account/commission`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
#[serde(rename_all = "camelCase")]
pub(crate) struct Commission<'a> {
    pub(crate) symbol: &'a str,
    pub(crate) standard_commission: Rates,
    #[serde(default)]
    pub(crate) special_commission: Rates,
    #[serde(default)]
    pub(crate) tax_commission: Rates,
}

/// `executionReport`, the fields that always occur and `eR`. Field names are the venue's letters.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct ExecutionReport<'a> {
    /// Event type.
    pub(crate) e: &'a str,
    #[serde(rename = "E")]
    pub(crate) event_time: i64,
    #[serde(rename = "s")]
    pub(crate) symbol: &'a str,
    /// The order's id, or the cancel's where the order was cancelled.
    #[serde(rename = "c")]
    pub(crate) client_order_id: &'a str,
    #[serde(rename = "S")]
    pub(crate) side: &'a str,
    #[serde(rename = "o")]
    pub(crate) order_type: &'a str,
    #[serde(rename = "f", default)]
    pub(crate) time_in_force: &'a str,
    #[serde(rename = "q")]
    pub(crate) quantity: Num,
    #[serde(rename = "p")]
    pub(crate) price: Num,
    #[serde(rename = "P", default)]
    pub(crate) stop_price: Num,
    #[serde(rename = "F", default)]
    pub(crate) iceberg_quantity: Num,
    #[serde(rename = "g", default)]
    pub(crate) order_list_id: i64,
    /// The order's id where the order was cancelled, otherwise empty.
    #[serde(rename = "C", default)]
    pub(crate) orig_client_order_id: &'a str,
    #[serde(rename = "x")]
    pub(crate) execution_type: &'a str,
    #[serde(rename = "X")]
    pub(crate) status: &'a str,
    #[serde(rename = "r", default)]
    pub(crate) reject_reason: &'a str,
    #[serde(rename = "i")]
    pub(crate) order_id: i64,
    #[serde(rename = "l")]
    pub(crate) last_quantity: Num,
    #[serde(rename = "z")]
    pub(crate) filled_quantity: Num,
    #[serde(rename = "L")]
    pub(crate) last_price: Num,
    #[serde(rename = "n", default)]
    pub(crate) commission: Option<Num>,
    #[serde(rename = "N", default)]
    pub(crate) commission_asset: Option<&'a str>,
    #[serde(rename = "T")]
    pub(crate) transact_time: i64,
    #[serde(rename = "t")]
    pub(crate) trade_id: i64,
    #[serde(rename = "I", default)]
    pub(crate) execution_id: i64,
    #[serde(rename = "w", default)]
    pub(crate) on_book: bool,
    #[serde(rename = "m")]
    pub(crate) maker: bool,
    /// Documented as to be ignored.
    #[serde(rename = "M", default)]
    pub(crate) ignore: bool,
    #[serde(rename = "O", default)]
    pub(crate) created: i64,
    #[serde(rename = "Z", default)]
    pub(crate) filled_quote: Num,
    #[serde(rename = "Y", default)]
    pub(crate) last_quote: Num,
    #[serde(rename = "Q", default)]
    pub(crate) quote_quantity: Num,
    #[serde(rename = "W", default, skip_serializing_if = "Option::is_none")]
    pub(crate) working_time: Option<i64>,
    #[serde(rename = "V", default)]
    pub(crate) stp_mode: &'a str,
    #[serde(rename = "eR", default, skip_serializing_if = "Option::is_none")]
    pub(crate) expiry_reason: Option<&'a str>,
}

/// `outboundAccountPosition`.
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct AccountPosition<'a> {
    /// Event type.
    pub(crate) e: &'a str,
    #[serde(rename = "E")]
    pub(crate) event_time: i64,
    #[serde(rename = "u")]
    pub(crate) update_time: i64,
    #[serde(rename = "B", borrow)]
    pub(crate) balances: Vec<PositionEntry<'a>>,
}

/// One asset of [`AccountPosition`].
#[derive(Debug, serde::Serialize, serde::Deserialize)]
pub(crate) struct PositionEntry<'a> {
    #[serde(rename = "a")]
    pub(crate) asset: &'a str,
    #[serde(rename = "f")]
    pub(crate) free: Num,
    #[serde(rename = "l")]
    pub(crate) locked: Num,
}
