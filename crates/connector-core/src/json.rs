//! JSON as dialects read it: in place, borrowing from the payload.
//!
//! Hot messages are read straight off the parser's tape ([`Json`]); the rest goes through serde ([`Json::read`]). Numbers
//! are texts, as venues write them to keep them exact.

use std::cell::Cell;

use rust_decimal::Decimal;
use serde::Deserialize;
use simd_json::{Buffers, Node, StaticNode, Tape};

use crate::dialect::DecodeError;
use crate::message::{Level, Message, Sink};
use crate::number::parse_decimal;
use crate::time::UnixNanos;

/// Longest answer that is parsed in the memory kept for frames.
const KEPT: usize = 16 * 1024;

thread_local! {
    /// Parser memory, kept so that a frame costs no allocation. Holds no data between frames.
    static SCRATCH: Cell<Option<(Buffers, Tape<'static>)>> = const { Cell::new(None) };
}

/// Parses `bytes` in place and hands the document to `read`. For frames: the parser's memory is used again.
///
/// # Errors
/// The bytes are no JSON, or `read` says so.
pub fn parse_frame<'i, R>(
    bytes: &'i mut [u8],
    read: impl FnOnce(Json<'_, 'i>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    parse_kept("frame", bytes, read)
}

fn parse_kept<'i, R>(
    what: &'static str,
    bytes: &'i mut [u8],
    read: impl FnOnce(Json<'_, 'i>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    let (mut buffers, tape) = SCRATCH.take().unwrap_or_else(|| (Buffers::default(), Tape::null()));
    let mut tape = tape.reset();
    let result = simd_json::fill_tape(bytes, &mut buffers, &mut tape)
        .map_err(|error| DecodeError::new(what, error))
        .and_then(|()| read(Json(&tape.0)));
    SCRATCH.set(Some((buffers, tape.reset())));
    result
}

/// Parses `bytes` in place and hands the document to `read`. For answers: the memory of a large one is given back.
///
/// # Errors
/// The bytes are no JSON, or `read` says so.
pub fn parse_answer<'i, R>(
    what: &'static str,
    bytes: &'i mut [u8],
    read: impl FnOnce(Json<'_, 'i>) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    if bytes.len() <= KEPT {
        return parse_kept(what, bytes, read);
    }
    let tape = simd_json::to_tape(bytes).map_err(|error| DecodeError::new(what, error))?;
    read(Json(&tape.0))
}

/// Parses an answer that is one object and hands over its members, in the payload's order, until one is refused.
///
/// # Errors
/// The bytes are no JSON object, or `take` says so.
pub fn read_members<'i>(
    what: &'static str,
    bytes: &'i mut [u8],
    mut take: impl FnMut(&'i str, Json<'_, 'i>) -> Result<(), DecodeError>,
) -> Result<(), DecodeError> {
    parse_answer(what, bytes, |json| {
        if !json.is_object() {
            return Err(DecodeError::new(what, "not an object"));
        }
        json.members().try_for_each(|(name, value)| take(name, value))
    })
}

/// Parses an answer and reads it as one structure. See [`parse_answer`].
///
/// # Errors
/// The bytes are no JSON, the structure does not fit, or `take` says so.
pub fn read_answer<'i, T: Deserialize<'i>, R>(
    what: &'static str,
    bytes: &'i mut [u8],
    take: impl FnOnce(T) -> Result<R, DecodeError>,
) -> Result<R, DecodeError> {
    parse_answer(what, bytes, |json| take(json.read(what)?))
}

/// Hands over the members of an object as they are written, in their order: each name and the text of its value, neither of
/// them unescaped. For envelopes, whose content somebody else reads.
///
/// # Errors
/// The bytes do not have the outline of one object. What is inside its values is not looked at.
pub fn raw_members<'b>(
    what: &'static str,
    bytes: &'b [u8],
    mut take: impl FnMut(&'b str, &'b [u8]),
) -> Result<(), DecodeError> {
    let mut walk = Walk { bytes, at: 0 };
    walk.object(&mut take).ok_or_else(|| DecodeError::new(what, "not an object"))
}

