//! Parameters as the venue checks them.

use connector_core::Decimal;
use connector_core::number::parse_decimal;
use connector_venue::exchange::Exchange;
use connector_venue::fields::Fields;
use connector_venue::setup::MarketSetup;
use smol_str::SmolStr;

use crate::venue::answer::Refused;

/// The legal ranges the venue names in its refusals.
const CLIENT_ID: &str = "^[a-zA-Z0-9-_]{1,36}$";
const NUMBER: &str = "^([0-9]{1,20})(\\.[0-9]{1,20})?$";
const INTEGER: &str = "^[0-9]{1,20}$";
const SYMBOL: &str = "^[A-Z0-9-_.]{1,20}$";
/// Most decimals of a price or an amount.
const PRECISION: usize = 8;

/// The parameters of one request.
#[derive(Clone, Copy, Debug)]
pub struct Params<'a>(pub &'a Fields);

impl<'a> Params<'a> {
    /// A parameter that may be absent, but not empty.
    ///
    /// # Errors
    /// It is there and empty.
    pub fn optional(self, name: &str) -> Result<Option<&'a str>, Refused> {
        match self.0.get(name) {
            Some("") => Err(Refused::new(-1105, format!("Parameter '{name}' was empty."))),
            other => Ok(other),
        }
    }

    /// A parameter that must be there.
    ///
    /// # Errors
    /// It is missing.
    pub fn required(self, name: &str) -> Result<&'a str, Refused> {
        self.0.get(name).filter(|value| !value.is_empty()).ok_or_else(|| Refused::missing(name))
    }

    /// An integer that may be absent.
    ///
    /// # Errors
    /// It is no integer.
    pub fn integer(self, name: &str) -> Result<Option<u64>, Refused> {
        let Some(text) = self.optional(name)? else { return Ok(None) };
        let digits = text.len() <= 20 && text.bytes().all(|byte| byte.is_ascii_digit());
        if !digits {
            return Err(Refused::illegal(name, INTEGER));
        }
        text.parse().map(Some).map_err(|_| Refused::new(-1108, format!("Parameter '{name}' overflowed.")))
    }

    /// A time in milliseconds or microseconds since the epoch; in milliseconds.
    ///
    /// # Errors
    /// It is no time.
    pub fn millis(self, name: &str) -> Result<Option<i64>, Refused> {
        // A time in milliseconds has this many digits until the year 2286.
        const MILLIS: u64 = 10_000_000_000_000;
        let time = self.integer(name)?.map(|time| if time >= MILLIS { time / 1000 } else { time });
        Ok(time.and_then(|time| i64::try_from(time).ok()))
    }

    /// How many entries are asked for: at least one, at most `most`.
    ///
    /// # Errors
    /// It is no such number.
    pub fn limit(self, usual: u64, most: u64) -> Result<usize, Refused> {
        let limit = match self.integer("limit")? {
            Some(0) => return Err(Refused::invalid("limit")),
            other => other.unwrap_or(usual).min(most),
        };
        Ok(usize::try_from(limit).unwrap_or(usize::MAX))
    }

    /// A price or amount that may be absent.
    ///
    /// # Errors
    /// It is no number, or has too many decimals.
    pub fn number(self, name: &str) -> Result<Option<Decimal>, Refused> {
        let Some(text) = self.optional(name)? else { return Ok(None) };
        let (whole, decimals) = text.split_once('.').unwrap_or((text, "0"));
        let digits =
            |part: &str| (1..=20).contains(&part.len()) && part.bytes().all(|byte| byte.is_ascii_digit());
        if !digits(whole) || !digits(decimals) {
            return Err(Refused::illegal(name, NUMBER));
        }
        if decimals.trim_end_matches('0').len() > PRECISION {
            return Err(Refused::new(-1111, format!("Parameter '{name}' has too much precision.")));
        }
        let number = parse_decimal(text.as_bytes());
        number.map(Some).ok_or_else(|| Refused::new(-1108, format!("Parameter '{name}' overflowed.")))
    }

    /// The same, where it must be there.
    ///
    /// # Errors
    /// As [`Params::number`]; or it is missing.
    pub fn required_number(self, name: &str) -> Result<Decimal, Refused> {
        self.required(name)?;
        self.number(name)?.ok_or_else(|| Refused::missing(name))
    }

    /// A client order id that may be absent.
    pub(super) fn client_id(self, name: &str) -> Result<Option<&'a str>, Refused> {
        let id = self.optional(name)?;
        let legal = |id: &str| {
            id.len() <= 36
                && id.bytes().all(|byte| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_'))
        };
        match id {
            Some(id) if !legal(id) => Err(Refused::illegal(name, CLIENT_ID)),
            other => Ok(other),
        }
    }

    /// A truth value that may be absent, which is false.
    ///
    /// # Errors
    /// It is neither true nor false.
    pub fn flag(self, name: &str) -> Result<bool, Refused> {
        match self.optional(name)? {
            None | Some("false" | "FALSE") => Ok(false),
            Some("true" | "TRUE") => Ok(true),
            Some(_) => Err(Refused::invalid(name)),
        }
    }

    /// The market asked about.
    ///
    /// # Errors
    /// There is no such market.
    pub fn market(self, exchange: &Exchange) -> Result<&MarketSetup, Refused> {
        market(self.required("symbol")?, exchange)
    }

    /// The markets asked about, and whether the answer is a list: `symbol`, `symbols`, or all.
    ///
    /// # Errors
    /// There is no such market, or too much is asked for.
    pub fn markets(self, exchange: &Exchange) -> Result<(Vec<&MarketSetup>, bool), Refused> {
        if let Some(symbol) = self.optional("symbol")? {
            if self.0.get("symbols").is_some() {
                return Err(Refused::new(-1128, "Combination of optional parameters invalid."));
            }
            return Ok((vec![market(symbol, exchange)?], false));
        }
        let Some(text) = self.optional("symbols")? else { return Ok((exchange.markets(), true)) };
        let names: Vec<SmolStr> = serde_json::from_str(text).map_err(|_| {
            Refused::illegal("symbols", "^\\[(\"[A-Z0-9-_.]{1,20}\"(,\"[A-Z0-9-_.]{1,20}\"){0,}){0,1}\\]$")
        })?;
        let found: Result<Vec<_>, _> = names.iter().map(|name| market(name, exchange)).collect();
        Ok((found?, true))
    }
}

fn market<'e>(symbol: &str, exchange: &'e Exchange) -> Result<&'e MarketSetup, Refused> {
    if symbol.bytes().any(|byte| byte.is_ascii_lowercase() || byte.is_ascii_whitespace()) {
        return Err(Refused::illegal("symbol", SYMBOL));
    }
    exchange.market(symbol).ok_or_else(Refused::invalid_symbol)
}
