//! Reading frames of known layout without a parser in between.
//!
//! A venue writes all frames of a kind in one layout. [`Scan`] reads such a frame from left to right and answers `None` as
//! soon as anything is not what was asked for. Nothing is lost then, as the bytes are untouched: the general parser
//! ([`crate::json`]) is to judge the frame. What a scan accepts the general parser accepts too, with the same values; property tests
//! and a fuzz target hold it to that.

use rust_decimal::Decimal;

use crate::message::Level;
use crate::number::{POWERS_OF_TEN, parse_decimal};
use crate::time::UnixNanos;

/// A position in a frame.
#[derive(Clone, Copy, Debug)]
pub struct Scan<'a> {
    rest: &'a [u8],
}

impl<'a> Scan<'a> {
    /// At the beginning of a frame.
    #[must_use]
    pub const fn new(frame: &'a [u8]) -> Self {
        Self { rest: frame }
    }

    /// Steps over exactly these bytes.
    #[inline]
    pub fn skip<const N: usize>(&mut self, bytes: &[u8; N]) -> Option<()> {
        let (found, rest) = self.rest.split_first_chunk::<N>()?;
        self.rest = rest;
        (found == bytes).then_some(())
    }

    /// Steps over these bytes if they come next, and says whether they did.
    #[inline]
    pub fn skip_if<const N: usize>(&mut self, bytes: &[u8; N]) -> bool {
        let mut ahead = *self;
        let found = ahead.skip(bytes).is_some();
        if found {
            *self = ahead;
        }
        found
    }

    /// The text up to the next quote, which is stepped over too: printable ASCII without escapes.
    #[inline]
    pub fn text(&mut self) -> Option<&'a str> {
        std::str::from_utf8(self.plain()?).ok()
    }

    /// Steps over such a text.
    #[inline]
    pub fn skip_text(&mut self) -> Option<()> {
        self.plain().map(|_| ())
    }

    #[inline]
    fn plain(&mut self) -> Option<&'a [u8]> {
        let mut end = 0;
        // Eight bytes at a time, as long as none of them can end the text.
        while let Some(bytes) = self.rest.get(end..).and_then(<[u8]>::first_chunk) {
            let plain = leading_plain(*bytes);
            end += plain;
            if plain < 8 {
                break;
            }
        }
        let tail = self.rest.get(end..)?;
        end += tail.iter().position(|byte| !matches!(byte, b' '..=b'~') || matches!(byte, b'"' | b'\\'))?;
        let (text, rest) = self.rest.split_at_checked(end)?;
        self.rest = rest;
        self.skip(b"\"")?;
        Some(text)
    }

    /// The digits of an integer that is not negative, at most 18 of them.
    #[inline]
    pub fn digits(&mut self) -> Option<&'a str> {
        let all = self.rest;
        self.uint()?;
        let (digits, _) = all.split_at_checked(all.len() - self.rest.len())?;
        std::str::from_utf8(digits).ok()
    }

    /// An integer of at most 18 digits that is not negative.
    #[inline]
    pub fn uint(&mut self) -> Option<u64> {
        let (mut value, mut count) = (0_u64, 0);
        while let Some(bytes) = self.rest.first_chunk()
            && count <= 8
        {
            let (digits, len) = leading_digits(*bytes);
            value = value * POWERS_OF_TEN.get(len)? + digits;
            count += len;
            self.rest = self.rest.get(len..)?;
            if len < 8 {
                break;
            }
        }
        while let Some((byte @ b'0'..=b'9', rest)) = self.rest.split_first() {
            count += 1;
            if count > 18 {
                return None;
            }
            value = value * 10 + u64::from(byte - b'0');
            self.rest = rest;
        }
        // JSON has no leading zeros.
        let least = if count == 1 { 0 } else { *POWERS_OF_TEN.get(count.checked_sub(1)?)? };
        (value >= least).then_some(value)
    }

    /// A time: an integer, in milliseconds since the Unix epoch.
    #[inline]
    pub fn millis(&mut self) -> Option<UnixNanos> {
        Some(UnixNanos::from_millis(i64::try_from(self.uint()?).ok()?))
    }

    /// A plain decimal number as text, up to and with the closing quote.
    #[inline]
    pub fn decimal(&mut self) -> Option<Decimal> {
        if let Some((number, rest)) = short_decimal(self.rest) {
            self.rest = rest;
            return Some(number);
        }
        self.long_decimal()
    }

    /// A decimal that is likely to have the shape of the one before it. Numbers in a list mostly do; then where the next one
    /// begins does not have to wait until this one is understood. Inlined by force, as is what it calls: left to itself the compiler
    /// calls it, where two lists are read, and depth frames take a third longer.
    #[inline(always)]
    fn decimal_like(&mut self, shape: &mut Shape) -> Option<Decimal> {
        if let Some((number, rest)) = shaped_decimal(self.rest, *shape) {
            self.rest = rest;
            return Some(number);
        }
        let before = self.rest;
        let number = self.decimal()?;
        *shape = Shape::of(before);
        Some(number)
    }

    #[cold]
    fn long_decimal(&mut self) -> Option<Decimal> {
        parse_decimal(self.text()?.as_bytes())
    }

    /// A list of `["price","amount"]`, appended to `out`. After `None`, part of it may have been appended.
    #[inline]
    pub fn levels(&mut self, out: &mut Vec<Level>) -> Option<()> {
        if self.skip_if(b"[]") {
            return Some(());
        }
        self.skip(b"[[\"")?;
        let mut shapes = [Shape::default(); 2];
        let [price_shape, amount_shape] = &mut shapes;
        loop {
            let price = self.decimal_like(price_shape)?;
            self.skip(b",\"")?;
            let amount = self.decimal_like(amount_shape)?;
            out.push(Level { price, amount });
            if self.skip_if(b"],[\"") {
                continue;
            }
            return self.skip(b"]]");
        }
    }

    /// Whether the frame is read to its end.
    #[must_use]
    pub const fn is_done(&self) -> bool {
        self.rest.is_empty()
    }
}

