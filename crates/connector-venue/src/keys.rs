//! API keys: what they may do, from where, and whether a signature is theirs.

use std::collections::BTreeMap;
use std::net::IpAddr;

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use connector_core::Secret;
use connector_core::dialect::KeyKind;
use ring::{hmac, signature};
use smol_str::SmolStr;

use crate::orders::AccountId;

/// Whether a key can be used.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub enum KeyState {
    /// Usable.
    #[default]
    Active,
    /// Its time has run out.
    Expired,
    /// Its owner has withdrawn it.
    Revoked,
}

/// Something a key can be allowed to do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Permission {
    /// Look at the account.
    Read,
    /// Place and cancel orders.
    Trade,
}

/// What the exchange checks signatures against.
#[derive(Clone, Debug)]
#[non_exhaustive]
pub enum KeySecret {
    /// The shared secret.
    HmacSha256(Secret),
    /// An Ed25519 public key: 32 bytes.
    Ed25519(Vec<u8>),
    /// An RSA public key: PKCS#1 `RSAPublicKey`, DER.
    Rsa(Vec<u8>),
}

impl KeySecret {
    /// Reads a public key in PEM (`SubjectPublicKeyInfo`, or PKCS#1 for RSA). `None` if it is neither Ed25519 nor RSA.
    #[must_use]
    pub fn from_public_pem(pem: &str) -> Option<Self> {
        let text: String = pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect();
        let der = STANDARD.decode(text).ok()?;
        Self::from_public_der(&der)
    }

    /// The same from DER.
    #[must_use]
    pub fn from_public_der(der: &[u8]) -> Option<Self> {
        const ED25519: &[u8] = &[0x2b, 0x65, 0x70];
        const RSA: &[u8] = &[0x2a, 0x86, 0x48, 0x86, 0xf7, 0x0d, 0x01, 0x01, 0x01];
        let (0x30, outer, _) = element(der)? else { return None };
        let (tag, first, rest) = element(outer)?;
        if tag == 0x02 {
            // Two integers: this is the bare RSA key.
            return Some(Self::Rsa(der.to_vec()));
        }
        let (0x06, algorithm, _) = element(first)? else { return None };
        let (0x03, bits, _) = element(rest)? else { return None };
        // The first byte counts unused bits, of which a key has none.
        let (0, key) = bits.split_first().map(|(unused, key)| (*unused, key))? else { return None };
        match algorithm {
            ED25519 if key.len() == 32 => Some(Self::Ed25519(key.to_vec())),
            RSA => Some(Self::Rsa(key.to_vec())),
            _ => None,
        }
    }

    /// The kind of key.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match self {
            Self::HmacSha256(_) => KeyKind::HmacSha256,
            Self::Ed25519(_) => KeyKind::Ed25519,
            Self::Rsa(_) => KeyKind::Rsa,
        }
    }

    /// Whether `signature` (raw bytes, not text) is this key's over `payload`.
    #[must_use]
    pub fn verify(&self, signature: &[u8], payload: &[u8]) -> bool {
        let public = |algorithm: &'static dyn signature::VerificationAlgorithm, key: &[u8]| {
            signature::UnparsedPublicKey::new(algorithm, key).verify(payload, signature).is_ok()
        };
        match self {
            Self::HmacSha256(secret) => {
                let key = hmac::Key::new(hmac::HMAC_SHA256, secret.expose().as_bytes());
                hmac::verify(&key, payload, signature).is_ok()
            }
            Self::Ed25519(key) => public(&signature::ED25519, key),
            Self::Rsa(key) => public(&signature::RSA_PKCS1_2048_8192_SHA256, key),
        }
    }
}

/// Splits the first DER element off: tag, content, rest.
fn element(der: &[u8]) -> Option<(u8, &[u8], &[u8])> {
    let (&tag, rest) = der.split_first()?;
    let (&first, rest) = rest.split_first()?;
    let (length, rest) = if first < 0x80 {
        (usize::from(first), rest)
    } else {
        let count = usize::from(first & 0x7f);
        if count == 0 || count > 4 {
            return None;
        }
        let (bytes, rest) = rest.split_at_checked(count)?;
        (bytes.iter().fold(0_usize, |sum, byte| (sum << 8) | usize::from(*byte)), rest)
    };
    let (content, rest) = rest.split_at_checked(length)?;
    Some((tag, content, rest))
}

/// An API key.
#[derive(Clone, Debug)]
pub struct ApiKey {
    /// The public part.
    pub key: SmolStr,
    /// Whose it is.
    pub account: AccountId,
    /// What signatures are checked against.
    pub secret: KeySecret,
    /// A third part, for venues that have one.
    pub passphrase: Option<Secret>,
    /// Whether it can be used.
    pub state: KeyState,
    /// May look at the account.
    pub may_read: bool,
    /// May place and cancel orders.
    pub may_trade: bool,
    /// Addresses it may be used from; empty = from everywhere.
    pub addresses: Vec<IpAddr>,
}

