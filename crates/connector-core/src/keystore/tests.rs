use std::sync::atomic::{AtomicU32, Ordering};

use super::*;
use crate::error::{Cause, Effect};

const QUICK: Effort = Effort { memory_kib: 8, passes: 1 };
const NAME: &str = "spot-toy";

/// A folder of its own, removed at the end.
struct Folder(PathBuf);

impl Folder {
    fn new() -> Self {
        static NEXT: AtomicU32 = AtomicU32::new(0);
        let unique =
            format!("connector-keys-{}-{}", std::process::id(), NEXT.fetch_add(1, Ordering::Relaxed));
        Self(std::env::temp_dir().join(unique))
    }

    fn store(&self, passphrase: &str) -> Keystore {
        Keystore::new(&self.0, Secret::new(passphrase)).effort(QUICK)
    }

    fn file(&self) -> PathBuf {
        self.0.join("spot-toy.keys")
    }

    fn text(&self) -> String {
        fs::read_to_string(self.file()).unwrap()
    }
}

impl Drop for Folder {
    fn drop(&mut self) {
        let _ = fs::remove_dir_all(&self.0);
    }
}

fn keys() -> Credentials {
    Credentials::new("public", "hush-hush").with_passphrase("quiet")
}

fn parts(keys: &Credentials) -> (String, String, Option<String>) {
    let third = keys.passphrase.as_ref().map(|third| third.expose().to_owned());
    (keys.key.clone(), keys.secret.expose().to_owned(), third)
}

#[test]
fn what_is_stored_is_loaded_and_nothing_shows() {
    let folder = Folder::new();
    let store = folder.store("open sesame");
    assert!(matches!(store.load(NAME), Err(KeystoreError::Missing(_))));
    store.store(NAME, &keys()).unwrap();
    assert_eq!(parts(&store.load(NAME).unwrap()), parts(&keys()));
    let text = folder.text();
    assert!(!text.contains("hush") && !text.contains("public") && !text.contains("sesame"), "{text}");
    let plain = Credentials::new("k", "-----BEGIN PRIVATE KEY-----\nA\n-----END PRIVATE KEY-----\n");
    store.store(NAME, &plain).unwrap();
    assert_eq!(parts(&store.load(NAME).unwrap()), parts(&plain));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1, "no temporary file is left");
    assert!(store.remove(NAME).unwrap() && !store.remove(NAME).unwrap());
    assert!(!format!("{store:?}").contains("sesame"));
}

#[test]
fn a_wrong_passphrase_is_not_a_damaged_file() {
    let folder = Folder::new();
    folder.store("right").store(NAME, &keys()).unwrap();
    assert!(matches!(folder.store("wrong").load(NAME), Err(KeystoreError::WrongPassphrase)));
    fs::copy(folder.file(), folder.0.join("spot-other.keys")).unwrap();
    assert!(matches!(folder.store("right").load("spot-other"), Err(KeystoreError::Corrupted(_))));
    let later = folder.text().replace("\"version\": 1", "\"version\": 2");
    fs::write(folder.file(), later).unwrap();
    assert!(matches!(folder.store("right").load(NAME), Err(KeystoreError::Version(2))));
}

#[test]
fn damage_anywhere_is_noticed() {
    let folder = Folder::new();
    let store = folder.store("right");
    store.store(NAME, &keys()).unwrap();
    let whole = folder.text();
    for length in 0..whole.trim_end().len() {
        fs::write(folder.file(), &whole[..length]).unwrap();
        assert!(matches!(store.load(NAME), Err(KeystoreError::Corrupted(_))), "cut at {length}");
    }
    for (place, _) in whole.char_indices().filter(|(_, c)| c.is_ascii_alphanumeric()) {
        let mut bytes = whole.clone().into_bytes();
        bytes[place] = if bytes[place] == b'A' { b'B' } else { b'A' };
        fs::write(folder.file(), bytes).unwrap();
        assert!(store.load(NAME).is_err(), "changed at {place}");
    }
    fs::write(folder.file(), [0xFF; 80]).unwrap();
    assert!(matches!(store.load(NAME), Err(KeystoreError::Corrupted(_))));
    fs::write(folder.file(), vec![b' '; 70_000]).unwrap();
    assert!(matches!(store.load(NAME), Err(KeystoreError::Corrupted(_))));
}

