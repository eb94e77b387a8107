//! CURVE, ZeroMQ's encryption with known keys: key files, in the form that ZeroMQ's own tools (`czmq`, pyzmq's `zmq.auth`)
//! write and read, and the socket options that make a connection use them.
//!
//! `NAME.key` holds a public key and may go anywhere; `NAME.key_secret` holds both and stays with its owner.

use std::{
    fmt, fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A public key.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// Both keys of one end.
#[derive(Clone)]
pub struct KeyPair {
    public: PublicKey,
    secret: [u8; 32],
}

/// A file that holds no key.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// It has no such key.
    #[error(
        "{0} holds no {1}: it must be a key file of ZeroMQ's (frontend --new_curve_key makes some)"
    )]
    NoKey(PathBuf, &'static str),
    /// This libzmq was built without it.
    #[error("this libzmq knows no CURVE: it was built without libsodium")]
    Unsupported,
}

impl PublicKey {
    /// Reads `NAME.key`, or the public half of `NAME.key_secret`.
    ///
    /// # Errors
    /// If the file cannot be read or holds none.
    pub fn read(file: &Path) -> Result<PublicKey, KeyError> {
        read(file, "public-key").map(PublicKey)
    }

    /// As it comes from the wire.
    pub fn from_bytes(bytes: &[u8]) -> Option<PublicKey> {
        bytes.try_into().ok().map(PublicKey)
    }
}

/// In Z85, as in key files.
impl fmt::Display for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(&z85::encode(self.0))
    }
}

impl fmt::Debug for PublicKey {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "PublicKey({self})")
    }
}

/// The secret half shows nowhere.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public)
    }
}

impl KeyPair {
    /// Draws new keys.
    ///
    /// # Errors
    /// If this libzmq knows no CURVE.
    pub fn new() -> Result<KeyPair, KeyError> {
        let keys = zmq::CurveKeyPair::new().map_err(|_| KeyError::Unsupported)?;
        Ok(KeyPair {
            public: PublicKey(keys.public_key),
            secret: keys.secret_key,
        })
    }

    /// Reads `NAME.key_secret`.
    ///
    /// # Errors
    /// If the file cannot be read or holds none, or if this libzmq knows no CURVE.
    pub fn read(file: &Path) -> Result<KeyPair, KeyError> {
        if zmq::has("curve") != Some(true) {
            return Err(KeyError::Unsupported);
        }
        Ok(KeyPair {
            public: PublicKey::read(file)?,
            secret: read(file, "secret-key")?,
        })
    }

    /// The half that others may know.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Writes `NAME.key` and `NAME.key_secret`, which only the owner may read; answers their paths.
    ///
    /// # Errors
    /// If there are such files already, or they cannot be written.
    pub fn write(&self, name: &Path) -> Result<[PathBuf; 2], KeyError> {
        let [public, secret] = [".key", ".key_secret"].map(|suffix| {
            let mut file = name.as_os_str().to_owned();
            file.push(suffix);
            PathBuf::from(file)
        });
        let lines = format!("curve\n    public-key = \"{}\"\n", self.public);
        let both = format!("{lines}    secret-key = \"{}\"\n", z85::encode(self.secret));
        create(
            &secret,
            0o600,
            &format!("# ZeroMQ CURVE keys: keep them secret\n{both}"),
        )?;
        create(
            &public,
            0o644,
            &format!("# ZeroMQ CURVE public key\n{lines}"),
        )?;
        Ok([public, secret])
    }

    /// Has a socket that binds take only connections that are encrypted for these keys. Who may connect is asked of the
    /// context's ZAP handler, with this domain.
    ///
    /// # Errors
    /// If libzmq refuses.
    pub fn serve(&self, socket: &zmq::Socket, domain: &str) -> zmq::Result<()> {
        socket.set_curve_server(true)?;
        socket.set_curve_secretkey(&self.secret)?;
        socket.set_zap_domain(domain)
    }

    /// Has a socket connect as the owner of these keys, to nobody but the owner of `server`.
    ///
    /// # Errors
    /// If libzmq refuses.
    pub fn connect(&self, socket: &zmq::Socket, server: PublicKey) -> zmq::Result<()> {
        socket.set_curve_serverkey(&server.0)?;
        socket.set_curve_publickey(&self.public.0)?;
        socket.set_curve_secretkey(&self.secret)
    }
}

fn create(file: &Path, mode: u32, text: &str) -> Result<(), KeyError> {
    let mut options = fs::OpenOptions::new();
    let created = options.write(true).create_new(true).mode(mode).open(file);
    created
        .and_then(|mut created| created.write_all(text.as_bytes()))
        .map_err(|error| KeyError::File(file.to_owned(), error))
}

fn read(file: &Path, what: &'static str) -> Result<[u8; 32], KeyError> {
    let text = fs::read_to_string(file).map_err(|error| KeyError::File(file.to_owned(), error))?;
    let key = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        let bytes = (name.trim() == what).then(|| z85::decode(value))?;
        bytes.ok()?.try_into().ok()
    });
    key.ok_or_else(|| KeyError::NoKey(file.to_owned(), what))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_are_read_as_they_were_written_and_only_their_owner_may() {
        let folder = tempfile::tempdir().unwrap();
        let keys = KeyPair::new().unwrap();
        let [public, secret] = keys.write(&folder.path().join("lgbm")).unwrap();
        assert!(secret.ends_with("lgbm.key_secret") && public.ends_with("lgbm.key"));
        assert_eq!(PublicKey::read(&public).unwrap(), keys.public());
        let read = KeyPair::read(&secret).unwrap();
        assert_eq!((read.public(), read.secret), (keys.public(), keys.secret));
        let mode = fs::metadata(&secret).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o600);
        let again = keys.write(&folder.path().join("lgbm"));
        assert!(again.is_err(), "a key is never written over");
        assert!(!format!("{keys:?}").contains(&z85::encode(keys.secret)));
    }

    #[test]
    fn a_file_that_holds_no_key_is_named_with_what_it_lacks() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.key");
        for text in ["", "curve\n", "public-key = \"short\"", "public-key"] {
            fs::write(&file, text).unwrap();
            let error = KeyPair::read(&file).unwrap_err().to_string();
            assert!(error.contains("other.key holds no public-key"), "{error}");
        }
    }
}
