//! API keys at rest: one encrypted file per connector, or the process's environment.
//!
//! The key of the cipher (ChaCha20-Poly1305) is derived from a passphrase with Argon2id; everything in a file that is not
//! secret is authenticated with what is. Files are readable by their owner only, and **a file is replaced whole or not at
//! all**. What is wrong is told apart as far as it can be: a file whose checksum fails is damaged, one whose checksum holds
//! was sealed with another passphrase or changed on purpose. No error quotes a secret.

mod file;

use std::fs;
use std::io;
use std::path::{Path, PathBuf};

use zeroize::Zeroizing;

use crate::error::Error;
use crate::secret::{Credentials, Secret};

/// Largest file read.
const MAX_FILE: u64 = 64 * 1024;

/// Why keys could not be read or written.
#[derive(Debug, thiserror::Error)]
#[non_exhaustive]
pub enum KeystoreError {
    /// Not a connector's name: lower-case letters, digits and dashes.
    #[error("`{0}` is not a connector's name, such as spot-binance")]
    Name(String),
    /// There is no file for the connector.
    #[error("there are no keys for {0}")]
    Missing(String),
    /// Others than the owner may read or write the file.
    #[error("{} can be read or written by others: make it mode 0600 (found {mode:04o})", path.display())]
    Permissions {
        /// The file.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The file was written by a later version.
    #[error("the file has format version {0}, which this version cannot read")]
    Version(u32),
    /// The file is damaged or not a key file: restore it or store the keys again.
    #[error("the file is damaged: {0}")]
    Corrupted(&'static str),
    /// The file is sound, but this passphrase does not open it.
    #[error("the passphrase is wrong")]
    WrongPassphrase,
    /// The passphrase is right, but the content was changed by somebody who did not have it.
    #[error("the file was changed without the passphrase: do not trust it")]
    Tampered,
    /// The new keys did not work: those stored before are untouched.
    #[error("the new keys were refused, the stored ones are kept: {0}")]
    Refused(#[source] Box<Error>),
    /// A variable is set without the others it needs.
    #[error("the variable {0} is not set, though others of the connector are")]
    Incomplete(String),
    /// The file system failed.
    #[error("{}: {source}", path.display())]
    Io {
        /// The file or folder.
        path: PathBuf,
        /// Why.
        source: io::Error,
    },
    /// The cryptographic library failed: too little memory, or no randomness.
    #[error("the keys cannot be processed: {0}")]
    Crypto(&'static str),
}

/// How hard a passphrase is made to guess, per guess.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Effort {
    /// Memory in KiB, 8 to 1,048,576.
    pub memory_kib: u32,
    /// Passes over it, 1 to 64.
    pub passes: u32,
}

impl Default for Effort {
    /// 64 MiB and three passes, as RFC 9106 recommends where memory is scarce.
    fn default() -> Self {
        Self { memory_kib: 64 * 1024, passes: 3 }
    }
}

/// A folder of encrypted keys, under one passphrase.
#[derive(Clone, Debug)]
pub struct Keystore {
    folder: PathBuf,
    passphrase: Secret,
    effort: Effort,
}

impl Keystore {
    /// The keystore in `folder`, which is made when the first keys are stored.
    #[must_use]
    pub fn new(folder: impl Into<PathBuf>, passphrase: Secret) -> Self {
        Self { folder: folder.into(), passphrase, effort: Effort::default() }
    }

    /// The same, sealing with another effort from now on. Files tell how they were sealed.
    #[must_use]
    pub fn effort(mut self, effort: Effort) -> Self {
        self.effort = effort;
        self
    }

    /// The keys of a connector.
    ///
    /// # Errors
    /// [`KeystoreError::Missing`] if there are none; any other if they cannot be read.
    pub fn load(&self, connector: &str) -> Result<Credentials, KeystoreError> {
        let path = self.path(connector)?;
        let text = read(&path)?.ok_or_else(|| KeystoreError::Missing(connector.to_owned()))?;
        file::open(connector, &text, &self.passphrase)
    }

    /// Stores the keys of a connector, in place of any it has, without trying them.
    ///
    /// # Errors
    /// The keys were not stored; those stored before are untouched.
    pub fn store(&self, connector: &str, keys: &Credentials) -> Result<(), KeystoreError> {
        let path = self.path(connector)?;
        let text = file::seal(connector, keys, &self.passphrase, self.effort)?;
        write_whole(&self.folder, &path, text.as_bytes())
    }

    /// Replaces the keys of a connector by `new` if `validate` finds that they work, for example by connecting with them.
    ///
    /// # Errors
    /// The stored keys are untouched: [`KeystoreError::Refused`] if `new` does not work,
    /// [`KeystoreError::WrongPassphrase`] if the stored keys are under another passphrase, or `new` could not be written.
    pub async fn replace<V, F>(
        &self,
        connector: &str,
        new: Credentials,
        validate: V,
    ) -> Result<(), KeystoreError>
    where
        V: FnOnce(Credentials) -> F,
        F: Future<Output = Result<(), Error>>,
    {
        // Damaged keys may be replaced; those of somebody else's passphrase may not.
        match self.load(connector) {
            Ok(_) | Err(KeystoreError::Missing(_) | KeystoreError::Corrupted(_)) => {}
            Err(error) => return Err(error),
        }
        validate(new.clone()).await.map_err(|error| KeystoreError::Refused(Box::new(error)))?;
        self.store(connector, &new)
    }

    /// Removes the keys of a connector. `false` if there were none.
    ///
    /// # Errors
    /// The file could not be removed.
    pub fn remove(&self, connector: &str) -> Result<bool, KeystoreError> {
        let path = self.path(connector)?;
        match fs::remove_file(&path) {
            Ok(()) => Ok(true),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(false),
            Err(source) => Err(KeystoreError::Io { path, source }),
        }
    }

    fn path(&self, connector: &str) -> Result<PathBuf, KeystoreError> {
        let plain = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
        if connector.is_empty() || connector.len() > 64 || !connector.bytes().all(plain) {
            return Err(KeystoreError::Name(connector.to_owned()));
        }
        Ok(self.folder.join(format!("{connector}.keys")))
    }
}

/// The keys of a connector from variables such as the environment's: for `spot-binance` these are `SPOT_BINANCE_API_KEY`,
/// `SPOT_BINANCE_API_SECRET` and, where the venue wants one, `SPOT_BINANCE_API_PASSPHRASE`. `None` if none is set.
///
/// `lookup` is usually `|name| std::env::var(name).ok()`.
///
/// # Errors
/// [`KeystoreError::Incomplete`] if the key or the secret is missing while another is set.
pub fn from_variables(
    connector: &str,
    lookup: impl Fn(&str) -> Option<String>,
) -> Result<Option<Credentials>, KeystoreError> {
    let prefix = connector.to_ascii_uppercase().replace('-', "_");
    let names = ["API_KEY", "API_SECRET", "API_PASSPHRASE"].map(|part| format!("{prefix}_{part}"));
    let [key, secret, passphrase] = names.each_ref().map(|name| lookup(name).filter(|text| !text.is_empty()));
    let [key_name, secret_name, _] = names;
    let keys = match (key, secret) {
        (Some(key), Some(secret)) => Credentials::new(key, secret),
        (None, None) if passphrase.is_none() => return Ok(None),
        (None, _) => return Err(KeystoreError::Incomplete(key_name)),
        (_, None) => return Err(KeystoreError::Incomplete(secret_name)),
    };
    Ok(Some(match passphrase {
        Some(passphrase) => keys.with_passphrase(passphrase),
        None => keys,
    }))
}

/// The text of a file, if there is one and only its owner can touch it.
fn read(path: &Path) -> Result<Option<Zeroizing<String>>, KeystoreError> {
    use io::Read;
    let failed = |source: io::Error| KeystoreError::Io { path: path.to_owned(), source };
    let file = match fs::File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(failed(error)),
    };
    let about = file.metadata().map_err(failed)?;
    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt;
        let mode = about.permissions().mode() & 0o777;
        if mode & 0o077 != 0 {
            return Err(KeystoreError::Permissions { path: path.to_owned(), mode });
        }
    }
    if about.len() > MAX_FILE {
        return Err(KeystoreError::Corrupted("it is too large"));
    }
    let mut bytes = Vec::new();
    file.take(MAX_FILE).read_to_end(&mut bytes).map_err(failed)?;
    let text = String::from_utf8(bytes).map_err(|_| KeystoreError::Corrupted("it is not text"))?;
    Ok(Some(Zeroizing::new(text)))
}

/// Writes beside the file and renames, so that at any moment the old content or the new one is there, whole.
fn write_whole(folder: &Path, path: &Path, bytes: &[u8]) -> Result<(), KeystoreError> {
    use io::Write;
    let failed = |path: &Path| {
        let path = path.to_owned();
        move |source: io::Error| KeystoreError::Io { path, source }
    };
    fs::create_dir_all(folder).map_err(failed(folder))?;
    let name = path.file_name().unwrap_or_default().to_string_lossy();
    let tail = u64::from_ne_bytes(file::random()?);
    let beside = folder.join(format!(".{name}.{tail:016x}"));
    let mut options = fs::OpenOptions::new();
    options.write(true).create_new(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    let write = || {
        let mut file = options.open(&beside)?;
        file.write_all(bytes)?;
        file.sync_all()?;
        fs::rename(&beside, path)?;
        // The rename itself must survive a power failure too; not every file system lets a folder be synced.
        let _ = fs::File::open(folder).and_then(|folder| folder.sync_all());
        Ok(())
    };
    write().map_err(|error| {
        let _ = fs::remove_file(&beside);
        failed(path)(error)
    })
}

#[cfg(test)]
mod tests;
