//! Secrets and credentials that cannot be printed.

use std::fmt;

use zeroize::Zeroizing;

/// A text that is wiped from memory when dropped and never shown by `Debug`.
#[derive(Clone)]
pub struct Secret(Zeroizing<String>);

impl Secret {
    /// Takes `text` into custody.
    #[must_use]
    pub fn new(text: impl Into<String>) -> Self {
        Self(Zeroizing::new(text.into()))
    }

    /// The secret itself. Call this only to sign or to encrypt, never to show.
    #[must_use]
    pub fn expose(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for Secret {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Secret(..)")
    }
}

/// What an account holder presents to a venue. Which parts a venue needs is declared in its [`Spec`](crate::dialect::Spec).
#[derive(Clone, Debug)]
pub struct Credentials {
    /// The public part: an API key, or a wallet address.
    pub key: String,
    /// The private part: an HMAC secret, or a private key (PEM or hex as the venue has it).
    pub secret: Secret,
    /// A third part some venues ask for.
    pub passphrase: Option<Secret>,
}

impl Credentials {
    /// Credentials of a key and its secret.
    #[must_use]
    pub fn new(key: impl Into<String>, secret: impl Into<String>) -> Self {
        Self { key: key.into(), secret: Secret::new(secret), passphrase: None }
    }

    /// Adds the passphrase.
    #[must_use]
    pub fn with_passphrase(mut self, passphrase: impl Into<String>) -> Self {
        self.passphrase = Some(Secret::new(passphrase));
        self
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn debug_shows_nothing() {
        let shown = format!("{:?}", Credentials::new("key", "hush").with_passphrase("quiet"));
        assert!(!shown.contains("hush") && !shown.contains("quiet"), "{shown}");
    }
}
