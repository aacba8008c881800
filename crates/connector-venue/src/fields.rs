//! Parameters of a request as the venue reads them, decoded, beside the raw texts a signature covers.

use connector_core::wire::HttpRequest;
use serde_json::Value;
use smol_str::SmolStr;

/// Where a parameter stood.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Place {
    /// A `<name>` segment of the row's path.
    Path,
    /// The query string.
    Query,
    /// The body: a form, or the top level of a JSON object.
    Body,
}

/// One parameter.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Field {
    /// Its name, decoded.
    pub name: SmolStr,
    /// Its value, decoded. JSON numbers and booleans as they were written; arrays and objects as compact JSON.
    pub value: String,
    /// Where it stood.
    pub place: Place,
}

/// The parameters of a request, in order: path, query, body.
///
/// Shape: a parameter without `=` has an empty value; malformed percent sequences stay as they are; at most
/// [`Fields::MOST`] parameters are read.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Fields {
    all: Vec<Field>,
    raw_query: String,
    raw_body: String,
}

impl Fields {
    /// Most parameters read from one request.
    pub const MOST: usize = 1_000;

    /// Reads the query and the body of a request.
    #[must_use]
    pub fn of(request: &HttpRequest) -> Self {
        let mut fields = Self {
            all: Vec::new(),
            raw_query: request.query.clone(),
            raw_body: String::from_utf8_lossy(&request.body).into_owned(),
        };
        pairs(&request.query, Place::Query, &mut fields.all);
        match request.body.iter().find(|byte| !byte.is_ascii_whitespace()) {
            None => {}
            Some(b'{' | b'[') => {
                if let Ok(value) = serde_json::from_slice(&request.body) {
                    fields.add_json(&value);
                }
            }
            Some(_) => {
                let body = std::mem::take(&mut fields.raw_body);
                pairs(&body, Place::Body, &mut fields.all);
                fields.raw_body = body;
            }
        }
        fields.all.truncate(Self::MOST);
        fields
    }

    /// Reads the members of a JSON object, as requests over a stream carry them.
    #[must_use]
    pub fn of_json(params: &Value) -> Self {
        let mut fields = Self::default();
        fields.add_json(params);
        fields.all.truncate(Self::MOST);
        fields
    }

    /// The first value under this name.
    #[must_use]
    pub fn get(&self, name: &str) -> Option<&str> {
        self.all.iter().find(|field| field.name == name).map(|field| field.value.as_str())
    }

    /// The first value under this name in one place.
    #[must_use]
    pub fn get_in(&self, place: Place, name: &str) -> Option<&str> {
        let mut fields = self.all.iter();
        fields.find(|field| field.place == place && field.name == name).map(|field| field.value.as_str())
    }

    /// All parameters, in order.
    pub fn iter(&self) -> impl Iterator<Item = &Field> {
        self.all.iter()
    }

    /// The query string as it arrived.
    #[must_use]
    pub fn raw_query(&self) -> &str {
        &self.raw_query
    }

    /// The body as it arrived; bytes that are not UTF-8 are replaced.
    #[must_use]
    pub fn raw_body(&self) -> &str {
        &self.raw_body
    }

    /// The query string as it arrived, without the parameters of this name: what was signed where the signature itself is a
    /// parameter.
    #[must_use]
    pub fn raw_query_without(&self, name: &str) -> String {
        without(&self.raw_query, name)
    }

    /// The same for a form body.
    #[must_use]
    pub fn raw_body_without(&self, name: &str) -> String {
        without(&self.raw_body, name)
    }

    pub(crate) fn put_first(&mut self, name: &str, value: String) {
        self.all.insert(0, Field { name: SmolStr::new(name), value, place: Place::Path });
    }

    fn add_json(&mut self, value: &Value) {
        for (name, value) in value.as_object().into_iter().flatten() {
            let text = match value {
                Value::String(text) => text.clone(),
                other => other.to_string(),
            };
            self.all.push(Field { name: SmolStr::new(name), value: text, place: Place::Body });
        }
    }
}

