//! Access control: tokens and TLS over HTTP, CURVE over ZeroMQ. An address that is not loopback
//! requires both. SECURITY.md describes the threat model.

use std::{
    env, fmt, fs, io,
    net::Ipv4Addr,
    path::{Path, PathBuf},
    sync::Arc,
};

use sha2::{Digest, Sha256};
use subtle::ConstantTimeEq;
use tokio_rustls::{
    TlsAcceptor,
    rustls::{
        self, ServerConfig,
        pki_types::{CertificateDer, PrivateKeyDer, pem, pem::PemObject},
    },
};
use transport::curve::{KeyError, KeyPair, PublicKey};

/// Smallest number of characters of a token; shorter ones could be guessed.
const MIN_TOKEN_LENGTH: usize = 16;

/// The flags of access control.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(rename_all = "snake_case", next_help_heading = "Access control")]
pub struct Access {
    /// File with the token that requests to the admin port must carry, as "Authorization: Bearer
    /// TOKEN" [alternative: the token itself in the environment variable CLIPPER_ADMIN_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// File with the token that requests to the query port must carry [alternative:
    /// CLIPPER_QUERY_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub query_token_file: Option<PathBuf>,
    /// Certificate chain (PEM) with which both HTTP ports serve HTTPS
    #[arg(
        long,
        env = "CLIPPER_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// Private key of the first certificate (PEM)
    #[arg(
        long,
        env = "CLIPPER_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// File with the frontend's CURVE keys: encrypts all ZeroMQ ports and refuses peers with
    /// unknown keys. --new_curve_key writes one
    #[arg(
        long,
        env = "CLIPPER_CURVE_KEY",
        value_name = "NAME.key_secret",
        requires = "curve_containers",
        requires = "curve_clients"
    )]
    pub curve_key: Option<PathBuf>,
    /// Folder with the public keys (*.key) of the model servers that may register; changes apply
    /// to new connections
    #[arg(
        long,
        env = "CLIPPER_CURVE_CONTAINERS",
        value_name = "FOLDER",
        requires = "curve_key"
    )]
    pub curve_containers: Option<PathBuf>,
    /// Folder with the public keys (*.key) of the ZeroMQ clients that may query; changes apply
    /// to new connections
    #[arg(
        long,
        env = "CLIPPER_CURVE_CLIENTS",
        value_name = "FOLDER",
        requires = "curve_key"
    )]
    pub curve_clients: Option<PathBuf>,
    /// Allow a --bind address that is not loopback without tokens and CURVE keys. Use it only in a
    /// network of trusted programs
    #[arg(long, env = "CLIPPER_INSECURE", value_parser = clap::builder::FalseyValueParser::new())]
    pub insecure: bool,
    /// Generate CURVE keys, write them to NAME.key (public) and NAME.key_secret (secret), and exit
    #[arg(long, value_name = "NAME")]
    pub new_curve_key: Option<PathBuf>,
}

/// The error of a flag of [`Access`] whose file, folder or key cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The token file cannot be read.
    #[error("cannot read the token in {}: {error}", file.display())]
    TokenFile {
        /// The file.
        file: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The token file or variable holds no valid token.
    #[error(
        "{0} holds no token: a token has at least {MIN_TOKEN_LENGTH} visible ASCII characters; generate one with \
         `openssl rand -hex 32`"
    )]
    InvalidToken(String),
    /// The certificate file cannot be read.
    #[error("cannot read certificates from --tls_cert {}: {error}; it must be a PEM file", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// The cause.
        error: pem::Error,
    },
    /// The private key file cannot be read.
    #[error("cannot read a private key from --tls_key {}: {error}; it must be a PEM file", file.display())]
    PrivateKey {
        /// The file.
        file: PathBuf,
        /// The cause.
        error: pem::Error,
    },
    /// The private key does not match the first certificate.
    #[error("--tls_key does not match the first certificate of --tls_cert: {0}")]
    KeyMismatch(rustls::Error),
    /// The path is not a folder.
    #[error("{flag} {} is not a folder; create it and put the peers' public keys (*.key) there", folder.display())]
    NotAFolder {
        /// The flag that names the folder.
        flag: &'static str,
        /// The folder.
        folder: PathBuf,
    },
    /// The folder of public keys cannot be read.
    #[error("cannot read the folder of public keys {}: {error}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// The cause.
        error: io::Error,
    },
    /// The frontend's own CURVE keys cannot be read.
    #[error("--curve_key: {0}")]
    CurveKey(KeyError),
    /// The address is not loopback, and a port has no access control.
    #[error(
        "refusing to listen on {address}: anyone who can reach it could {what}; give these flags, or --insecure in a \
         network of trusted programs"
    )]
    Unprotected {
        /// The address.
        address: Ipv4Addr,
        /// The unprotected operations, each with the flag that protects it.
        what: String,
    },
}

/// The contents of the files that [`Access`] names, read and checked.
pub(crate) struct Credentials {
    pub(crate) admin: Option<Token>,
    pub(crate) query: Option<Token>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) curve: Option<CurveAccess>,
}

/// SHA-256 digest of a bearer token.
#[derive(Clone)]
pub(crate) struct Token([u8; 32]);

/// The CURVE keys of the ZeroMQ ports.
pub(crate) struct CurveAccess {
    pub(crate) keys: KeyPair,
    /// Folder with the public keys of model servers.
    pub(crate) containers: PathBuf,
    /// Folder with the public keys of clients.
    pub(crate) clients: PathBuf,
}

