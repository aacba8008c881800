//! Exact numbers: reading them from venues' texts and writing them back.

use std::fmt;

use rust_decimal::Decimal;
use serde::de::{Deserializer, Visitor};
use serde::ser::Serializer;

/// 10^0 to 10^19: all that fit.
#[rustfmt::skip]
pub(crate) const POWERS_OF_TEN: [u64; 20] = [
    1, 10, 100, 1_000, 10_000,
    100_000, 1_000_000, 10_000_000, 100_000_000, 1_000_000_000,
    10_000_000_000, 100_000_000_000, 1_000_000_000_000, 10_000_000_000_000, 100_000_000_000_000,
    1_000_000_000_000_000, 10_000_000_000_000_000, 100_000_000_000_000_000, 1_000_000_000_000_000_000, 10_000_000_000_000_000_000,
];

/// Reads a plain decimal number (`-?digits[.digits]`), exactly.
///
/// Errors: `None` for anything else: empty text, exponents, signs other than a leading minus, or more digits than
/// [`Decimal`] holds exactly. Never rounds.
#[must_use]
pub fn parse_decimal(text: &[u8]) -> Option<Decimal> {
    let (negative, digits) = match text.split_first() {
        Some((b'-', rest)) => (true, rest),
        _ => (false, text),
    };
    let mut mantissa: i64 = 0;
    let mut scale: Option<u32> = None;
    let mut count = 0_u32;
    for &byte in digits {
        match byte {
            b'0'..=b'9' => {
                // Eighteen digits always fit an i64; longer texts take the exact slow path.
                if count == 18 {
                    return parse_long(text);
                }
                mantissa = mantissa * 10 + i64::from(byte - b'0');
                count += 1;
                scale = scale.map(|s| s + 1);
            }
            b'.' if scale.is_none() && count > 0 => scale = Some(0),
            _ => return None,
        }
    }
    if count == 0 || scale == Some(0) {
        return None;
    }
    Some(Decimal::new(if negative { -mantissa } else { mantissa }, scale.unwrap_or(0)))
}

fn parse_long(text: &[u8]) -> Option<Decimal> {
    let text = std::str::from_utf8(text).ok()?;
    let plain = text.bytes().all(|b| b.is_ascii_digit() || b == b'.' || b == b'-');
    // Trailing zeros carry no value; dropping them lets texts such as 18-decimals prices of small scale fit.
    let shorter = if text.contains('.') { text.trim_end_matches('0').trim_end_matches('.') } else { text };
    if plain { Decimal::from_str_exact(shorter).ok() } else { None }
}

/// `a × b`, exactly; `None` if that has more digits than a [`Decimal`] holds.
#[must_use]
pub fn product(a: Decimal, b: Decimal) -> Option<Decimal> {
    // Most products fit a machine word, and need no wide division.
    if let (Ok(x), Ok(y)) = (u64::try_from(a.mantissa()), u64::try_from(b.mantissa()))
        && let Some(mut mantissa) = x.checked_mul(y).and_then(|product| i64::try_from(product).ok())
        && a.scale() + b.scale() <= Decimal::MAX_SCALE
    {
        let mut scale = a.scale() + b.scale();
        while scale > 0 && mantissa % 10 == 0 {
            mantissa /= 10;
            scale -= 1;
        }
        return Some(Decimal::new(mantissa, scale));
    }
    let (a, b) = (a.normalize(), b.normalize());
    let (mut mantissa, mut scale) = (a.mantissa().checked_mul(b.mantissa())?, a.scale() + b.scale());
    while scale > 0 && mantissa % 10 == 0 {
        mantissa /= 10;
        scale -= 1;
    }
    Decimal::try_from_i128_with_scale(mantissa, scale).ok()
}

/// `a × b`, exactly where that fits and else rounded up, so that what is set aside for a cost is never too little. `None`
/// if it is too large for the type.
#[must_use]
pub fn product_up(a: Decimal, b: Decimal) -> Option<Decimal> {
    product(a, b).or_else(|| {
        let rounded = a.checked_mul(b)?;
        // One unit in the last place covers the half unit that rounding may have taken.
        rounded.checked_add(Decimal::new(1, rounded.scale()))
    })
}

