//! Keys and signatures.

use std::fmt;

use ring::hmac;
use ring::rand::SystemRandom;
use ring::signature::{Ed25519KeyPair, RSA_PKCS1_SHA256, RsaKeyPair};
use serde::Serialize;
use smol_str::SmolStr;

use crate::error::{Cause, Effect, Error};
use crate::secret::{Credentials, Secret};

/// A kind of signing key.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize)]
#[serde(rename_all = "snake_case")]
pub enum KeyKind {
    /// A shared secret text, for HMAC-SHA256.
    HmacSha256,
    /// An Ed25519 private key, PKCS#8 in PEM.
    Ed25519,
    /// An RSA private key, PKCS#8 in PEM, for PKCS#1 v1.5 signatures with SHA-256.
    Rsa,
}

enum Signer {
    HmacSha256(hmac::Key),
    Ed25519(Ed25519KeyPair),
    Rsa(Box<RsaKeyPair>),
}

/// The bytes of a signature.
#[derive(Clone, PartialEq, Eq)]
pub struct Signature {
    /// The kind of key that made it.
    pub kind: KeyKind,
    /// The signature.
    pub bytes: Vec<u8>,
}

impl Signature {
    /// In lower-case hexadecimal.
    #[must_use]
    pub fn hex(&self) -> String {
        const DIGITS: &[u8; 16] = b"0123456789abcdef";
        let digit = |value: u8| char::from(DIGITS.get(usize::from(value)).copied().unwrap_or(b'0'));
        let mut text = String::with_capacity(self.bytes.len() * 2);
        for byte in &self.bytes {
            text.push(digit(byte >> 4));
            text.push(digit(byte & 15));
        }
        text
    }

    /// In base64 with padding.
    #[must_use]
    pub fn base64(&self) -> String {
        base64::Engine::encode(&base64::engine::general_purpose::STANDARD, &self.bytes)
    }
}

/// Credentials whose key has been checked and made ready to sign.
pub struct Keyring {
    key: SmolStr,
    passphrase: Option<Secret>,
    signer: Signer,
}

impl fmt::Debug for Keyring {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Keyring").field("kind", &self.kind()).finish_non_exhaustive()
    }
}

impl Keyring {
    /// Checks the credentials' form and prepares the key. A secret that starts like a PEM file is a private key, any
    /// other is an HMAC secret.
    ///
    /// # Errors
    /// [`Cause::Credentials`], nothing sent: a part is empty or has stray white space, or the key is not of a kind in
    /// `kinds`. Texts never quote the secret.
    pub fn new(credentials: &Credentials, kinds: &[KeyKind]) -> Result<Self, Error> {
        let refuse = |field: &str, why: &str| {
            Err(Error::new(Cause::Credentials, Effect::NotSent, "credentials", why).about(field))
        };
        let key = &credentials.key;
        if key.is_empty() {
            return refuse("API key", "is empty");
        }
        if key.chars().any(|c| c.is_whitespace() || c.is_control()) {
            return refuse("API key", "contains white space");
        }
        let secret = credentials.secret.expose();
        if secret.trim().is_empty() {
            return refuse("secret", "is empty");
        }
        let signer = if secret.trim_start().starts_with("-----BEGIN") {
            let Some(der) = pem_to_der(secret) else {
                return refuse("secret", "is not a readable PKCS#8 private key in PEM");
            };
            if let Ok(pair) = Ed25519KeyPair::from_pkcs8_maybe_unchecked(&der) {
                Signer::Ed25519(pair)
            } else if let Ok(pair) = RsaKeyPair::from_pkcs8(&der) {
                Signer::Rsa(Box::new(pair))
            } else {
                return refuse(
                    "secret",
                    "is a PEM file, but neither an Ed25519 nor an RSA private key in PKCS#8",
                );
            }
        } else {
            if secret.chars().any(|c| c.is_whitespace() || c.is_control()) {
                return refuse("secret", "contains white space");
            }
            Signer::HmacSha256(hmac::Key::new(hmac::HMAC_SHA256, secret.as_bytes()))
        };
        let keyring = Self { key: SmolStr::new(key), passphrase: credentials.passphrase.clone(), signer };
        if !kinds.contains(&keyring.kind()) {
            return refuse(
                "secret",
                &format!("is of kind {:?}, which this venue does not take", keyring.kind()),
            );
        }
        Ok(keyring)
    }

    /// The public part.
    #[must_use]
    pub const fn key(&self) -> &SmolStr {
        &self.key
    }

    /// The third part, where there is one.
    #[must_use]
    pub const fn passphrase(&self) -> Option<&Secret> {
        self.passphrase.as_ref()
    }

    /// The kind of key.
    #[must_use]
    pub const fn kind(&self) -> KeyKind {
        match self.signer {
            Signer::HmacSha256(_) => KeyKind::HmacSha256,
            Signer::Ed25519(_) => KeyKind::Ed25519,
            Signer::Rsa(_) => KeyKind::Rsa,
        }
    }

    /// Signs `payload`.
    ///
    /// # Errors
    /// Only if the cryptographic library refuses the key.
    pub fn sign(&self, payload: &[u8]) -> Result<Signature, Error> {
        let bytes = match &self.signer {
            Signer::HmacSha256(key) => hmac::sign(key, payload).as_ref().to_vec(),
            Signer::Ed25519(pair) => pair.sign(payload).as_ref().to_vec(),
            Signer::Rsa(pair) => {
                let mut bytes = vec![0; pair.public().modulus_len()];
                pair.sign(&RSA_PKCS1_SHA256, &SystemRandom::new(), payload, &mut bytes).map_err(|_| {
                    Error::new(Cause::Credentials, Effect::NotSent, "sign", "the RSA key cannot sign")
                })?;
                bytes
            }
        };
        Ok(Signature { kind: self.kind(), bytes })
    }
}

fn pem_to_der(pem: &str) -> Option<zeroize::Zeroizing<Vec<u8>>> {
    let inner: zeroize::Zeroizing<String> =
        pem.lines().map(str::trim).filter(|line| !line.starts_with("-----")).collect::<String>().into();
    base64::Engine::decode(&base64::engine::general_purpose::STANDARD, inner.as_bytes()).ok().map(Into::into)
}

#[cfg(test)]
mod tests {
    use super::*;

    const ALL: &[KeyKind] = &[KeyKind::HmacSha256, KeyKind::Ed25519, KeyKind::Rsa];

    #[test]
    fn rfc_4231_case_2() {
        let keys = Keyring::new(&Credentials::new("k", "Jefe"), ALL).unwrap();
        let signature = keys.sign(b"what do ya want for nothing?").unwrap();
        assert_eq!(signature.hex(), "5bdcc146bf60754e6a042426089575c75a003f089d2739839dec58b964ec3843");
    }

    #[test]
    fn malformed_credentials_are_told_without_the_secret() {
        for (key, secret) in
            [("", "s"), ("k k", "s"), ("k", ""), ("k", "hu sh"), ("k", "-----BEGIN PRIVATE KEY-----\nhush\n")]
        {
            let error = Keyring::new(&Credentials::new(key, secret), ALL).unwrap_err();
            assert_eq!((error.cause, error.effect), (Cause::Credentials, Effect::NotSent));
            assert!(!error.to_string().contains("hu"), "{error}");
        }
        let error = Keyring::new(&Credentials::new("k", "s"), &[KeyKind::Ed25519]).unwrap_err();
        assert!(error.to_string().contains("does not take"), "{error}");
    }
}
