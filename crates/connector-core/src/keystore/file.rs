//! The format of a key file, version 1: JSON whose binary fields are base64.
//!
//! `sealed` is the encrypted credentials; `check` is derived from the passphrase beside the cipher's key and only tells
//! whether the passphrase is right; `sum` is a plain SHA-256 of everything else and only tells damage.

use argon2::{Algorithm, Argon2, Params};
use base64::Engine;
use base64::engine::general_purpose::STANDARD;
use ring::aead::{Aad, CHACHA20_POLY1305, LessSafeKey, Nonce, UnboundKey};
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};
use zeroize::Zeroizing;

use super::{Effort, KeystoreError};
use crate::secret::{Credentials, Secret};

const FORMAT: &str = "connector-keys";
const VERSION: u32 = 1;

#[derive(Serialize, Deserialize)]
pub(super) struct KeyFile {
    format: String,
    version: u32,
    connector: String,
    memory_kib: u32,
    passes: u32,
    pub(super) salt: String,
    nonce: String,
    pub(super) check: String,
    pub(super) sealed: String,
    pub(super) sum: String,
}

impl KeyFile {
    /// Everything that is authenticated besides the credentials. Fields that vary in length stand between line ends, which
    /// none of them contains.
    fn header(&self) -> String {
        let Self { format, version, connector, memory_kib, passes, salt, nonce, check, .. } = self;
        format!("{format}\n{version}\n{connector}\n{memory_kib}\n{passes}\n{salt}\n{nonce}\n{check}\n")
    }

    pub(super) fn digest(&self) -> String {
        let text = self.header() + &self.sealed;
        STANDARD.encode(ring::digest::digest(&ring::digest::SHA256, text.as_bytes()))
    }
}

pub(super) fn random<const N: usize>() -> Result<[u8; N], KeystoreError> {
    let mut bytes = [0; N];
    SystemRandom::new().fill(&mut bytes).map_err(|_| KeystoreError::Crypto("no randomness is to be had"))?;
    Ok(bytes)
}

/// The cipher's key and the check of the passphrase.
struct Derived {
    key: LessSafeKey,
    check: [u8; 32],
}

fn derive(passphrase: &Secret, salt: &[u8], effort: Effort) -> Result<Derived, KeystoreError> {
    if !(8..=1024 * 1024).contains(&effort.memory_kib) || !(1..=64).contains(&effort.passes) {
        return Err(KeystoreError::Corrupted("the effort is out of bounds"));
    }
    let params = Params::new(effort.memory_kib, effort.passes, 1, Some(64))
        .map_err(|_| KeystoreError::Crypto("the effort is not possible"))?;
    let mut bytes = Zeroizing::new([0_u8; 64]);
    Argon2::new(Algorithm::Argon2id, argon2::Version::V0x13, params)
        .hash_password_into(passphrase.expose().as_bytes(), salt, &mut *bytes)
        .map_err(|_| KeystoreError::Crypto("the passphrase cannot be derived from"))?;
    let (key, rest) = bytes.split_at(32);
    let key = UnboundKey::new(&CHACHA20_POLY1305, key)
        .map_err(|_| KeystoreError::Crypto("the cipher refuses the key"))?;
    let mut check = [0; 32];
    check.copy_from_slice(rest);
    Ok(Derived { key: LessSafeKey::new(key), check })
}

pub(super) fn seal(
    connector: &str,
    keys: &Credentials,
    passphrase: &Secret,
    effort: Effort,
) -> Result<String, KeystoreError> {
    let (salt, nonce) = (random::<16>()?, random::<12>()?);
    let Derived { key, check } = derive(passphrase, &salt, effort)?;
    let mut file = KeyFile {
        format: FORMAT.to_owned(),
        version: VERSION,
        connector: connector.to_owned(),
        memory_kib: effort.memory_kib,
        passes: effort.passes,
        salt: STANDARD.encode(salt),
        nonce: STANDARD.encode(nonce),
        check: STANDARD.encode(check),
        sealed: String::new(),
        sum: String::new(),
    };
    let mut bytes = pack(keys)?;
    let aad = Aad::from(file.header());
    key.seal_in_place_append_tag(Nonce::assume_unique_for_key(nonce), aad, &mut *bytes)
        .map_err(|_| KeystoreError::Crypto("the keys cannot be encrypted"))?;
    file.sealed = STANDARD.encode(bytes.as_slice());
    file.sum = file.digest();
    let mut text = serde_json::to_string_pretty(&file)
        .map_err(|_| KeystoreError::Crypto("the file cannot be expressed"))?;
    text.push('\n');
    Ok(text)
}