/// Writes a number as a JSON string, exactly as valued: no exponent, no trailing zeros.
///
/// # Errors
/// Only the serializer's own.
pub fn serialize_plain<S: Serializer>(value: &Decimal, serializer: S) -> Result<S::Ok, S::Error> {
    serializer.collect_str(&value.normalize())
}

/// [`serialize_plain`] for an optional number; `None` is written as null, so pair it with `skip_serializing_if`.
///
/// # Errors
/// Only the serializer's own.
pub fn serialize_plain_option<S: Serializer>(
    value: &Option<Decimal>,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    match value {
        Some(value) => serialize_plain(value, serializer),
        None => serializer.serialize_none(),
    }
}

/// Writes a number as a JSON string with exactly `PLACES` decimals, as many venues do.
///
/// # Errors
/// Only the serializer's own.
pub fn serialize_places<const PLACES: u32, S: Serializer>(
    value: &Decimal,
    serializer: S,
) -> Result<S::Ok, S::Error> {
    let mut value = *value;
    value.rescale(PLACES);
    serializer.collect_str(&value)
}

/// Reads a number from a JSON string, as [`parse_decimal`] does.
///
/// # Errors
/// It is no string, or none that holds a plain decimal number.
pub fn deserialize_text<'de, D: Deserializer<'de>>(deserializer: D) -> Result<Decimal, D::Error> {
    struct Text;
    impl Visitor<'_> for Text {
        type Value = Decimal;

        fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
            f.write_str("a decimal number as text")
        }

        fn visit_str<E: serde::de::Error>(self, text: &str) -> Result<Decimal, E> {
            parse_decimal(text.as_bytes()).ok_or_else(|| E::custom(format!("`{text}` is no decimal")))
        }
    }
    deserializer.deserialize_str(Text)
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    #[test]
    fn edges() {
        for bad in ["", "-", ".", "1.", ".5", "1e3", "+1", "1.2.3", " 1", "0x1", "NaN"] {
            assert_eq!(parse_decimal(bad.as_bytes()), None, "{bad}");
        }
        let long = "1234567890123456789012.123456";
        assert_eq!(parse_decimal(long.as_bytes()).unwrap().to_string(), long);
        assert_eq!(parse_decimal(b"99999999999999999999999999999999"), None);
        assert_eq!(parse_decimal(b"0.000000000000000000100000000000000").unwrap(), Decimal::new(1, 19));
    }

    #[test]
    fn products_are_exact_or_rounded_up() {
        let number = |text: &str| text.parse::<Decimal>().unwrap();
        assert_eq!(product(number("0.1"), number("30")), Some(number("3")));
        let (long, small) =
            (number("1.234567890123456789012345678"), number("1.0000000000000000000000000001"));
        assert_eq!(product(long, small), None);
        let up = product_up(long, small).unwrap();
        assert!(up > long && up - long < number("0.000000000000000000000000002"), "{up}");
        assert_eq!(product_up(Decimal::MAX, number("2")), None);
    }

    #[derive(Debug, PartialEq, serde::Serialize, serde::Deserialize)]
    #[serde(transparent)]
    struct Num(
        #[serde(serialize_with = "serialize_places::<8, _>", deserialize_with = "deserialize_text")] Decimal,
    );

    #[test]
    fn text_with_places() {
        let num = Num(Decimal::new(15, 1));
        assert_eq!(serde_json::to_string(&num).unwrap(), "\"1.50000000\"");
        assert_eq!(serde_json::from_str::<Num>("\"1.5\"").unwrap(), num);
        for bad in ["1.5", "\"1e3\"", "\"\"", "null", "[1]"] {
            assert!(serde_json::from_str::<Num>(bad).is_err(), "{bad}");
        }
    }

    proptest! {
        #[test]
        fn agrees_with_rust_decimal(text in "-?[0-9]{1,14}(\\.[0-9]{1,14})?") {
            prop_assert_eq!(parse_decimal(text.as_bytes()), Decimal::from_str_exact(&text).ok());
        }
    }
}