impl ApiKey {
    /// An active key that may read and trade from everywhere.
    #[must_use]
    pub fn new(key: impl AsRef<str>, account: AccountId, secret: KeySecret) -> Self {
        Self {
            key: SmolStr::new(key),
            account,
            secret,
            passphrase: None,
            state: KeyState::Active,
            may_read: true,
            may_trade: true,
            addresses: Vec::new(),
        }
    }

    /// An active HMAC key that may read and trade from everywhere.
    #[must_use]
    pub fn hmac(key: impl AsRef<str>, account: AccountId, secret: impl Into<String>) -> Self {
        Self::new(key, account, KeySecret::HmacSha256(Secret::new(secret)))
    }
}

/// Why a key was refused.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
#[non_exhaustive]
pub enum KeyRefusal {
    /// No such key.
    #[error("unknown key")]
    Unknown,
    /// Its time has run out.
    #[error("the key has expired")]
    Expired,
    /// It was withdrawn.
    #[error("the key was revoked")]
    Revoked,
    /// Not allowed from this address.
    #[error("the key may not be used from this address")]
    Address,
    /// It lacks the permission.
    #[error("the key lacks the permission")]
    Permission,
}

/// All keys of an exchange.
#[derive(Clone, Debug, Default)]
pub struct Keys {
    keys: BTreeMap<SmolStr, ApiKey>,
}

impl Keys {
    /// Adds a key; one with the same public part is replaced.
    pub fn insert(&mut self, key: ApiKey) {
        self.keys.insert(key.key.clone(), key);
    }

    /// Deletes a key.
    pub fn remove(&mut self, key: &str) -> Option<ApiKey> {
        self.keys.remove(key)
    }

    /// The key, whatever its state.
    #[must_use]
    pub fn get(&self, key: &str) -> Option<&ApiKey> {
        self.keys.get(key)
    }

    /// The key, to change its state or permissions.
    pub fn get_mut(&mut self, key: &str) -> Option<&mut ApiKey> {
        self.keys.get_mut(key)
    }

    /// All keys, by public part.
    pub fn iter(&self) -> impl Iterator<Item = &ApiKey> {
        self.keys.values()
    }

    /// The key, if it may be used for `permission` from `address` (not checked if absent). Signatures are checked
    /// separately, by [`KeySecret::verify`], because what is signed is a venue's own affair.
    ///
    /// # Errors
    /// The first reason against it, in the order of [`KeyRefusal`]'s variants.
    pub fn check(
        &self,
        key: &str,
        permission: Permission,
        address: Option<IpAddr>,
    ) -> Result<&ApiKey, KeyRefusal> {
        let key = self.keys.get(key).ok_or(KeyRefusal::Unknown)?;
        match key.state {
            KeyState::Active => {}
            KeyState::Expired => return Err(KeyRefusal::Expired),
            KeyState::Revoked => return Err(KeyRefusal::Revoked),
        }
        if address.is_some_and(|address| !key.addresses.is_empty() && !key.addresses.contains(&address)) {
            return Err(KeyRefusal::Address);
        }
        let allowed = match permission {
            Permission::Read => key.may_read,
            Permission::Trade => key.may_trade,
        };
        if allowed { Ok(key) } else { Err(KeyRefusal::Permission) }
    }
}

#[cfg(test)]
mod tests {
    use ring::signature::{Ed25519KeyPair, KeyPair};

    use super::*;

    const ME: AccountId = AccountId(1);

    #[test]
    fn hmac_rfc_4231_case_2() {
        let secret = KeySecret::HmacSha256(Secret::new("Jefe"));
        let signature = [
            0x5b, 0xdc, 0xc1, 0x46, 0xbf, 0x60, 0x75, 0x4e, 0x6a, 0x04, 0x24, 0x26, 0x08, 0x95, 0x75, 0xc7,
            0x5a, 0x00, 0x3f, 0x08, 0x9d, 0x27, 0x39, 0x83, 0x9d, 0xec, 0x58, 0xb9, 0x64, 0xec, 0x38, 0x43,
        ];
        assert!(secret.verify(&signature, b"what do ya want for nothing?"));
        assert!(!secret.verify(&signature, b"what do ya want for nothing!"));
        assert!(!secret.verify(&signature[..31], b"what do ya want for nothing?"));
    }

