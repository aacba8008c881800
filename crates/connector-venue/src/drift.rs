//! A venue that has moved on: members and words that no client has heard of, in text that is otherwise right.

use crate::random::Random;

/// A member of every kind of value.
const MEMBER: &str = r#""xAddedLater":{"a":[1,null,true,"x"],"b":-1.5e3},"#;
/// A word of no enumeration.
const WORD: &str = "ADDED_LATER";

/// The text with a new member at the head of every object that has members.
pub(crate) fn with_members(text: &str) -> String {
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
pub(crate) fn with_word(text: &str, random: &mut Random) -> String {
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
    fn one_word_is_new() {
        let text = r#"{"e":"trade","s":"NEW","t":"LIMIT_MAKER","n":"1.5"}"#;
        let drifted = with_word(text, &mut Random::new(1, 0));
        assert_eq!(drifted.matches(WORD).count(), 1, "{drifted}");
        assert_eq!(with_word("{}", &mut Random::new(1, 0)), "{}");
    }
}