#[test]
fn a_change_with_a_fitting_checksum_is_tampering() {
    let folder = Folder::new();
    let store = folder.store("right");
    store.store(NAME, &keys()).unwrap();
    let change = |alter: &dyn Fn(&mut file::KeyFile)| {
        let mut file: file::KeyFile = serde_json::from_str(&folder.text()).unwrap();
        alter(&mut file);
        file.sum = file.digest();
        fs::write(folder.file(), serde_json::to_string(&file).unwrap()).unwrap();
        let result = store.load(NAME);
        store.store(NAME, &keys()).unwrap();
        result.unwrap_err()
    };
    let flip = |text: &mut String| {
        let first = if text.starts_with('A') { "B" } else { "A" };
        text.replace_range(..1, first);
    };
    assert!(matches!(change(&|file| flip(&mut file.sealed)), KeystoreError::Tampered));
    assert!(matches!(change(&|file| file.sealed.clear()), KeystoreError::Tampered));
    assert!(matches!(change(&|file| flip(&mut file.salt)), KeystoreError::WrongPassphrase));
    assert!(matches!(change(&|file| flip(&mut file.check)), KeystoreError::WrongPassphrase));
}

#[cfg(unix)]
#[test]
fn only_the_owner_may_read() {
    use std::os::unix::fs::PermissionsExt;
    let folder = Folder::new();
    let store = folder.store("right");
    store.store(NAME, &keys()).unwrap();
    let mode = fs::metadata(folder.file()).unwrap().permissions().mode() & 0o777;
    assert_eq!(mode, 0o600);
    for mode in [0o640, 0o604, 0o620] {
        fs::set_permissions(folder.file(), fs::Permissions::from_mode(mode)).unwrap();
        assert!(
            matches!(store.load(NAME), Err(KeystoreError::Permissions { mode: found, .. }) if found == mode)
        );
    }
    // Replacing repairs it.
    store.store(NAME, &keys()).unwrap();
    assert!(store.load(NAME).is_ok());
}

#[test]
fn names_that_are_paths_are_refused() {
    let store = Folder::new().store("right");
    for name in ["", "../x", "a/b", "Spot", "a.b", "a b"] {
        assert!(matches!(store.load(name), Err(KeystoreError::Name(_))), "{name}");
        assert!(matches!(store.store(name, &keys()), Err(KeystoreError::Name(_))), "{name}");
    }
}

#[tokio::test]
async fn a_bad_replacement_leaves_the_working_key() {
    let folder = Folder::new();
    let store = folder.store("right");
    store.store(NAME, &keys()).unwrap();
    let before = folder.text();
    let bad = Error::new(Cause::Credentials, Effect::Rejected, "balances", "Invalid API-key");
    let refused =
        store.replace(NAME, Credentials::new("new", "bad"), |_| async { Err(bad) }).await.unwrap_err();
    assert!(
        refused.to_string().contains("Invalid API-key") && !refused.to_string().contains("bad"),
        "{refused}"
    );
    assert_eq!(folder.text(), before);
    let other = folder.store("wrong").replace(NAME, keys(), |_| async { Ok(()) }).await;
    assert!(matches!(other, Err(KeystoreError::WrongPassphrase)));
    assert_eq!(folder.text(), before);
    let check = |given: Credentials| async move {
        assert_eq!(given.key, "new");
        Ok(())
    };
    store.replace(NAME, Credentials::new("new", "good"), check).await.unwrap();
    assert_eq!(store.load(NAME).unwrap().secret.expose(), "good");
}

#[test]
fn a_failed_write_keeps_the_old_file_and_leaves_nothing() {
    let folder = Folder::new();
    let store = folder.store("right");
    fs::create_dir_all(folder.file()).unwrap();
    assert!(matches!(store.store(NAME, &keys()), Err(KeystoreError::Io { .. })));
    assert_eq!(fs::read_dir(&folder.0).unwrap().count(), 1);
}

#[test]
fn variables_are_an_alternative() {
    let from = |set: &[(&str, &str)]| {
        let set: Vec<(String, String)> =
            set.iter().map(|(a, b)| ((*a).to_owned(), (*b).to_owned())).collect();
        from_variables("spot-toy", move |name| {
            set.iter().find(|(known, _)| known == name).map(|(_, v)| v.clone())
        })
    };
    assert!(from(&[]).unwrap().is_none());
    let both = [("SPOT_TOY_API_KEY", "k"), ("SPOT_TOY_API_SECRET", "s"), ("SPOT_TOY_API_PASSPHRASE", "p")];
    let keys = from(&both).unwrap().unwrap();
    assert_eq!(parts(&keys), ("k".into(), "s".into(), Some("p".into())));
    assert!(
        matches!(from(&both[..1]), Err(KeystoreError::Incomplete(name)) if name == "SPOT_TOY_API_SECRET")
    );
    assert!(matches!(from(&both[1..]), Err(KeystoreError::Incomplete(name)) if name == "SPOT_TOY_API_KEY"));
}
