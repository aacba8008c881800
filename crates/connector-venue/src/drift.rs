//! A venue that has moved on: members and words that no client has heard of, members that are gone or empty, numbers written
//! another way, in text that is otherwise right.

use serde_json::Value;

use crate::faults::Fault;
use crate::random::Random;

/// What is different about a text.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Drift {
    /// It has members that no client has heard of.
    Members,
    /// It has a word that no client has heard of.
    Word,
    /// It lacks a member.
    Missing,
    /// One of its members is null.
    Null,
    /// Its decimals are written another way, and mean the same.
    Number,
}

impl Fault {
    /// The drift it is, if it is one.
    pub(crate) const fn drift(&self) -> Option<Drift> {
        match self {
            Self::NewMembers {} => Some(Drift::Members),
            Self::NewWord {} => Some(Drift::Word),
            Self::Missing {} => Some(Drift::Missing),
            Self::Null {} => Some(Drift::Null),
            Self::Number {} => Some(Drift::Number),
            _ => None,
        }
    }
}

impl Drift {
    /// The text, changed. What is no JSON stays as it is.
    pub(crate) fn apply(self, text: &str, random: &mut Random) -> String {
        match self {
            Self::Members => with_members(text),
            Self::Word => with_word(text, random),
            Self::Missing | Self::Null => without(text, self == Self::Null, random),
            Self::Number => with_numbers(text, random),
        }
    }
}

/// The text without one of its members, or with null in its place.
fn without(text: &str, null: bool, random: &mut Random) -> String {
    let Ok(mut value) = serde_json::from_str::<Value>(text) else { return text.to_owned() };
    let mut members = 0_i64;
    visit(&mut value, &mut |object| {
        members += i64::try_from(object.len()).unwrap_or(0);
        false
    });
    let mut left = random.between(0, members.saturating_sub(1).max(0));
    visit(&mut value, &mut |object| {
        let length = i64::try_from(object.len()).unwrap_or(0);
        if left >= length {
            left -= length;
            return false;
        }
        let at = usize::try_from(left).unwrap_or(0);
        if let Some(name) = object.keys().nth(at).cloned() {
            if null {
                object.insert(name, Value::Null);
            } else {
                object.remove(&name);
            }
        }
        true
    });
    value.to_string()
}

/// Shows each object of a value until `each` has enough.
fn visit(value: &mut Value, each: &mut impl FnMut(&mut serde_json::Map<String, Value>) -> bool) -> bool {
    match value {
        Value::Object(object) => each(object) || object.values_mut().any(|value| visit(value, each)),
        Value::Array(items) => items.iter_mut().any(|value| visit(value, each)),
        _ => false,
    }
}

/// The text with each quoted decimal written another way: `"1.50"` as `"1.50000"` or `"150e-2"`.
fn with_numbers(text: &str, random: &mut Random) -> String {
    let exponent = random.chance(50);
    let mut out = String::with_capacity(text.len() * 2);
    for (at, part) in text.split('"').enumerate() {
        if at > 0 {
            out.push('"');
        }
        let (whole, fraction) = part.split_once('.').unwrap_or_default();
        let digits = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
        if at % 2 == 0 || !digits(whole) || !digits(fraction) || part.len() > 20 {
            out.push_str(part);
        } else if exponent {
            let number = format!("{whole}{fraction}");
            let number = number.trim_start_matches('0');
            let number = if number.is_empty() { "0" } else { number };
            out.push_str(&format!("{number}e-{}", fraction.len()));
        } else {
            out.push_str(part);
            out.push_str("000");
        }
    }
    out
}

/// A member of every kind of value.
const MEMBER: &str = r#""xAddedLater":{"a":[1,null,true,"x"],"b":-1.5e3},"#;
/// A word of no enumeration.
const WORD: &str = "ADDED_LATER";

/// The text with a new member at the head of every object that has members.
fn with_members(text: &str) -> String {
    let mut out = String::with_capacity(text.len() * 2);
    let (mut quoted, mut escaped) = (false, false);
    let mut rest = text.chars().peekable();
    while let Some(c) = rest.next() {
        out.push(c);
        match c {
            _ if escaped => escaped = false,
            '\\' if quoted => escaped = true,
            '"' => quoted = !quoted,
            '{' if !quoted && rest.peek() == Some(&'"') => out.push_str(MEMBER),
            _ => {}
        }
    }
    out
}

/// The text with one value that looks like a word of an enumeration (capitals and underscores) replaced.
fn with_word(text: &str, random: &mut Random) -> String {
    let mut words = Vec::new();
    for (at, _) in text.match_indices(":\"") {
        let start = at + 2;
        let Some(length) = text.get(start..).and_then(|rest| rest.find('"')) else { continue };
        let word = text.get(start..start + length).unwrap_or_default();
        if length > 2 && word.bytes().all(|byte| byte.is_ascii_uppercase() || byte == b'_') {
            words.push(start..start + length);
        }
    }
    let last = i64::try_from(words.len()).unwrap_or(i64::MAX).saturating_sub(1).max(0);
    let chosen = usize::try_from(random.between(0, last)).unwrap_or(0);
    let mut out = text.to_owned();
    if let Some(range) = words.get(chosen) {
        out.replace_range(range.clone(), WORD);
    }
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_was_there_stays() {
        let text = r#"{"a":"x{\"","b":{"c":[{"d":1},{}]}}"#;
        let drifted: serde_json::Value = serde_json::from_str(&with_members(text)).unwrap();
        assert_eq!(drifted["b"]["c"][0]["d"], 1);
        assert!(
            drifted["b"]["c"][0]["xAddedLater"].is_object() && drifted["b"]["c"][1] == serde_json::json!({})
        );
    }

    #[test]
    fn members_go_and_numbers_keep_their_value() {
        let text = r#"{"a":"1.50","b":{"c":[{"d":"0.00100000"},{}]},"e":"1.2.3"}"#;
        for seed in 1..20 {
            let random = &mut Random::new(seed, 0);
            let count = |text: &str| text.matches(':').count();
            assert!(count(&Drift::Missing.apply(text, random)) < count(text));
            assert!(Drift::Null.apply(text, random).contains(":null"));
            let numbers = Drift::Number.apply(text, random);
            let value: Value = serde_json::from_str(&numbers).unwrap();
            assert!(["1.50000", "150e-2"].contains(&value["a"].as_str().unwrap()), "{numbers}");
            assert_eq!(value["e"], "1.2.3");
        }
        assert_eq!(Drift::Missing.apply("no JSON", &mut Random::new(1, 0)), "no JSON");
    }

    #[test]
    fn one_word_is_new() {
        let text = r#"{"e":"trade","s":"NEW","t":"LIMIT_MAKER","n":"1.5"}"#;
        let drifted = with_word(text, &mut Random::new(1, 0));
        assert_eq!(drifted.matches(WORD).count(), 1, "{drifted}");
        assert_eq!(with_word("{}", &mut Random::new(1, 0)), "{}");
    }
}
