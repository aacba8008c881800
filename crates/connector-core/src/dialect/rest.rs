//! Requests: one declaration for each.

use std::fmt::{Display, Write as _};

use rust_decimal::Decimal;
use serde::Serialize;
use smol_str::SmolStr;

use crate::dialect::DecodeError;
use crate::dialect::batch::BatchRest;
use crate::dialect::perpetual::{PerpetualRest, StreamKeyRest};
use crate::dialect::source::Source;
use crate::dialect::symbols::Symbols;
use crate::id::{ClientOrderId, ExchangeOrderId, TradeId};
use crate::message::{Market, Sink};
use crate::order::{OrderType, Side, TimeInForce};
use crate::position::PositionSide;
use crate::time::UnixNanos;

/// HTTP methods in use.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "UPPERCASE")]
#[allow(missing_docs, reason = "the names say it")]
pub enum Method {
    Get,
    Post,
    Put,
    Delete,
}

impl Method {
    /// The method's name on the wire.
    #[must_use]
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::Get => "GET",
            Self::Post => "POST",
            Self::Put => "PUT",
            Self::Delete => "DELETE",
        }
    }
}

/// What a request must prove.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Auth {
    /// Nothing.
    Public,
    /// Who asks, by the key alone.
    Keyed,
    /// Who asks, by signature.
    Signed,
}

/// What may follow when the outcome of a request is unknown.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Repeat {
    /// Ask again: the request changes nothing, or nothing more the second time.
    Safe,
    /// Look the order up by its client order id.
    LookUp,
}

/// How many units of a pool a request costs, as a function of its parameters.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum Weight {
    /// Always the same.
    Fixed(u32),
    /// By whether a parameter is present.
    Present {
        /// The parameter.
        param: &'static str,
        /// The cost if it is.
        with: u32,
        /// The cost if it is not.
        without: u32,
    },
    /// By a parameter's numeric value: the first step whose bound is not below it; the last step beyond.
    Steps {
        /// The parameter.
        param: &'static str,
        /// The value if the parameter is absent.
        absent: u32,
        /// `(upper bound, cost)`, rising.
        steps: &'static [(u32, u32)],
    },
}

impl Weight {
    /// The cost of a request whose parameters `param` looks up.
    #[must_use]
    pub fn of<'p>(self, param: impl Fn(&str) -> Option<&'p str>) -> u32 {
        match self {
            Self::Fixed(cost) => cost,
            Self::Present { param: name, with, without } => {
                if param(name).is_some() {
                    with
                } else {
                    without
                }
            }
            Self::Steps { param: name, absent, steps } => {
                let value = param(name).and_then(|text| text.parse().ok()).unwrap_or(absent);
                let step = steps.iter().find(|(bound, _)| value <= *bound).or(steps.last());
                step.map_or(0, |(_, cost)| *cost)
            }
        }
    }
}

/// What a request takes out of one pool.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Cost {
    /// The [`Pool`](crate::dialect::Pool)'s name.
    pub pool: &'static str,
    /// How much.
    pub weight: Weight,
}

impl Cost {
    /// Always `units`.
    #[must_use]
    pub const fn fixed(pool: &'static str, units: u32) -> Self {
        Self { pool, weight: Weight::Fixed(units) }
    }

    /// `with` units if the request has parameter `param`, `without` if not.
    #[must_use]
    pub const fn present(pool: &'static str, param: &'static str, with: u32, without: u32) -> Self {
        Self { pool, weight: Weight::Present { param, with, without } }
    }

    /// By the value of parameter `param`, as in [`Weight::Steps`].
    #[must_use]
    pub const fn steps(
        pool: &'static str,
        param: &'static str,
        absent: u32,
        steps: &'static [(u32, u32)],
    ) -> Self {
        Self { pool, weight: Weight::Steps { param, absent, steps } }
    }
}

/// Everything about an endpoint but its functions.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
pub struct Row {
    /// The neutral name, the same for every venue: `place`, `open_orders` …
    pub name: &'static str,
    /// Method.
    pub method: Method,
    /// Path, from the root.
    pub path: &'static str,
    /// What it must prove.
    pub auth: Auth,
    /// What it costs.
    pub costs: &'static [Cost],
    /// What may follow an unknown outcome.
    pub repeat: Repeat,
    /// Source.
    pub source: Source,
}