    #[test]
    fn ed25519_from_der_and_pem() {
        let pair = Ed25519KeyPair::from_seed_unchecked(&[7; 32]).unwrap();
        let mut der = vec![0x30, 0x2a, 0x30, 0x05, 0x06, 0x03, 0x2b, 0x65, 0x70, 0x03, 0x21, 0x00];
        der.extend_from_slice(pair.public_key().as_ref());
        let pem = format!(
            "-----BEGIN PUBLIC KEY-----\n{}\n-----END PUBLIC KEY-----\n",
            base64::engine::general_purpose::STANDARD.encode(&der)
        );
        let secret = KeySecret::from_public_pem(&pem).unwrap();
        assert_eq!(secret.kind(), KeyKind::Ed25519);
        assert!(secret.verify(pair.sign(b"payload").as_ref(), b"payload"));
        assert!(!secret.verify(pair.sign(b"payload").as_ref(), b"other"));
        assert!(KeySecret::from_public_der(&der[..20]).is_none());
    }

    /// Key and signature made by `openssl genpkey`, `pkey -pubout` and `dgst -sha256 -sign`.
    #[test]
    fn rsa_as_openssl_signs() {
        let pem = "-----BEGIN PUBLIC KEY-----\n\
MIIBIjANBgkqhkiG9w0BAQEFAAOCAQ8AMIIBCgKCAQEAyXVKmu9NagrP6LGthidq\n\
orTKCo5mDdTtEllJBCGIbflBE90paNxvVhkYmfEqmOUBdn1Xf0brKRLzihH8sJ90\n\
SSvRJR0va36sCCgsnURXAsmtWa8HYMd6H8S365HKf4ZHHDIoEtOzJs5Uh9Gpr15d\n\
N5pLd/oqYB79yG66wfSCVT/RiHAxXKffcxe/At/UJMwhq0eU9yKkxZi4VzyBbB+f\n\
/yfUzoPBUoL3xf0z3mCWKCnoWRsiOGqSjInEscZH/X++07mqb3HBRNpc6sQ078b7\n\
r0KvTpeSJCyXpahzH6oyXiT733X9t90iTstzBjwyUl2qc+rwfP3RjvPiASnFnScI\n\
UwIDAQAB\n\
-----END PUBLIC KEY-----\n";
        let signature = concat!(
            "cfBXkIGw7njGfoutfaIssGtBaJ4JkjFjsZlDvDFuQMQXmY1gC9JEFc62ZgTKy48zd0PMJlyoUHBuKe2yD9v2D53t5i",
            "unkkdSww/oZS/vwnzHP2rrAnBklPG9rLKH3Jc882idYp3ya0wROvKZVZuOL8sLm1nafTcN3rfc3+664wLzwh8UvgEk",
            "XqPv5ApOQZwSCW24lfAHmMsYLOdKak1AukyDFKybKaAdpXBxrcFvxXrDc9jLYOjSfs2QuAT/nT+MCizO+FZSNX5NWj",
            "GYtrg2quuzAtaD9AdOEnCSqu8Y4DCD89odhBt2BOWmWkZU9wB/Vkdp3oZJfPsdOWTvOWP8Xg=="
        );
        let signature = STANDARD.decode(signature).unwrap();
        let secret = KeySecret::from_public_pem(pem).unwrap();
        assert_eq!(secret.kind(), KeyKind::Rsa);
        assert!(secret.verify(&signature, b"symbol=X&timestamp=1"));
        assert!(!secret.verify(&signature, b"symbol=X&timestamp=2"));
        // The bare form holds the same key.
        let KeySecret::Rsa(bare) = &secret else { panic!() };
        let again = KeySecret::from_public_der(bare).unwrap();
        assert!(again.verify(&signature, b"symbol=X&timestamp=1"));
    }

    #[test]
    fn states_permissions_and_addresses_refuse() {
        let mut keys = Keys::default();
        keys.insert(ApiKey::hmac("k", ME, "s"));
        let home: IpAddr = "127.0.0.1".parse().unwrap();
        let check = |keys: &Keys, permission| keys.check("k", permission, Some(home)).map(|key| key.account);
        assert_eq!(keys.check("x", Permission::Read, None).unwrap_err(), KeyRefusal::Unknown);
        assert_eq!(check(&keys, Permission::Trade), Ok(ME));
        keys.get_mut("k").unwrap().may_trade = false;
        assert_eq!(check(&keys, Permission::Trade), Err(KeyRefusal::Permission));
        assert_eq!(check(&keys, Permission::Read), Ok(ME));
        keys.get_mut("k").unwrap().addresses.push("10.0.0.1".parse().unwrap());
        assert_eq!(check(&keys, Permission::Read), Err(KeyRefusal::Address));
        assert_eq!(keys.check("k", Permission::Read, None).map(|key| key.account), Ok(ME));
        keys.get_mut("k").unwrap().state = KeyState::Expired;
        assert_eq!(check(&keys, Permission::Read), Err(KeyRefusal::Expired));
        keys.get_mut("k").unwrap().state = KeyState::Revoked;
        assert_eq!(check(&keys, Permission::Read), Err(KeyRefusal::Revoked));
    }
}
