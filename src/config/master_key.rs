//! The master key: 32 bytes that encrypt stored passwords and signing keys.
//!
//! Given by the operator, or made once in the data directory. A key that was named but is not there is
//! never made up: a fresh one could read nothing that the store holds.

use std::fs::{DirBuilder, File, OpenOptions, Permissions};
use std::io::Write as _;
use std::os::unix::fs::{DirBuilderExt as _, OpenOptionsExt as _, PermissionsExt as _};
use std::path::{Path, PathBuf};

use base64::Engine as _;
use base64::engine::general_purpose::{STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD};
use zeroize::Zeroizing;

use super::document::io_words;
use super::problem::{Fault, Origin, Problem};
use super::settings::Settings;
use crate::kernel::entropy;
pub use crate::kernel::vault::MasterKey;

const KEY: &str = "secrets.master_key";

/// Reads base64, standard or URL-safe, with or without padding; surrounding white space is ignored.
///
/// # Errors
/// Why it is not a key, without quoting it.
pub fn parse(text: &str) -> Result<MasterKey, Fault> {
    let remedy = "make one with `openssl rand -base64 32`";
    let text = text.trim();
    let decoded = [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD]
        .iter()
        .find_map(|variant| variant.decode(text).ok())
        .map(Zeroizing::new)
        .ok_or_else(|| Fault::new("is not base64", remedy))?;
    let bytes: [u8; 32] = decoded
        .as_slice()
        .try_into()
        .map_err(|_| Fault::new(format!("holds {} bytes instead of 32", decoded.len()), remedy))?;
    Ok(MasterKey::new(bytes))
}

fn to_base64(key: &MasterKey) -> Zeroizing<String> {
    Zeroizing::new(STANDARD.encode(key.expose()))
}

/// Where the master key is.
#[derive(Debug, Clone)]
pub enum MasterKeySource {
    /// The operator gave it: in the config, by `env:NAME` or by `file:PATH`.
    Given(MasterKey),
    /// Nobody gave one: this file in the data directory, made at the first start.
    Made(PathBuf),
}

/// The keys in use.
#[derive(Debug, Clone)]
pub struct MasterKeys {
    /// Encrypts, and decrypts what it encrypted.
    pub current: MasterKey,
    /// Keys of before a rotation, in the order of the config: they only decrypt.
    pub previous: Vec<MasterKey>,
    /// The file that was made just now, when this is the first start.
    pub made: Option<PathBuf>,
}

/// Gives the master keys. At the first start without a given one, makes the data directory (mode 0700)
/// and the key file (mode 0600); of two processes that start at once, both end with the same key.
///
/// # Errors
/// A key file that cannot be read or made, or does not hold a key; it is never replaced.
pub fn load_or_create(settings: &Settings) -> Result<MasterKeys, Problem> {
    let secrets = &settings.secrets;
    let (current, made) = match &secrets.master_key {
        MasterKeySource::Given(key) => (key.clone(), None),
        MasterKeySource::Made(path) => match read(path)? {
            Some(key) => (key, None),
            None => {
                make_private_dir(&settings.data_dir)?;
                create(path)?
            }
        },
    };
    Ok(MasterKeys { current, previous: secrets.previous_master_keys.clone(), made })
}

/// Makes a directory and what is missing above it, each with mode 0700; leaves an existing one as it is.
///
/// # Errors
/// The directory cannot be made.
pub fn make_private_dir(path: &Path) -> Result<(), Problem> {
    if path.is_dir() {
        return Ok(());
    }
    DirBuilder::new().recursive(true).mode(0o700).create(path).map_err(|error| {
        let detail = format!("{} cannot be made: {}", path.display(), io_words(&error));
        Fault::new(detail, "make it, owned by the user that runs tenantry, or name another one")
            .at("data_dir", Origin::file(path.display().to_string()))
    })
}

fn refuse(path: &Path, detail: impl Into<String>, remedy: &str) -> Problem {
    Fault::new(detail, remedy).at(KEY, Origin::file(path.display().to_string()))
}

fn read(path: &Path) -> Result<Option<MasterKey>, Problem> {
    let text = match std::fs::read_to_string(path) {
        Ok(text) => Zeroizing::new(text),
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(None),
        Err(error) => {
            let remedy = "let the user that runs tenantry read it, or set secrets.master_key";
            return Err(refuse(path, format!("cannot be read: {}", io_words(&error)), remedy));
        }
    };
    parse(&text).map(Some).map_err(|fault| {
        let remedy = "restore the file from a backup; without it stored passwords cannot be read. On an \
                      empty store, delete it and a new one is made";
        refuse(path, fault.detail, remedy)
    })
}