pub(super) fn open(connector: &str, text: &str, passphrase: &Secret) -> Result<Credentials, KeystoreError> {
    /// What every version has.
    #[derive(Deserialize)]
    struct Kind {
        format: String,
        version: u32,
    }
    let damaged = KeystoreError::Corrupted;
    let kind: Kind = serde_json::from_str(text).map_err(|_| damaged("it is cut off or not a key file"))?;
    if kind.format != FORMAT {
        return Err(damaged("it is not a key file"));
    }
    if kind.version != VERSION {
        return Err(KeystoreError::Version(kind.version));
    }
    let file: KeyFile = serde_json::from_str(text).map_err(|_| damaged("fields are missing"))?;
    if file.sum != file.digest() {
        return Err(damaged("its checksum does not fit"));
    }
    if file.connector != connector {
        return Err(damaged("it is of another connector"));
    }
    let bytes = |field: &str| STANDARD.decode(field).map_err(|_| damaged("a field is not base64"));
    let nonce =
        <[u8; 12]>::try_from(bytes(&file.nonce)?).map_err(|_| damaged("the nonce has a wrong length"))?;
    let salt =
        <[u8; 16]>::try_from(bytes(&file.salt)?).map_err(|_| damaged("the salt has a wrong length"))?;
    let effort = Effort { memory_kib: file.memory_kib, passes: file.passes };
    let derived = derive(passphrase, &salt, effort)?;
    if bytes(&file.check)? != derived.check {
        return Err(KeystoreError::WrongPassphrase);
    }
    let mut sealed = Zeroizing::new(bytes(&file.sealed)?);
    let aad = Aad::from(file.header());
    let plain = derived
        .key
        .open_in_place(Nonce::assume_unique_for_key(nonce), aad, &mut sealed)
        .map_err(|_| KeystoreError::Tampered)?;
    unpack(plain).ok_or(damaged("its content is not credentials"))
}

/// Credentials as three texts, each after its length; the third may be absent.
fn pack(keys: &Credentials) -> Result<Zeroizing<Vec<u8>>, KeystoreError> {
    let texts =
        [Some(keys.key.as_str()), Some(keys.secret.expose()), keys.passphrase.as_ref().map(Secret::expose)];
    let size: usize = texts.into_iter().flatten().map(|text| text.len() + 4).sum();
    // Room for the tag too: a buffer that grows would leave a copy behind that nobody wipes.
    let mut bytes = Zeroizing::new(Vec::with_capacity(size + CHACHA20_POLY1305.tag_len()));
    for text in texts.into_iter().flatten() {
        let length = u32::try_from(text.len()).ok().filter(|length| *length <= 16 * 1024);
        let length = length.ok_or(KeystoreError::Crypto("a key is too long"))?;
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(text.as_bytes());
    }
    Ok(bytes)
}

fn unpack(mut bytes: &[u8]) -> Option<Credentials> {
    let mut next = || {
        let (length, rest) = bytes.split_first_chunk::<4>()?;
        let (text, rest) = rest.split_at_checked(usize::try_from(u32::from_le_bytes(*length)).ok()?)?;
        bytes = rest;
        std::str::from_utf8(text).ok()
    };
    let (key, secret, passphrase) = (next()?, next()?, next());
    let keys = Credentials::new(key, secret);
    let complete = bytes.is_empty();
    complete.then(|| match passphrase {
        Some(passphrase) => keys.with_passphrase(passphrase),
        None => keys,
    })
}