/// How many digits a number has before and behind the point.
#[derive(Clone, Copy, Default)]
struct Shape {
    whole: usize,
    part: usize,
}

impl Shape {
    /// The shape of the number that a text begins with; anything if there is none.
    fn of(text: &[u8]) -> Self {
        let digits = |text: &[u8]| text.iter().take_while(|byte| byte.is_ascii_digit()).count();
        let whole = digits(text);
        Self { whole, part: digits(text.get(whole + 1..).unwrap_or_default()) }
    }
}

/// A number of exactly this shape, and the closing quote. `None` for all others, and near the end of the frame.
#[inline(always)]
fn shaped_decimal(text: &[u8], Shape { whole, part }: Shape) -> Option<(Decimal, &[u8])> {
    let head = text.first_chunk()?;
    let (mark, tail) = text.get(whole..)?.split_first()?;
    let behind = tail.first_chunk()?;
    let (end, rest) = tail.get(part..)?.split_first()?;
    if *mark != b'.' || *end != b'"' {
        return None;
    }
    let digits = exact_digits(*head, whole)? * POWERS_OF_TEN.get(part)? + exact_digits(*behind, part)?;
    Some((small_decimal(digits, part as u32), rest))
}

/// The value of the first `count` of eight bytes, one to eight, if all of them are digits.
#[inline(always)]
fn exact_digits(bytes: [u8; 8], count: usize) -> Option<u64> {
    let shift = 8_usize.checked_sub(count).filter(|zeros| *zeros < 8)? * 8;
    // Digits move to the end, zeros take the place before them.
    let values = (u64::from_le_bytes(bytes) ^ (0x30 * ONES)) << shift;
    (others(values) == 0).then(|| value(values))
}

/// A number of one to seven digits before the point and one to eight behind, or none and no point, and the closing quote.
/// `None` for all others, and near the end of the frame.
#[inline(always)]
fn short_decimal(text: &[u8]) -> Option<(Decimal, &[u8])> {
    let (whole, whole_len) = leading_digits(*text.first_chunk()?);
    if whole_len == 0 || whole_len == 8 {
        return None;
    }
    let (mark, rest) = text.get(whole_len..)?.split_first()?;
    if *mark == b'"' {
        return Some((small_decimal(whole, 0), rest));
    }
    let (part, part_len) = leading_digits(*rest.first_chunk()?);
    let (end, rest) = rest.get(part_len..)?.split_first()?;
    if *mark != b'.' || part_len == 0 || *end != b'"' {
        return None;
    }
    let digits = whole * POWERS_OF_TEN.get(part_len)? + part;
    Some((small_decimal(digits, part_len as u32), rest))
}

#[inline]
fn small_decimal(digits: u64, scale: u32) -> Decimal {
    Decimal::from_parts(digits as u32, (digits >> 32) as u32, 0, false, scale)
}

/// The value and number of the digits that eight bytes begin with, all eight looked at together.
#[inline(always)]
fn leading_digits(bytes: [u8; 8]) -> (u64, usize) {
    let values = u64::from_le_bytes(bytes) ^ (0x30 * ONES);
    let count = others(values).trailing_zeros() / 8;
    // Digits move to the end, zeros take the place before them. Shifting by 64 is avoided by doing it in two steps.
    (value((values << (4 * (8 - count))) << (4 * (8 - count))), count as usize)
}

const ONES: u64 = 0x0101_0101_0101_0101;

/// The high bit of each of eight bytes that is greater than nine.
#[inline(always)]
const fn others(values: u64) -> u64 {
    (((values & (0x7F * ONES)) + 0x76 * ONES) | values) & (0x80 * ONES)
}