/// Writes a fresh key beside `path` and links it there: the file appears whole or not at all, and never
/// over another one.
fn create(path: &Path) -> Result<(MasterKey, Option<PathBuf>), Problem> {
    let key = MasterKey::generate();
    let draft = path.with_extension(format!("key.{}", entropy::base62(8)));
    let written =
        write(&draft, &key).and_then(|()| std::fs::hard_link(&draft, path)).and_then(|()| {
            match path.parent().filter(|parent| !parent.as_os_str().is_empty()) {
                Some(parent) => File::open(parent)?.sync_all(),
                None => Ok(()),
            }
        });
    let cleared = std::fs::remove_file(&draft);
    match written {
        Ok(()) => {
            if let Err(error) = cleared {
                tracing::warn!(error = %error, "a draft of the master key was left in the data directory");
            }
            Ok((key, Some(path.to_path_buf())))
        }
        Err(error) if error.kind() == std::io::ErrorKind::AlreadyExists => match read(path)? {
            Some(theirs) => Ok((theirs, None)),
            None => Err(refuse(path, "vanished while it was being made", "start again")),
        },
        Err(error) => {
            let remedy = "let the user that runs tenantry write there, or set data_dir or secrets.master_key";
            Err(refuse(path, format!("cannot be made: {}", io_words(&error)), remedy))
        }
    }
}

fn write(path: &Path, key: &MasterKey) -> std::io::Result<()> {
    let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(path)?;
    file.set_permissions(Permissions::from_mode(0o600))?;
    file.write_all(to_base64(key).as_bytes())?;
    file.write_all(b"\n")?;
    file.sync_all()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn mode(path: &Path) -> u32 {
        std::fs::metadata(path).unwrap().permissions().mode() & 0o777
    }

    fn settings(data_dir: &Path) -> Settings {
        let env = [("TENANTRY_DATA_DIR", data_dir.to_str().unwrap())];
        crate::config::tests::load("", &env).unwrap().settings
    }

    #[test]
    fn the_first_start_makes_a_private_key_and_the_next_ones_read_it() {
        let dir = tempfile::tempdir().unwrap();
        let data = dir.path().join("a/b");
        let settings = settings(&data);
        let first = load_or_create(&settings).unwrap();
        assert_eq!(first.made.as_deref(), Some(data.join("master.key").as_path()));
        assert_eq!((mode(&data), mode(&data.join("master.key"))), (0o700, 0o600));
        let second = load_or_create(&settings).unwrap();
        assert_eq!(second.made, None);
        assert_eq!(first.current.expose(), second.current.expose());
        assert_eq!(std::fs::read_dir(&data).unwrap().count(), 1, "no draft is left");
        assert!(!format!("{first:?}").contains(to_base64(&first.current).as_str()));
    }

    #[test]
    fn starting_at_once_ends_with_one_key() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(&dir.path().join("data"));
        let keys: Vec<[u8; 32]> = std::thread::scope(|scope| {
            let start = || *load_or_create(&settings).unwrap().current.expose();
            let runs: Vec<_> = (0..8).map(|_| scope.spawn(start)).collect();
            runs.into_iter().map(|run| run.join().unwrap()).collect()
        });
        assert!(keys.windows(2).all(|pair| pair[0] == pair[1]));
    }

    #[test]
    fn a_damaged_key_file_is_refused_and_kept() {
        let dir = tempfile::tempdir().unwrap();
        let settings = settings(dir.path());
        let path = dir.path().join("master.key");
        for (text, detail) in [("", "holds 0 bytes"), ("c2hvcnQ=", "holds 5 bytes"), ("!!", "is not base64")]
        {
            std::fs::write(&path, text).unwrap();
            let problem = load_or_create(&settings).unwrap_err();
            assert!(problem.to_string().contains(detail), "{problem}");
            assert_eq!(std::fs::read_to_string(&path).unwrap(), text);
        }
        std::fs::remove_file(&path).unwrap();
        std::fs::create_dir(&path).unwrap();
        assert!(load_or_create(&settings).unwrap_err().to_string().contains("it is a directory"));
    }

    #[test]
    fn every_spelling_of_base64_is_read() {
        let key = MasterKey::generate();
        for variant in [STANDARD, STANDARD_NO_PAD, URL_SAFE, URL_SAFE_NO_PAD] {
            let text = format!(" {}\n", variant.encode(key.expose()));
            assert_eq!(parse(&text).unwrap().expose(), key.expose());
        }
    }
}