/// The constructors of a method's rows, which differ in the method and in what may follow an unknown outcome.
macro_rules! rows {
    ($($(#[$doc:meta])* $constructor:ident $method:ident $repeat:ident;)*) => {
        impl Row {$(
            $(#[$doc])*
            #[must_use]
            pub const fn $constructor(
                name: &'static str,
                path: &'static str,
                auth: Auth,
                costs: &'static [Cost],
                source: Source,
            ) -> Self {
                Self { name, method: Method::$method, path, auth, costs, repeat: Repeat::$repeat, source }
            }
        )*}
    };
}

rows! {
    /// A `GET`: it changes nothing, so it may be repeated.
    get Get Safe;
    /// A `POST` about one order: after an unknown outcome the order is looked up.
    post Post LookUp;
    /// A `POST` that sets something, or gives the same answer again: it may be repeated.
    set Post Safe;
    /// A `PUT` that sets or prolongs something: it may be repeated.
    put Put Safe;
    /// A `DELETE` about one order: after an unknown outcome the order is looked up.
    delete Delete LookUp;
}

/// Parameters in order, values not yet percent-encoded.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Params(Vec<(&'static str, SmolStr)>);

impl Params {
    /// Adds a parameter.
    pub fn push(&mut self, name: &'static str, value: impl Display) {
        let mut text = smol_str::SmolStrBuilder::new();
        // Writing to memory cannot fail.
        let _ = write!(text, "{value}");
        if self.0.capacity() == 0 {
            self.0.reserve(12);
        }
        self.0.push((name, text.finish()));
    }

    /// Adds a parameter if there is a value.
    pub fn push_some(&mut self, name: &'static str, value: Option<impl Display>) {
        if let Some(value) = value {
            self.push(name, value);
        }
    }

    /// The value of a parameter.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.0.iter().find(|(known, _)| *known == name).map(|(_, value)| value.as_str())
    }

    /// Whether there are none.
    #[must_use]
    pub const fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// All, in order.
    pub fn iter(&self) -> impl Iterator<Item = (&'static str, &str)> {
        self.0.iter().map(|(name, value)| (*name, value.as_str()))
    }

    /// `name=value&…`, percent-encoded (RFC 3986: all but unreserved characters).
    #[must_use]
    pub fn encode(&self) -> String {
        let mut text = String::new();
        self.encode_into(&mut text, 0);
        text
    }

    /// Appends the same to `text`, with room for `more` bytes behind it.
    pub fn encode_into(&self, text: &mut String, more: usize) {
        let plain: usize = self.iter().map(|(name, value)| name.len() + value.len() + 2).sum();
        text.reserve(plain + more);
        for (position, (name, value)) in self.iter().enumerate() {
            if position > 0 {
                text.push('&');
            }
            text.push_str(name);
            text.push('=');
            percent_encode(value, text);
        }
    }
}

/// Whether a byte stands for itself in a query, by its value.
const PLAIN: [bool; 256] = {
    let (mut plain, mut byte) = ([false; 256], 0_u8);
    while byte < 128 {
        #[allow(clippy::indexing_slicing, reason = "a byte is a valid index")]
        {
            plain[byte as usize] = byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.' | b'~');
        }
        byte += 1;
    }
    plain
};

/// Appends `value` to `out`, percent-encoded (RFC 3986: all but unreserved characters).
pub fn percent_encode(value: &str, out: &mut String) {
    let plain = |byte: u8| PLAIN.get(usize::from(byte)).copied().unwrap_or(false);
    if value.bytes().all(plain) {
        return out.push_str(value);
    }
    for byte in value.bytes() {
        if plain(byte) {
            out.push(char::from(byte));
        } else {
            // Writing to memory cannot fail.
            let _ = write!(out, "%{byte:02X}");
        }
    }
}

/// What a request carries besides its query.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum Body {
    /// Nothing.
    #[default]
    None,
    /// `application/x-www-form-urlencoded`.
    Form(String),
    /// `application/json`.
    Json(String),
}

/// A request in the making.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Draft {
    /// Method.
    pub method: Method,
    /// Path, from the root.
    pub path: &'static str,
    /// What it must prove.
    pub auth: Auth,
    /// Parameters of the query string, before encoding and signing.
    pub query: Params,
    /// The encoded query string, once signed or sealed; empty for none.
    pub query_text: String,
    /// Body.
    pub body: Body,
    /// Further headers, names in lower case.
    pub headers: Vec<(&'static str, SmolStr)>,
}

impl Draft {
    /// An empty request of a row.
    #[must_use]
    pub const fn new(row: &Row) -> Self {
        Self {
            method: row.method,
            path: row.path,
            auth: row.auth,
            query: Params(Vec::new()),
            query_text: String::new(),
            body: Body::None,
            headers: Vec::new(),
        }
    }

    /// The value of a query parameter, for costs that depend on it.
    #[must_use]
    pub fn param(&self, name: &str) -> Option<&str> {
        self.query.get(name)
    }
}

/// A response body to decode, with what the request knew.
pub struct Payload<'a> {
    /// The body; the decoder may overwrite it.
    pub bytes: &'a mut [u8],
    /// The symbol map as known now.
    pub symbols: &'a Symbols,
    /// The market asked about, for answers that do not name it.
    pub market: Option<&'a Market>,
}