/// A walk over the outline of a document.
struct Walk<'b> {
    bytes: &'b [u8],
    at: usize,
}

impl<'b> Walk<'b> {
    fn object(&mut self, take: &mut impl FnMut(&'b str, &'b [u8])) -> Option<()> {
        self.expect(b'{')?;
        if self.next() == Some(b'}') {
            self.at += 1;
            return self.next().is_none().then_some(());
        }
        loop {
            let name = self.value()?.strip_prefix(b"\"")?.strip_suffix(b"\"")?;
            self.expect(b':')?;
            let value = self.value()?;
            take(std::str::from_utf8(name).ok()?, value);
            match self.next()? {
                b',' => self.at += 1,
                b'}' => {
                    self.at += 1;
                    return self.next().is_none().then_some(());
                }
                _ => return None,
            }
        }
    }

    /// The next byte that is not white space.
    fn next(&mut self) -> Option<u8> {
        while self.bytes.get(self.at)?.is_ascii_whitespace() {
            self.at += 1;
        }
        self.bytes.get(self.at).copied()
    }

    fn expect(&mut self, byte: u8) -> Option<()> {
        (self.next()? == byte).then(|| self.at += 1)
    }

    /// The text of a value, up to what must follow it.
    fn value(&mut self) -> Option<&'b [u8]> {
        self.next()?;
        let (start, mut depth) = (self.at, 0_usize);
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.string()?;
                    if depth == 0 {
                        break;
                    }
                }
                b'{' | b'[' => {
                    depth += 1;
                    self.at += 1;
                }
                b'}' | b']' if depth > 0 => {
                    depth -= 1;
                    self.at += 1;
                    if depth == 0 {
                        break;
                    }
                }
                b',' | b'}' | b']' | b':' if depth == 0 => break,
                byte if depth == 0 && byte.is_ascii_whitespace() => break,
                _ => self.at += 1,
            }
        }
        self.bytes.get(start..self.at).filter(|text| !text.is_empty())
    }

    fn string(&mut self) -> Option<()> {
        self.at += 1;
        loop {
            match self.bytes.get(self.at)? {
                b'"' => {
                    self.at += 1;
                    return Some(());
                }
                b'\\' => self.at += 2,
                _ => self.at += 1,
            }
        }
    }
}

/// Looks for an error object in a body that must stay as it is. `None` if there is none, for which `read` may be the judge.
pub fn find_error<R>(
    body: &[u8],
    read: impl FnOnce(Json<'_, '_>) -> Result<Option<R>, DecodeError>,
) -> Option<R> {
    // An error is short; a long body is an answer, and copying it would be waste.
    const LONGEST: usize = 16 * 1024;
    if body.len() > LONGEST {
        return None;
    }
    parse_answer("error", &mut body.to_vec(), read).ok().flatten()
}

/// One value of a parsed document: its node and all nodes below it. Always well-formed, as the parser made it.
#[derive(Clone, Copy, Debug)]
pub struct Json<'t, 'i>(&'t [Node<'i>]);

impl<'t, 'i> Json<'t, 'i> {
    /// The values of an array; none if it is none.
    #[inline]
    pub fn items(self) -> impl Iterator<Item = Json<'t, 'i>> {
        let mut rest = match self.0.split_first() {
            Some((Node::Array { .. }, rest)) => rest,
            _ => &[],
        };
        std::iter::from_fn(move || take_value(&mut rest))
    }

