//! Assets and trading pairs under their common names.

use std::fmt;
use std::str::FromStr;

use serde::{Deserialize, Deserializer, Serialize, Serializer};
use smol_str::{SmolStr, format_smolstr};

/// An asset under its common name, upper case: `BTC`, never a venue's alias such as `XBT`.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Asset(SmolStr);

impl Asset {
    /// The asset named `name`, taken as it stands.
    #[must_use]
    pub fn new(name: impl AsRef<str>) -> Self {
        Self(SmolStr::new(name))
    }

    /// The common name.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl fmt::Display for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl fmt::Debug for Asset {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.0)
    }
}

impl From<&str> for Asset {
    fn from(name: &str) -> Self {
        Self::new(name)
    }
}

/// A trading pair, written `BASE-QUOTE`.
///
/// Cheap to clone: up to 23 bytes are held in place.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct Pair {
    text: SmolStr,
    dash: u8,
}

impl Pair {
    /// The pair of two assets. `None` if the base is empty or longer than 255 bytes, or the quote is empty.
    #[must_use]
    pub fn new(base: &str, quote: &str) -> Option<Self> {
        let dash = u8::try_from(base.len()).ok()?;
        (dash > 0 && !quote.is_empty()).then(|| Self { text: format_smolstr!("{base}-{quote}"), dash })
    }

    /// What is bought and sold.
    #[must_use]
    pub fn base(&self) -> Asset {
        Asset::new(self.text.get(..usize::from(self.dash)).unwrap_or_default())
    }

    /// What prices are expressed in.
    #[must_use]
    pub fn quote(&self) -> Asset {
        Asset::new(self.text.get(usize::from(self.dash) + 1..).unwrap_or_default())
    }

    /// `BASE-QUOTE`.
    #[must_use]
    pub fn as_str(&self) -> &str {
        &self.text
    }
}

/// A text that is not `BASE-QUOTE`.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a trading pair; write it as BASE-QUOTE, for example BTC-USDT")]
pub struct PairError(String);

impl FromStr for Pair {
    type Err = PairError;

    fn from_str(text: &str) -> Result<Self, PairError> {
        text.rsplit_once('-')
            .and_then(|(base, quote)| Self::new(base, quote))
            .filter(|_| !text.contains(char::is_whitespace))
            .ok_or_else(|| PairError(text.to_owned()))
    }
}

impl fmt::Display for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl fmt::Debug for Pair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&self.text)
    }
}

impl Serialize for Pair {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.text)
    }
}

impl<'de> Deserialize<'de> for Pair {
    fn deserialize<D: Deserializer<'de>>(deserializer: D) -> Result<Self, D::Error> {
        let text = SmolStr::deserialize(deserializer)?;
        text.parse().map_err(serde::de::Error::custom)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn parses_and_splits() {
        let pair: Pair = "BTC-USDT".parse().unwrap();
        assert_eq!((pair.base().as_str(), pair.quote().as_str()), ("BTC", "USDT"));
        assert_eq!(pair.to_string(), "BTC-USDT");
    }

    #[test]
    fn refuses_what_is_no_pair() {
        for text in ["", "BTC", "-USDT", "BTC-", "BTC -USDT"] {
            assert!(text.parse::<Pair>().is_err(), "{text}");
        }
    }
}