/// Reads a successful answer into messages, in the venue's order.
pub type Decoder = fn(Payload<'_>, &mut dyn Sink) -> Result<(), DecodeError>;

/// One request, completely declared. `Q` is what it asks.
pub struct Endpoint<Q: 'static> {
    /// All that is data.
    pub row: Row,
    /// Writes the question into the request. What `Q` allows can always be written.
    pub encode: fn(&Q, &mut Draft),
    /// Reads a successful answer into messages, in the venue's order.
    pub decode: Decoder,
}

impl<Q: 'static> Endpoint<Q> {
    /// The request of `row`, with its two functions.
    #[must_use]
    pub const fn new(row: Row, encode: fn(&Q, &mut Draft), decode: Decoder) -> Self {
        Self { row, encode, decode }
    }
}

/// Asks about one market.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct SymbolQuery {
    /// The venue's symbol.
    pub symbol: SmolStr,
}

/// Asks for a book.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BookQuery {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Levels per side wanted.
    pub depth: u32,
}

/// Asks for the account's open orders.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OpenOrdersQuery {
    /// Of this symbol, or of all.
    pub symbol: Option<SmolStr>,
}

/// Names one order: at least one of the two ids is present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct OrderQuery {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Our id.
    pub client_order_id: Option<ClientOrderId>,
    /// The venue's id.
    pub exchange_order_id: Option<ExchangeOrderId>,
}

/// Asks for the account's fills of one market, oldest first.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct FillsQuery {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Only those of this order.
    pub exchange_order_id: Option<ExchangeOrderId>,
    /// From this fill on, itself included.
    pub from: Option<TradeId>,
    /// From this time on; ignored where `from` is given.
    pub since: Option<UnixNanos>,
    /// Most rows of a page.
    pub limit: u32,
}

/// Asks for an order to be placed. Price and amount are already multiples of the rule's steps.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct PlaceQuery {
    /// The venue's symbol.
    pub symbol: SmolStr,
    /// Our id.
    pub client_order_id: ClientOrderId,
    /// Buy or sell.
    pub side: Side,
    /// Type.
    pub order_type: OrderType,
    /// Time in force; meaningful for limit orders.
    pub time_in_force: TimeInForce,
    /// Base amount.
    pub amount: Decimal,
    /// Limit price; present unless it is a market order.
    pub price: Option<Decimal>,
    /// Base amount of one unit the venue counts in.
    pub contract_size: Decimal,
    /// The leg of a hedged position it is for, [`PositionSide::Both`] for the net position; absent for spot.
    pub position_side: Option<PositionSide>,
    /// Whether it may only make a position smaller.
    pub reduce_only: bool,
}