    /// The members of an object, in the payload's order; none if it is none.
    #[inline]
    pub fn members(self) -> impl Iterator<Item = (&'i str, Json<'t, 'i>)> {
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

    /// A member of an object; the first if a name occurs twice.
    #[inline]
    #[must_use]
    pub fn get(self, name: &str) -> Option<Self> {
        self.members().find(|(key, _)| *key == name).map(|(_, value)| value)
    }

    /// Whether this is an array.
    #[inline]
    #[must_use]
    pub fn is_array(self) -> bool {
        matches!(self.0.first(), Some(Node::Array { .. }))
    }

    /// Whether this is an object.
    #[inline]
    #[must_use]
    pub fn is_object(self) -> bool {
        matches!(self.0.first(), Some(Node::Object { .. }))
    }

    /// Whether this is `null`.
    #[inline]
    #[must_use]
    pub fn is_null(self) -> bool {
        matches!(self.0.first(), Some(Node::Static(StaticNode::Null)))
    }

    /// The text, if it is one.
    #[inline]
    #[must_use]
    pub fn text(self) -> Option<&'i str> {
        match self.0.first() {
            Some(Node::String(text)) => Some(text),
            _ => None,
        }
    }

    /// The integer, if it is one that fits.
    #[inline]
    #[must_use]
    pub fn int(self) -> Option<i64> {
        match self.0.first() {
            Some(Node::Static(StaticNode::I64(value))) => Some(*value),
            Some(Node::Static(StaticNode::U64(value))) => i64::try_from(*value).ok(),
            _ => None,
        }
    }

    /// The integer, if it is one that is not negative.
    #[inline]
    #[must_use]
    pub fn uint(self) -> Option<u64> {
        self.int().and_then(|value| u64::try_from(value).ok())
    }

    /// The truth value, if it is one.
    #[inline]
    #[must_use]
    pub fn bool(self) -> Option<bool> {
        match self.0.first() {
            Some(Node::Static(StaticNode::Bool(value))) => Some(*value),
            _ => None,
        }
    }

    /// The number, if it is a text that holds one.
    #[inline]
    #[must_use]
    pub fn decimal(self) -> Option<Decimal> {
        parse_decimal(self.text()?.as_bytes())
    }

    /// The number, if it is one that stands without quotes. Exact up to 15 digits: the parser makes a binary fraction of
    /// it, and its shortest text is what the venue wrote.
    #[must_use]
    pub fn number(self) -> Option<Decimal> {
        match self.0.first() {
            Some(Node::Static(StaticNode::F64(value))) => parse_decimal(value.to_string().as_bytes()),
            _ => self.int().map(Decimal::from),
        }
    }

    /// The time, if it is an integer: milliseconds since the Unix epoch.
    #[inline]
    #[must_use]
    pub fn millis(self) -> Option<UnixNanos> {
        self.int().map(UnixNanos::from_millis)
    }

    /// Appends the levels of a list of `[price, amount, …]`, all texts. `None` if it is no such list; what came before the
    /// malformed entry has been appended then.
    #[inline]
    pub fn levels(self, out: &mut Vec<Level>) -> Option<()> {
        if !self.is_array() {
            return None;
        }
        for entry in self.items() {
            let mut numbers = entry.items();
            let (price, amount) = (numbers.next()?.decimal()?, numbers.next()?.decimal()?);
            out.push(Level { price, amount });
        }
        Some(())
    }

    /// Reads a structure, by copying its nodes: for messages that are not hot.
    ///
    /// # Errors
    /// The structure does not fit; named `what`.
    pub fn read<T: Deserialize<'i>>(self, what: &'static str) -> Result<T, DecodeError> {
        Tape(self.0.to_vec()).deserialize().map_err(|error| DecodeError::new(what, error))
    }
}

#[inline]
fn take_value<'t, 'i>(rest: &mut &'t [Node<'i>]) -> Option<Json<'t, 'i>> {
    let count = match rest.first()? {
        Node::Object { count, .. } | Node::Array { count, .. } => count + 1,
        Node::String(_) | Node::Static(_) => 1,
    };
    let (value, behind) = rest.split_at_checked(count)?;
    *rest = behind;
    Some(Json(value))
}