/// The number that eight digits make, the first in the lowest byte.
#[inline(always)]
const fn value(digits: u64) -> u64 {
    let pairs = (digits.wrapping_mul(10)).wrapping_add(digits >> 8);
    let low = (pairs & 0x0000_00FF_0000_00FF).wrapping_mul(0x000F_4240_0000_0064);
    let high = (pairs >> 16 & 0x0000_00FF_0000_00FF).wrapping_mul(0x0000_2710_0000_0001);
    low.wrapping_add(high) >> 32
}

/// How many of eight bytes come before the first that is no printable ASCII, a quote or a backslash.
#[inline]
fn leading_plain(bytes: [u8; 8]) -> usize {
    const HIGH: u64 = 0x80 * ONES;
    let word = u64::from_le_bytes(bytes);
    // The high bit of each byte that is at most `0x7F` and, after the flip, zero. Exact below the first such byte, and that is
    // the one asked for.
    let zero = |word: u64| word.wrapping_sub(ONES) & !word & HIGH;
    let control = word.wrapping_sub(0x20 * ONES) & !word & HIGH;
    let other = zero(word ^ (u64::from(b'"') * ONES)) | zero(word ^ (u64::from(b'\\') * ONES));
    ((other | control | (word & HIGH) | zero(word ^ (0x7F * ONES))).trailing_zeros() / 8) as usize
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn number(text: &str) -> Option<Decimal> {
        let frame = format!("{text}\"");
        let mut scan = Scan::new(frame.as_bytes());
        let number = scan.decimal()?;
        scan.is_done().then_some(number)
    }

    #[test]
    fn all_lengths_of_numbers() {
        for whole in 1..24 {
            for part in 0..24 {
                let digits = |count: usize, from: usize| -> String {
                    (0..count).map(|i| char::from(b'0' + ((i + from) % 10) as u8)).collect()
                };
                let mut text = digits(whole, 1);
                if part > 0 {
                    text = format!("{text}.{}", digits(part, 3));
                }
                let expected = parse_decimal(text.as_bytes());
                assert_eq!(number(&text), expected, "{text}");
                // Far from the end of a frame another way is taken.
                let long = format!("{text}\",\"0.00000000\"],[\"");
                let mut scan = Scan::new(long.as_bytes());
                assert_eq!(scan.decimal(), expected, "{long}");
            }
        }
    }

    #[test]
    fn what_is_no_number_is_none() {
        for text in
            ["", "-", ".", "1.", ".5", "1e3", "+1", "1.2.3", " 1", "0x1", "NaN", "1:2", "12/3.5", "1.5 "]
        {
            assert_eq!(number(text), None, "{text}");
            let long = format!("{text}\",\"12345678.90\"]");
            assert_eq!(Scan::new(long.as_bytes()).decimal(), None, "{text}");
        }
        assert_eq!(number("-1.5"), Some(Decimal::new(-15, 1)));
        for text in ["", "01", "1234567890123456789", "x", "-1"] {
            assert_eq!(Scan::new(text.as_bytes()).uint(), None, "{text}");
        }
        assert_eq!(Scan::new(b"0,").uint(), Some(0));
    }

    proptest! {
        #[test]
        fn texts_end_at_what_ends_them(text in "[ -~é\u{7f}\u{1}]{0,40}") {
            let plain = text.find(|c: char| !(' '..='~').contains(&c) || c == '\\').is_none_or(|at| {
                text.find('"').is_some_and(|quote| quote < at)
            });
            let frame = format!("{text}\"behind the text");
            let expected = plain.then(|| frame.split('"').next()).flatten();
            prop_assert_eq!(Scan::new(frame.as_bytes()).text(), expected);
        }

        #[test]
        fn integers_are_exact(number in 0_u64..2_000_000_000_000_000_000, shift in 0_u32..60, near_end in any::<bool>()) {
            let number = number >> shift;
            let frame = format!("{number}{}", if near_end { "," } else { ",\"some\":\"more text\"" });
            let expected = (number < 1_000_000_000_000_000_000).then_some(number);
            prop_assert_eq!(Scan::new(frame.as_bytes()).uint(), expected);
            let mut scan = Scan::new(frame.as_bytes());
            prop_assert_eq!(scan.digits().and_then(|digits| digits.parse().ok()), expected);
        }

        #[test]
        fn bytes_never_panic_and_agree(bytes in prop::collection::vec(prop_oneof![
            4 => b'0'..=b'9', 1 => Just(b'.'), 1 => Just(b'"'), 1 => any::<u8>()], 0..40)) {
            let mut scan = Scan::new(&bytes);
            if let Some(number) = scan.decimal() {
                let used = bytes.len() - scan.rest.len();
                prop_assert_eq!(parse_decimal(&bytes[..used - 1]), Some(number));
            }
        }
    }
}
