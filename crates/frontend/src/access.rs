//! Who may come in: tokens and TLS over HTTP, CURVE over ZeroMQ, and beyond this machine nobody without them. SECURITY.md has
//! the whole.

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

/// Fewer characters could be guessed.
const SHORTEST_TOKEN: usize = 16;

/// What the frontend is told of who may come in.
#[derive(Clone, Debug, Default, clap::Args)]
#[command(rename_all = "snake_case", next_help_heading = "Who may come in")]
pub struct Access {
    /// Only who bears the token in this file may administrate: "Authorization: Bearer TOKEN" [instead: the token itself in
    /// the environment variable CLIPPER_ADMIN_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub admin_token_file: Option<PathBuf>,
    /// The same for queries and metrics over HTTP [instead: CLIPPER_QUERY_TOKEN]
    #[arg(long, value_name = "FILE")]
    pub query_token_file: Option<PathBuf>,
    /// Serve HTTPS on both HTTP ports, with this chain of certificates (PEM)
    #[arg(
        long,
        env = "CLIPPER_TLS_CERT",
        value_name = "FILE",
        requires = "tls_key"
    )]
    pub tls_cert: Option<PathBuf>,
    /// The first certificate's private key (PEM)
    #[arg(
        long,
        env = "CLIPPER_TLS_KEY",
        value_name = "FILE",
        requires = "tls_cert"
    )]
    pub tls_key: Option<PathBuf>,
    /// Encrypt all ZeroMQ ports with CURVE, and take only known keys there; the frontend's own keys are in this file
    #[arg(
        long,
        env = "CLIPPER_CURVE_KEY",
        value_name = "NAME.key_secret",
        requires = "curve_containers",
        requires = "curve_clients"
    )]
    pub curve_key: Option<PathBuf>,
    /// Folder with the public keys (*.key) of the model servers that may register; looked at anew when it changes
    #[arg(
        long,
        env = "CLIPPER_CURVE_CONTAINERS",
        value_name = "FOLDER",
        requires = "curve_key"
    )]
    pub curve_containers: Option<PathBuf>,
    /// Folder with the public keys (*.key) of the clients that may query
    #[arg(
        long,
        env = "CLIPPER_CURVE_CLIENTS",
        value_name = "FOLDER",
        requires = "curve_key"
    )]
    pub curve_clients: Option<PathBuf>,
    /// Listen beyond this machine without tokens and CURVE: where a network of trusted programs is the boundary
    #[arg(long, env = "CLIPPER_INSECURE", value_parser = clap::builder::FalseyValueParser::new())]
    pub insecure: bool,
    /// Serve nothing, but draw new CURVE keys and write them to NAME.key (public) and NAME.key_secret
    #[arg(long, value_name = "NAME")]
    pub new_curve_key: Option<PathBuf>,
}

/// Why what the flags of [`Access`] name cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum AccessError {
    /// The token's file cannot be read.
    #[error("cannot read the token in {}: {error}", file.display())]
    TokenFile {
        /// The file.
        file: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The token's file or variable holds none.
    #[error(
        "{0} holds no token: at least {SHORTEST_TOKEN} visible ASCII characters, such as `openssl rand -hex 32` draws"
    )]
    NoToken(String),
    /// The file of certificates is none.
    #[error("--tls_cert {} is no file of certificates: {error}", file.display())]
    Certificates {
        /// The file.
        file: PathBuf,
        /// Why.
        error: pem::Error,
    },
    /// The private key's file is none.
    #[error("--tls_key {} is no private key: {error}", file.display())]
    PrivateKey {
        /// The file.
        file: PathBuf,
        /// Why.
        error: pem::Error,
    },
    /// The key is not that of the first certificate.
    #[error("--tls_cert and --tls_key do not belong together: {0}")]
    KeyOfOther(rustls::Error),
    /// There is no folder of public keys.
    #[error("{flag} {} is no folder of public keys", folder.display())]
    NoFolder {
        /// The flag that names the folder.
        flag: &'static str,
        /// The folder.
        folder: PathBuf,
    },
    /// The folder of public keys cannot be read.
    #[error("the public keys of who may connect: cannot read {}: {error}", folder.display())]
    Folder {
        /// The folder.
        folder: PathBuf,
        /// Why.
        error: io::Error,
    },
    /// The frontend's own CURVE keys cannot be read.
    #[error("--curve_key: {0}")]
    CurveKey(KeyError),
    /// The address is not this machine's alone, and nothing keeps strangers out.
    #[error(
        "on {address} anybody who reaches it could {what}: give these flags, or --insecure where only trusted programs \
         reach it"
    )]
    Open {
        /// The address.
        address: Ipv4Addr,
        /// What anybody could do, each with the flag that prevents it.
        what: String,
    },
}