/// The list an answer of kind `what` must hold.
///
/// # Errors
/// It is missing or no list.
pub fn required_list<'t, 'i>(
    list: Option<Json<'t, 'i>>,
    what: &'static str,
) -> Result<Json<'t, 'i>, DecodeError> {
    list.filter(|list| list.is_array()).ok_or_else(|| DecodeError::new(what, "the list is missing"))
}

/// Parses an answer that is a list, or has one as its member `within`, reads each entry as a structure and emits what `take` makes
/// of it, as [`each`] does.
///
/// # Errors
/// The bytes are no JSON, or there is no list.
pub fn read_list<'i, T: Deserialize<'i>, M: IntoIterator<Item = Message>>(
    (what, within, key): (&'static str, Option<&str>, &str),
    bytes: &'i mut [u8],
    out: &mut dyn Sink,
    take: impl FnMut(T) -> Result<M, DecodeError>,
) -> Result<(), DecodeError> {
    parse_answer(what, bytes, |json| {
        let list = within.map_or(Some(json), |name| json.get(name));
        entries(required_list(list, what)?, (what, key), out, take);
        Ok(())
    })
}

/// Reads each entry of a list as a structure and emits what `take` makes of it, as [`each`] does.
pub fn entries<'t, 'i: 't, T: Deserialize<'i>, M: IntoIterator<Item = Message>>(
    list: Json<'t, 'i>,
    (what, key): (&'static str, &str),
    out: &mut dyn Sink,
    mut take: impl FnMut(T) -> Result<M, DecodeError>,
) {
    each(list, key, out, |entry| entry.read(what).and_then(&mut take));
}

/// Emits what `take` makes of each entry of a list. An entry that cannot be read is told as [`Message::Skipped`], with the text of
/// its member `key`, and the rest is kept: one odd entry must not hide the others.
pub fn each<'t, 'i: 't, M: IntoIterator<Item = Message>>(
    list: Json<'t, 'i>,
    key: &str,
    out: &mut dyn Sink,
    mut take: impl FnMut(Json<'t, 'i>) -> Result<M, DecodeError>,
) {
    for entry in list.items() {
        match take(entry) {
            Ok(messages) => messages.into_iter().for_each(|message| out.message(message)),
            Err(error) => {
                let error = match entry.get(key).and_then(Json::text) {
                    Some(name) => format!("{error} ({name})"),
                    None => error.to_string(),
                };
                out.message(Message::Skipped { error });
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    const TEXT: &str = r#"{"s":"A","n":-7,"big":18446744073709551615,"yes":true,"list":[1,[2,{"x":3}],"4"],"p":"1.50","z":null}"#;

    fn parsed<R>(text: &str, read: impl FnOnce(Json<'_, '_>) -> R) -> R {
        parse_frame(&mut text.as_bytes().to_vec(), |json| Ok(read(json))).unwrap()
    }

    #[test]
    fn values_are_what_they_are() {
        parsed(TEXT, |json| {
            let get = |name| json.get(name).unwrap();
            assert!(json.is_object() && !json.is_array() && json.get("none").is_none());
            assert_eq!((get("s").text(), get("s").int(), get("s").decimal()), (Some("A"), None, None));
            assert_eq!((get("n").int(), get("n").uint(), get("n").text()), (Some(-7), None, None));
            assert_eq!((get("big").int(), get("big").uint()), (None, None));
            assert_eq!((get("yes").bool(), get("z").bool()), (Some(true), None));
            assert_eq!(get("p").decimal(), Some(Decimal::new(150, 2)));
            assert_eq!(get("n").millis(), Some(UnixNanos(-7_000_000)));
            // Nested values are skipped as a whole.
            let items: Vec<_> = get("list").items().map(|item| (item.is_array(), item.text())).collect();
            assert_eq!(items, [(false, None), (true, None), (false, Some("4"))]);
            assert_eq!((json.items().count(), get("list").members().count()), (0, 0));
            assert_eq!(json.members().map(|(name, _)| name).last(), Some("z"));
        });
    }

    fn raw(text: &str) -> Option<Vec<(String, String)>> {
        let mut all = Vec::new();
        let take = |name: &str, value: &[u8]| {
            all.push((name.to_owned(), String::from_utf8(value.to_vec()).unwrap()));
        };
        raw_members("test", text.as_bytes(), take).ok().map(|()| all)
    }

    #[test]
    fn raw_members_are_as_written() {
        let pairs = |expected: &[(&str, &str)]| {
            Some(expected.iter().map(|(name, value)| ((*name).to_owned(), (*value).to_owned())).collect())
        };
        assert_eq!(raw("{}"), pairs(&[]));
        assert_eq!(raw(" { } "), pairs(&[]));
        let text = r#" {"id" : 7 ,"a":{"b":[1,"}\"",{}]},"c":"x\\\"]y","d":null,"e":[] }"#;
        let expected =
            [("id", "7"), ("a", r#"{"b":[1,"}\"",{}]}"#), ("c", r#""x\\\"]y""#), ("d", "null"), ("e", "[]")];
        assert_eq!(raw(text), pairs(&expected));
        for wrong in [
            "",
            "[]",
            "7",
            "{",
            r#"{"a"}"#,
            r#"{"a":}"#,
            r#"{"a":1"#,
            r#"{"a":1}x"#,
            r#"{"a":1 2}"#,
            r#"{a:1}"#,
        ] {
            assert_eq!(raw(wrong), None, "{wrong}");
        }
    }

    proptest! {
        /// Of any object another parser writes, the same members in the same order come back, each value meaning the same;
        /// and of any bytes there is an answer without a panic.
        #[test]
        fn raw_members_agree_with_another_parser(
            members in proptest::collection::btree_map("[a-z]{1,8}", "\\PC{0,20}", 0..8),
            nested in proptest::bool::ANY,
            noise in proptest::collection::vec(proptest::num::u8::ANY, 0..64),
        ) {
            let value = |text: &String| {
                let text = serde_json::Value::from(text.as_str());
                if nested { serde_json::json!([{ "v": text }, 1]) } else { text }
            };
            let object: serde_json::Map<_, _> =
                members.iter().map(|(name, text)| (name.clone(), value(text))).collect();
            let text = serde_json::to_string(&object).unwrap();
            let read = raw(&text).unwrap();
            prop_assert_eq!(read.len(), object.len());
            for (name, raw) in read {
                prop_assert_eq!(&serde_json::from_str::<serde_json::Value>(&raw).unwrap(), &object[&name]);
            }
            let _ = raw_members("test", &noise, |_, _| {});
        }
    }

    #[test]
    fn levels_are_all_or_an_error() {
        let read = |text: &str| {
            let mut levels = Vec::new();
            parsed(text, |json| json.levels(&mut levels)).map(|()| levels)
        };
        let level = Level { price: Decimal::new(15, 1), amount: Decimal::from(2) };
        assert_eq!(read(r#"[["1.5","2"],["1.5","2","extra"]]"#), Some(vec![level, level]));
        assert_eq!(read("[]"), Some(vec![]));
        for wrong in ["{}", "null", r#"[["1.5"]]"#, r#"[["1.5",2]]"#, r#"[["1.5","x"]]"#, r#"["1.5","2"]"#] {
            assert_eq!(read(wrong), None, "{wrong}");
        }
    }

    #[test]
    fn odd_entries_are_told_and_the_rest_kept() {
        let mut text =
            br#"[{"name":"A","id":1},{"name":"B"},7,{"name":"C","id":3},{"name":"D","id":-1}]"#.to_vec();
        #[derive(serde::Deserialize)]
        struct Entry<'a> {
            name: &'a str,
            id: i64,
        }
        let mut out: Vec<Message> = Vec::new();
        parse_answer("list", &mut text, |json| {
            let list = required_list(Some(json), "list")?;
            entries(list, ("entry", "name"), &mut out, |entry: Entry<'_>| {
                assert!(matches!(entry.name, "A" | "C" | "D"));
                match entry.id {
                    -1 => Err(DecodeError::new("entry", "negative")),
                    id => Ok([Message::ServerTime { time: UnixNanos(id) }]),
                }
            });
            Ok(())
        })
        .unwrap();
        let told: Vec<_> = out
            .iter()
            .map(|message| match message {
                Message::ServerTime { time } => time.0.to_string(),
                Message::Skipped { error } => error.clone(),
                other => panic!("{other:?}"),
            })
            .collect();
        assert_eq!(told.len(), 5);
        assert_eq!((told[0].as_str(), told[3].as_str()), ("1", "3"));
        assert!(told[1].ends_with("(B)"), "{}", told[1]);
        assert!(told[2].starts_with("entry: ") && !told[2].ends_with(')'), "{}", told[2]);
        assert_eq!(told[4], "entry: negative (D)");
    }

    #[test]
    fn a_list_that_is_none_is_an_error() {
        parsed("{}", |json| {
            assert!(required_list(Some(json), "x").is_err() && required_list(None, "x").is_err());
        });
    }

    #[test]
    fn errors_are_looked_for_in_short_bodies_only() {
        let code = |body: &str| find_error(body.as_bytes(), |json| Ok(json.get("code").and_then(Json::int)));
        assert_eq!(code(r#"{"code":-1}"#), Some(-1));
        assert_eq!(code("{}"), None);
        assert_eq!(code("<html>"), None);
        let pad = " ".repeat(16 * 1024 - 11);
        assert_eq!(code(&format!("{{\"code\":-1{pad}}}")), Some(-1));
        assert_eq!(code(&format!("{{\"code\":-1{pad} }}")), None);
    }

    #[test]
    fn a_broken_frame_leaves_no_traces() {
        assert!(parse_frame(&mut br#"{"a":[1,2"#.to_vec(), |_| Ok(())).is_err());
        assert!(
            parse_frame(&mut b"{\"a\":1}".to_vec(), |_| Err::<(), _>(DecodeError::new("x", "y"))).is_err()
        );
        parsed(r#"{"b":2}"#, |json| assert_eq!(json.members().count(), 1));
    }

    proptest! {
        /// The tape says what a second, independent parser says, whatever the nesting.
        #[test]
        fn agrees_with_serde_json(depths in prop::collection::vec(0_usize..4, 0..20), number in any::<i64>()) {
            let items: Vec<String> = depths
                .iter()
                .map(|depth| format!("{}{number}{}", "[".repeat(*depth), "]".repeat(*depth)))
                .collect();
            let text = format!("{{\"list\":[{}],\"end\":{number}}}", items.join(","));
            let value: serde_json::Value = serde_json::from_str(&text).unwrap();
            parsed(&text, |json| {
                assert_eq!(json.get("end").and_then(Json::int), value["end"].as_i64());
                let list: Vec<Option<i64>> = json.get("list").unwrap().items().map(Json::int).collect();
                let known: Vec<Option<i64>> =
                    value["list"].as_array().unwrap().iter().map(serde_json::Value::as_i64).collect();
                assert_eq!(list, known);
            });
        }

        #[test]
        fn numbers_without_quotes_are_exact(mantissa in -999_999_999_999_999_i64..=999_999_999_999_999, scale in 0_u32..18) {
            let number = Decimal::new(mantissa, scale);
            let read = parsed(&format!("[{number}]"), |json| json.items().next().and_then(Json::number));
            prop_assert_eq!(read, Some(number));
        }

        #[test]
        fn no_bytes_panic(mut bytes in prop::collection::vec(any::<u8>(), 0..200)) {
            let _ = parse_frame(&mut bytes, |json| Ok((json.items().count(), json.members().count())));
        }
    }
}
