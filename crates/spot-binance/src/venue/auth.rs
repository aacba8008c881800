//! Who asks, and whether it is true: D/rest-api/request-security, D/websocket-api/request-security.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_core::Decimal;
use connector_core::dialect::KeyKind;
use connector_core::number::parse_decimal;
use connector_venue::exchange::Exchange;
use connector_venue::face::{Call, Peer};
use connector_venue::fields::Fields;
use connector_venue::keys::{KeySecret, Permission};
use connector_venue::orders::AccountId;

use crate::venue::answer::Refused;
use crate::venue::params::Params;
use crate::venue::rows;

/// The permission a request needs.
pub(super) fn permission(row: &str) -> Permission {
    match row {
        "place" | "cancel" | rows::CANCEL_ALL | rows::TEST_ORDER => Permission::Trade,
        _ => Permission::Read,
    }
}

/// Authenticates a request of REST. What is signed is what arrived: the query string and the body, one after the other,
/// in their order and encoding.
///
/// # Errors
/// What is wrong with key, time or signature.
pub fn request(call: &Call<'_>, permission: Permission, exchange: &Exchange) -> Result<AccountId, Refused> {
    let key = call.request.header("x-mbx-apikey").unwrap_or_default();
    let payload = call.fields.raw_query_without("signature") + &call.fields.raw_body_without("signature");
    check_form(key)?;
    let params = Params(&call.fields);
    fresh(params, exchange)?;
    signed(key, params.required("signature")?, &payload, exchange)?;
    allowed(key, permission, call.peer, exchange)
}

/// Whose key a request of REST brings, where the key alone is asked for.
///
/// # Errors
/// What is wrong with the key.
pub fn keyed(call: &Call<'_>, permission: Permission, exchange: &Exchange) -> Result<AccountId, Refused> {
    let key = call.request.header("x-mbx-apikey").unwrap_or_default();
    check_form(key)?;
    allowed(key, permission, call.peer, exchange)
}

/// Authenticates a request of the WebSocket API that brings its own key. What is signed is all parameters but the
/// signature, in the order of their names, unencoded.
pub(super) fn message(
    fields: &Fields,
    permission: Permission,
    peer: &Peer,
    exchange: &Exchange,
) -> Result<AccountId, Refused> {
    let params = Params(fields);
    let key = params.required("apiKey")?;
    check_form(key)?;
    fresh(params, exchange)?;
    let mut parts: Vec<(&str, &str)> = fields
        .iter()
        .filter(|field| field.name != "signature")
        .map(|field| (field.name.as_str(), field.value.as_str()))
        .collect();
    parts.sort_unstable();
    let payload: Vec<String> = parts.iter().map(|(name, value)| format!("{name}={value}")).collect();
    signed(key, params.required("signature")?, &payload.join("&"), exchange)?;
    allowed(key, permission, peer, exchange)
}

/// Whether the key may do this now, signature aside.
pub(super) fn allowed(
    key: &str,
    permission: Permission,
    peer: &Peer,
    exchange: &Exchange,
) -> Result<AccountId, Refused> {
    let key = exchange.keys().check(key, permission, Some(peer.address));
    key.map(|key| key.account).map_err(|_| Refused::bad_key())
}

/// Whether the request is of now.
pub(super) fn fresh(params: Params<'_>, exchange: &Exchange) -> Result<(), Refused> {
    params.required("timestamp")?;
    let time = params.millis("timestamp")?.ok_or_else(|| Refused::missing("timestamp"))?;
    let window = match params.optional("recvWindow")? {
        None => Decimal::from(5000),
        Some(text) => {
            let window = parse_decimal(text.as_bytes()).filter(|window| !window.is_sign_negative());
            window.ok_or_else(|| Refused::illegal("recvWindow", "^([0-9]{1,5})(\\.[0-9]{1,3})?$"))?
        }
    };
    if window > Decimal::from(60_000) {
        let text = "'recvWindow' contains unexpected value. Cannot be greater than 60000.";
        return Err(Refused::new(-1102, text));
    }
    let now = exchange.now().millis();
    if time >= now + 1000 {
        return Err(Refused::new(-1021, "Timestamp for this request was 1000ms ahead of the server's time."));
    }
    if Decimal::from(now - time) > window {
        return Err(Refused::new(-1021, "Timestamp for this request is outside of the recvWindow."));
    }
    Ok(())
}

fn check_form(key: &str) -> Result<(), Refused> {
    let legal = !key.is_empty() && key.len() <= 128 && key.bytes().all(|byte| byte.is_ascii_alphanumeric());
    if legal { Ok(()) } else { Err(Refused::new(-2014, "API-key format invalid.")) }
}

fn signed(key: &str, signature: &str, payload: &str, exchange: &Exchange) -> Result<(), Refused> {
    let known = exchange.keys().get(key).ok_or_else(Refused::bad_key)?;
    if verifies(&known.secret, signature, payload) {
        Ok(())
    } else {
        Err(Refused::new(-1022, "Signature for this request is not valid."))
    }
}

/// HMAC signatures are hexadecimal in either case, the others base64.
fn verifies(secret: &KeySecret, signature: &str, payload: &str) -> bool {
    let bytes = match secret.kind() {
        KeyKind::HmacSha256 => from_hex(signature),
        KeyKind::Ed25519 | KeyKind::Rsa => STANDARD.decode(signature).ok(),
    };
    bytes.is_some_and(|bytes| secret.verify(&bytes, payload.as_bytes()))
}

fn from_hex(text: &str) -> Option<Vec<u8>> {
    let digit = |byte: u8| char::from(byte).to_digit(16).and_then(|digit| u8::try_from(digit).ok());
    let pairs = text.as_bytes().chunks(2);
    pairs
        .map(|pair| match pair {
            [high, low] => Some(digit(*high)? * 16 + digit(*low)?),
            _ => None,
        })
        .collect()
}