/// A venue's requests. A required one that is missing does not compile.
pub struct Rest {
    /// Light request that shows the venue answers.
    pub ping: Endpoint<()>,
    /// The venue's clock.
    pub server_time: Option<Endpoint<()>>,
    /// Trading rules of all pairs: also the symbol map and the list of active markets.
    pub rules: Endpoint<()>,
    /// Last traded price.
    pub last_price: Endpoint<SymbolQuery>,
    /// Order book.
    pub book: Endpoint<BookQuery>,
    /// Balances: complete; an asset that is missing is not held.
    pub balances: Endpoint<()>,
    /// Create an order.
    pub place: Endpoint<PlaceQuery>,
    /// Cancel an order.
    pub cancel: Endpoint<OrderQuery>,
    /// State of an order.
    pub order: Endpoint<OrderQuery>,
    /// Open orders.
    pub open_orders: Endpoint<OpenOrdersQuery>,
    /// Own fills.
    pub fills: Endpoint<FillsQuery>,
    /// Most rows in one page of `fills`; a full page means there may be more.
    pub fills_page: u32,
    /// Several orders at once, where the venue has that; the rows are called `place_many` and `cancel_many`.
    pub batch: Option<BatchRest>,
    /// The account's fees on a market.
    pub fees: Option<Endpoint<SymbolQuery>>,
    /// The key of private streams, for links declared with [`Login::Key`](crate::dialect::Login::Key).
    pub stream_key: Option<StreamKeyRest>,
    /// What perpetual contracts add; required for venues of them.
    pub perpetual: Option<PerpetualRest>,
}

impl Rest {
    /// The rows of all endpoints, in checklist order.
    pub fn rows(&self) -> impl Iterator<Item = &Row> {
        [
            Some(&self.ping.row),
            self.server_time.as_ref().map(|endpoint| &endpoint.row),
            Some(&self.rules.row),
            Some(&self.last_price.row),
            Some(&self.book.row),
            Some(&self.balances.row),
            Some(&self.place.row),
            Some(&self.cancel.row),
            Some(&self.order.row),
            Some(&self.open_orders.row),
            Some(&self.fills.row),
            self.fees.as_ref().map(|endpoint| &endpoint.row),
        ]
        .into_iter()
        .flatten()
        .chain(self.batch.iter().flat_map(BatchRest::rows))
        .chain(self.stream_key.iter().flat_map(StreamKeyRest::rows))
        .chain(self.perpetual.iter().flat_map(PerpetualRest::rows))
    }

    /// The decoder of the row named `name`.
    #[must_use]
    pub fn decoder(&self, name: &str) -> Option<Decoder> {
        Some(match name {
            "ping" => self.ping.decode,
            "server_time" => self.server_time.as_ref()?.decode,
            "rules" => self.rules.decode,
            "last_price" => self.last_price.decode,
            "book" => self.book.decode,
            "balances" => self.balances.decode,
            "place" => self.place.decode,
            "cancel" => self.cancel.decode,
            "order" => self.order.decode,
            "open_orders" => self.open_orders.decode,
            "fills" => self.fills.decode,
            "fees" => self.fees.as_ref()?.decode,
            _ => {
                return (self.batch.as_ref().and_then(|rest| rest.decoder(name)))
                    .or_else(|| self.stream_key.as_ref()?.decoder(name))
                    .or_else(|| self.perpetual.as_ref()?.decoder(name));
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn encodes_all_but_unreserved() {
        let mut params = Params::default();
        params.push("symbol", "1 2+3/é");
        params.push_some("none", None::<u8>);
        params.push("price", Decimal::new(10, 1));
        assert_eq!(params.encode(), "symbol=1%202%2B3%2F%C3%A9&price=1.0");
    }

    #[test]
    fn weights_follow_parameters() {
        let steps = Weight::Steps { param: "limit", absent: 100, steps: &[(100, 5), (500, 25), (5000, 250)] };
        assert_eq!(steps.of(|_| None), 5);
        assert_eq!(steps.of(|_| Some("101")), 25);
        assert_eq!(steps.of(|_| Some("9999")), 250);
        let present = Weight::Present { param: "symbol", with: 6, without: 80 };
        assert_eq!((present.of(|_| Some("X")), present.of(|_| None)), (6, 80));
    }
}
