//! Keys for CURVE, ZeroMQ's encryption: reads and writes key files in the format of ZeroMQ's own
//! tools (`czmq`, pyzmq's `zmq.auth`), and sets the socket options that use the keys.
//!
//! `NAME.key` holds a public key and may be published; `NAME.key_secret` holds both keys and must
//! stay with its owner.

use std::{
    fmt, fs,
    io::Write,
    os::unix::fs::OpenOptionsExt,
    path::{Path, PathBuf},
};

/// A public key of CURVE.
#[derive(Clone, Copy, PartialEq, Eq, Hash)]
pub struct PublicKey([u8; 32]);

/// The public and the secret key of one peer.
#[derive(Clone)]
pub struct KeyPair {
    public: PublicKey,
    secret: [u8; 32],
}

/// An error of a key file, or of a libzmq without CURVE.
#[derive(Debug, thiserror::Error)]
pub enum KeyError {
    /// The file cannot be read or written.
    #[error("{0}: {1}")]
    File(PathBuf, std::io::Error),
    /// The file has no key of this kind.
    #[error(
        "{0} holds no {1}: expected a ZeroMQ key file (`frontend --new_curve_key` creates them)"
    )]
    NoKey(PathBuf, &'static str),
    /// This libzmq was built without CURVE.
    #[error("this libzmq does not support CURVE: it was built without libsodium")]
    Unsupported,
}

impl PublicKey {
    /// Reads `NAME.key`, or the public half of `NAME.key_secret`.
    ///
    /// # Errors
    /// If the file cannot be read or holds no public key.
    pub fn read(file: &Path) -> Result<PublicKey, KeyError> {
        read(file, "public-key").map(PublicKey)
    }

    /// Creates a key from its 32 bytes; `None` if there are more or fewer.
    pub fn from_bytes(bytes: &[u8]) -> Option<PublicKey> {
        bytes.try_into().ok().map(PublicKey)
    }
}

/// Writes the key in Z85, as in key files.
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

/// Does not show the secret key.
impl fmt::Debug for KeyPair {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "KeyPair({})", self.public)
    }
}

impl KeyPair {
    /// Generates new keys.
    ///
    /// # Errors
    /// If this libzmq does not support CURVE.
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
    /// If the file cannot be read or lacks a key, or if this libzmq does not support CURVE.
    pub fn read(file: &Path) -> Result<KeyPair, KeyError> {
        if zmq::has("curve") != Some(true) {
            return Err(KeyError::Unsupported);
        }
        Ok(KeyPair {
            public: PublicKey::read(file)?,
            secret: read(file, "secret-key")?,
        })
    }

    /// Returns the public key.
    pub fn public(&self) -> PublicKey {
        self.public
    }

    /// Writes `NAME.key`, and `NAME.key_secret` with permissions for its owner only. Returns their
    /// paths.
    ///
    /// # Errors
    /// If one of the files exists already or cannot be written.
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

    /// Makes a socket that binds accept only connections that are encrypted for these keys. The
    /// context's ZAP handler authorises each connection, with this domain.
    ///
    /// # Errors
    /// If libzmq refuses.
    pub fn serve(&self, socket: &zmq::Socket, domain: &str) -> zmq::Result<()> {
        socket.set_curve_server(true)?;
        socket.set_curve_secretkey(&self.secret)?;
        socket.set_zap_domain(domain)
    }

    /// Makes a socket connect with these keys, and only to the owner of the key `server`.
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

fn read(file: &Path, kind: &'static str) -> Result<[u8; 32], KeyError> {
    let text = fs::read_to_string(file).map_err(|error| KeyError::File(file.to_owned(), error))?;
    let key = text.lines().find_map(|line| {
        let (name, value) = line.split_once('=')?;
        let value = value.trim().strip_prefix('"')?.strip_suffix('"')?;
        let bytes = (name.trim() == kind).then(|| z85::decode(value))?;
        bytes.ok()?.try_into().ok()
    });
    key.ok_or_else(|| KeyError::NoKey(file.to_owned(), kind))
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use super::*;

    #[test]
    fn keys_round_trip_and_stay_secret() {
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
        assert!(again.is_err(), "existing keys are never overwritten");
        assert!(!format!("{keys:?}").contains(&z85::encode(keys.secret)));
    }

    #[test]
    fn errors_name_the_file_and_the_missing_key() {
        let folder = tempfile::tempdir().unwrap();
        let file = folder.path().join("other.key");
        for text in ["", "curve\n", "public-key = \"short\"", "public-key"] {
            fs::write(&file, text).unwrap();
            let error = KeyPair::read(&file).unwrap_err().to_string();
            assert!(error.contains("other.key holds no public-key"), "{error}");
        }
    }
}