impl Access {
    /// Reads and checks the files that the flags name.
    ///
    /// # Errors
    /// If a file is invalid, or if `address` is not loopback and a port has no access control.
    pub(crate) fn credentials(&self, address: Ipv4Addr) -> Result<Credentials, AccessError> {
        let credentials = Credentials {
            admin: Token::load(self.admin_token_file.as_deref(), "CLIPPER_ADMIN_TOKEN")?,
            query: Token::load(self.query_token_file.as_deref(), "CLIPPER_QUERY_TOKEN")?,
            tls: self.tls()?,
            curve: self.curve()?,
        };
        if !address.is_loopback() {
            credentials.check_exposure(address, self.insecure)?;
        }
        Ok(credentials)
    }

    fn tls(&self) -> Result<Option<TlsAcceptor>, AccessError> {
        let (Some(cert), Some(key)) = (&self.tls_cert, &self.tls_key) else {
            return Ok(None);
        };
        let chain = CertificateDer::pem_file_iter(cert).and_then(Iterator::collect);
        let chain: Vec<_> = chain.map_err(|error| AccessError::Certificates {
            file: cert.clone(),
            error,
        })?;
        let private = PrivateKeyDer::from_pem_file(key);
        let private = private.map_err(|error| AccessError::PrivateKey {
            file: key.clone(),
            error,
        })?;
        let config = ServerConfig::builder()
            .with_no_client_auth()
            .with_single_cert(chain, private)
            .map_err(AccessError::KeyMismatch)?;
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn curve(&self) -> Result<Option<CurveAccess>, AccessError> {
        let folders = (&self.curve_containers, &self.curve_clients);
        let (Some(key), (Some(containers), Some(clients))) = (&self.curve_key, folders) else {
            return Ok(None);
        };
        for (folder, flag) in [
            (containers, "--curve_containers"),
            (clients, "--curve_clients"),
        ] {
            if !folder.is_dir() {
                let folder = folder.clone();
                return Err(AccessError::NotAFolder { flag, folder });
            }
        }
        Ok(Some(CurveAccess {
            keys: KeyPair::read(key).map_err(AccessError::CurveKey)?,
            containers: containers.clone(),
            clients: clients.clone(),
        }))
    }
}

impl Credentials {
    /// Refuses an address that is not loopback if a port has no access control.
    fn check_exposure(&self, address: Ipv4Addr, insecure: bool) -> Result<(), AccessError> {
        let open = [
            (
                self.admin.is_none(),
                "use the admin API (--admin_token_file)",
            ),
            (self.query.is_none(), "query over HTTP (--query_token_file)"),
            (
                self.curve.is_none(),
                "query or register over ZeroMQ (--curve_key)",
            ),
        ];
        let open: Vec<_> = open
            .iter()
            .filter(|(open, _)| *open)
            .map(|(_, what)| *what)
            .collect();
        if !open.is_empty() && !insecure {
            let what = open.join(", ");
            return Err(AccessError::Unprotected { address, what });
        }
        if self.tls.is_none() && (self.admin.is_some() || self.query.is_some()) {
            tracing::warn!("tokens are sent unencrypted: give --tls_cert and --tls_key");
        }
        Ok(())
    }
}

impl Token {
    /// Reads the token from the file, or else from the environment variable.
    fn load(file: Option<&Path>, variable: &str) -> Result<Option<Token>, AccessError> {
        let (text, source) = match (file, env::var(variable)) {
            (Some(file), _) => {
                let text = fs::read_to_string(file).map_err(|error| AccessError::TokenFile {
                    file: file.to_owned(),
                    error,
                })?;
                (text, file.display().to_string())
            }
            (None, Ok(text)) => (text, variable.to_owned()),
            (None, Err(_)) => return Ok(None),
        };
        let token = text.trim();
        if token.len() < MIN_TOKEN_LENGTH || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AccessError::InvalidToken(source));
        }
        Ok(Some(Token::digest(token.as_bytes())))
    }

    /// Hashes the token: digests have one length and reveal nothing of the token.
    fn digest(token: &[u8]) -> Token {
        Token(Sha256::digest(token).into())
    }

    /// Returns true if an `Authorization` header carries the token. The comparison takes constant
    /// time.
    pub(crate) fn matches_header(&self, authorization: Option<&[u8]>) -> bool {
        let bearer = authorization.and_then(|value| value.split_first_chunk::<7>());
        let Some((scheme, token)) = bearer else {
            return false;
        };
        let same = self.0.ct_eq(&Token::digest(token.trim_ascii()).0);
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(same)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// Returns the public keys in a folder. A file without a valid key is skipped with a warning.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn read_public_keys(
    folder: &Path,
) -> Result<impl Iterator<Item = PublicKey> + use<>, AccessError> {
    let files = fs::read_dir(folder).map_err(|error| AccessError::Folder {
        folder: folder.to_owned(),
        error,
    })?;
    let keys = files.flatten().map(|file| file.path());
    let keys = keys.filter(|file| file.extension().is_some_and(|suffix| suffix == "key"));
    Ok(keys.filter_map(|file| match PublicKey::read(&file) {
        Ok(key) => Some(key),
        Err(error) => {
            tracing::warn!("skipped a public key: {error}");
            None
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn accepts_only_the_whole_token() {
        let token = Token::digest(b"0123456789abcdef");
        for (header, borne) in [
            (Some(&b"Bearer 0123456789abcdef"[..]), true),
            (Some(b"bearer 0123456789abcdef"), true),
            (Some(b"Bearer 0123456789abcde"), false),
            (Some(b"Bearer 0123456789abcdefg"), false),
            (Some(b"Basic  0123456789abcdef"), false),
            (Some(b"0123456789abcdef"), false),
            (Some(b"Bearer "), false),
            (Some(b""), false),
            (None, false),
        ] {
            assert_eq!(token.matches_header(header), borne, "{header:?}");
        }
    }
}