/// The same, read and checked.
pub(crate) struct Guards {
    pub(crate) admin: Option<Token>,
    pub(crate) query: Option<Token>,
    pub(crate) tls: Option<TlsAcceptor>,
    pub(crate) curve: Option<Curve>,
}

/// What a client must know.
#[derive(Clone)]
pub(crate) struct Token([u8; 32]);

/// The keys of the ZeroMQ ports.
pub(crate) struct Curve {
    pub(crate) keys: KeyPair,
    /// Folders of public keys.
    pub(crate) containers: PathBuf,
    pub(crate) clients: PathBuf,
}

impl Access {
    /// Reads what the flags name.
    ///
    /// # Errors
    /// If a file is not what it should be, or the address is not this machine's alone and somebody could come in unknown.
    pub(crate) fn guards(&self, address: Ipv4Addr) -> Result<Guards, AccessError> {
        let guards = Guards {
            admin: Token::find(self.admin_token_file.as_deref(), "CLIPPER_ADMIN_TOKEN")?,
            query: Token::find(self.query_token_file.as_deref(), "CLIPPER_QUERY_TOKEN")?,
            tls: self.tls()?,
            curve: self.curve()?,
        };
        if !address.is_loopback() {
            guards.check(address, self.insecure)?;
        }
        Ok(guards)
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
            .map_err(AccessError::KeyOfOther)?;
        Ok(Some(TlsAcceptor::from(Arc::new(config))))
    }

    fn curve(&self) -> Result<Option<Curve>, AccessError> {
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
                return Err(AccessError::NoFolder { flag, folder });
            }
        }
        Ok(Some(Curve {
            keys: KeyPair::read(key).map_err(AccessError::CurveKey)?,
            containers: containers.clone(),
            clients: clients.clone(),
        }))
    }
}

impl Guards {
    /// Whether to listen on an address that others reach.
    fn check(&self, address: Ipv4Addr, insecure: bool) -> Result<(), AccessError> {
        let open = [
            (self.admin.is_none(), "administrate (--admin_token_file)"),
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
            return Err(AccessError::Open { address, what });
        }
        if self.tls.is_none() && (self.admin.is_some() || self.query.is_some()) {
            tracing::warn!("tokens go over the network as they are: give --tls_cert and --tls_key");
        }
        Ok(())
    }
}

impl Token {
    /// From the file, or from the variable.
    fn find(file: Option<&Path>, variable: &str) -> Result<Option<Token>, AccessError> {
        let (text, whence) = match (file, env::var(variable)) {
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
        if token.len() < SHORTEST_TOKEN || !token.bytes().all(|byte| byte.is_ascii_graphic()) {
            return Err(AccessError::NoToken(whence));
        }
        Ok(Some(Token::of(token.as_bytes())))
    }

    /// Digests are compared, which have one length and nothing of the token in them.
    fn of(token: &[u8]) -> Token {
        Token(Sha256::digest(token).into())
    }

    /// Whether an `Authorization` header bears it; the time that it takes tells nothing of the token.
    pub(crate) fn is_borne_by(&self, authorization: Option<&[u8]>) -> bool {
        let bearer = authorization.and_then(|value| value.split_first_chunk::<7>());
        let Some((scheme, token)) = bearer else {
            return false;
        };
        let same = self.0.ct_eq(&Token::of(token.trim_ascii()).0);
        scheme.eq_ignore_ascii_case(b"bearer ") && bool::from(same)
    }
}

impl fmt::Debug for Token {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("Token")
    }
}

/// The public keys in a folder. A file that holds none is left out, with a warning.
///
/// # Errors
/// If the folder cannot be read.
pub(crate) fn known_keys(
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
            tracing::warn!("left out: {error}");
            None
        }
    }))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_token_is_borne_whole_or_not_at_all() {
        let token = Token::of(b"0123456789abcdef");
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
            assert_eq!(token.is_borne_by(header), borne, "{header:?}");
        }
    }
}