fn pairs(text: &str, place: Place, out: &mut Vec<Field>) {
    for part in text.split('&').filter(|part| !part.is_empty()).take(Fields::MOST) {
        let (name, value) = part.split_once('=').unwrap_or((part, ""));
        out.push(Field { name: SmolStr::new(percent_decode(name)), value: percent_decode(value), place });
    }
}

fn without(text: &str, name: &str) -> String {
    let keep = |part: &&str| percent_decode(part.split_once('=').map_or(*part, |(name, _)| name)) != name;
    text.split('&').filter(keep).collect::<Vec<_>>().join("&")
}

/// Decodes `%XX` and `+`. A malformed sequence stays as it is; bytes that are not UTF-8 are replaced.
#[must_use]
pub fn percent_decode(text: &str) -> String {
    if !text.contains(['%', '+']) {
        return text.to_owned();
    }
    let mut out = Vec::with_capacity(text.len());
    let mut rest = text.as_bytes();
    while let Some((&byte, tail)) = rest.split_first() {
        rest = tail;
        match (byte, tail) {
            (b'%', [high, low, after @ ..]) => match (hex_digit(*high), hex_digit(*low)) {
                (Some(high), Some(low)) => {
                    out.push(high * 16 + low);
                    rest = after;
                }
                _ => out.push(byte),
            },
            (b'+', _) => out.push(b' '),
            _ => out.push(byte),
        }
    }
    String::from_utf8(out).unwrap_or_else(|error| String::from_utf8_lossy(error.as_bytes()).into_owned())
}

fn hex_digit(byte: u8) -> Option<u8> {
    char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok())
}

#[cfg(test)]
mod tests {
    use bytes::Bytes;
    use connector_core::dialect::{Method, Params};
    use proptest::prelude::*;

    use super::*;

    fn request(query: &str, body: &str) -> HttpRequest {
        HttpRequest {
            method: Method::Post,
            path: "/x".into(),
            query: query.into(),
            headers: Vec::new(),
            body: Bytes::copy_from_slice(body.as_bytes()),
        }
    }

    #[test]
    fn query_comes_before_form() {
        let fields = Fields::of(&request("a=1&signature=q%2F", "a=2&b=%5B%22x%22%5D&signature=s&c"));
        assert_eq!((fields.get("a"), fields.get_in(Place::Body, "a")), (Some("1"), Some("2")));
        assert_eq!((fields.get("b"), fields.get("c"), fields.get("d")), (Some("[\"x\"]"), Some(""), None));
        assert_eq!(fields.raw_query_without("signature"), "a=1");
        assert_eq!(fields.raw_body_without("signature"), "a=2&b=%5B%22x%22%5D&c");
    }

    #[test]
    fn json_members_are_fields() {
        let fields = Fields::of(&request("", r#" {"price":"1.50","limit":5,"flag":true,"deep":{"x":1}}"#));
        assert_eq!(
            (fields.get("price"), fields.get("limit"), fields.get("flag")),
            (Some("1.50"), Some("5"), Some("true"))
        );
        assert_eq!(fields.get("deep"), Some("{\"x\":1}"));
    }

    #[test]
    fn malformed_sequences_stay() {
        assert_eq!(percent_decode("%zz%4"), "%zz%4");
        assert_eq!(percent_decode("%E2%82%AC+%41"), "€ A");
    }

    proptest! {
        #[test]
        fn reads_what_the_connector_writes(value in ".*") {
            let mut params = Params::default();
            params.push("value", &value);
            let fields = Fields::of(&request(&params.encode(), ""));
            prop_assert_eq!(fields.get("value").unwrap(), value);
        }

        #[test]
        fn never_panics(text in "[%+&=a-f0-9é]*") {
            let _ = Fields::of(&request(&text, &text));
        }
    }
}
