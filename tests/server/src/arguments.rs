//! The command line.

use base64::Engine as _;
use base64::engine::general_purpose::STANDARD;
use clap::{Args, Parser, Subcommand};
use snaptrak_seal::KemAlgorithm;
use snaptrak_server::config::{ACCESS_TOKEN_LASTS_MS, CAPABILITY_LASTS_MS};
use snaptrak_server::{DATA_KEY_VARIABLE, DataKeySource, Encryption};
use std::net::SocketAddr;
use std::path::PathBuf;
use zeroize::Zeroizing;

/// The SnapTrak reference API.
#[derive(Parser)]
#[command(name = "snaptrak-server", version, about)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    pub(crate) command: Command,
    /// What is logged on standard error: error, warn, info, debug or trace. Ids only, never contents.
    #[arg(long, global = true, default_value = "info", value_name = "LEVEL")]
    pub(crate) log: String,
}

/// What to do.
#[derive(Subcommand)]
pub(crate) enum Command {
    /// Serve a folder until SIGTERM.
    Serve(Box<Serve>),
    /// Write the private upload key, for the organisation's own hands.
    ExportUploadKey {
        /// The server's folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        key: Key,
        /// The file to make; it must not exist.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Yes, write a private key: whoever holds it opens everything that this organisation was sent.
        #[arg(long, required = true)]
        yes: bool,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Give the organisation a new upload key; the server serves it from its next start on.
    RotateUploadKey {
        /// The server's folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        key: Key,
        /// The key before it is lost or stolen: it opens nothing any more, and devices wrap anew what is not verified yet.
        #[arg(long)]
        revoke: bool,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Make a recovery key for which devices wrap too, and write its private half; the server never keeps it.
    MakeRecoveryKey {
        /// The server's folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        key: Key,
        /// The file to make; it must not exist.
        #[arg(short, long, value_name = "FILE")]
        output: PathBuf,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Vouch for a key that signs the organisation's models; the server serves it from its next start on, and never has its
    /// private half.
    AddModelsKey {
        /// The server's folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        key: Key,
        /// The raw public key in base64, as `cargo xtask models key` prints it.
        #[arg(long, value_name = "BASE64", value_parser = base64_bytes)]
        public: Base64Bytes,
        /// The keys before it are lost or stolen: what they signed is not taken any more.
        #[arg(long)]
        revoke: bool,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Publish the organisation's models: a running server serves them from now on.
    PublishModels {
        /// The server's folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        key: Key,
        /// The signed manifest, as `cargo xtask models sign` writes it.
        #[arg(long, value_name = "FILE")]
        signed: PathBuf,
        /// The folder with the files that it names.
        #[arg(long, value_name = "DIR")]
        from: PathBuf,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
    /// Print the root's fingerprint, for `--trust-root` of a client.
    TrustRoot {
        /// The server's folder.
        #[arg(long, value_name = "DIR")]
        data: PathBuf,
        #[command(flatten)]
        key: Key,
        /// Answer in JSON.
        #[arg(long)]
        json: bool,
    },
}

/// Bytes that are given in base64.
pub(crate) type Base64Bytes = std::sync::Arc<Vec<u8>>;

fn base64_bytes(text: &str) -> Result<Base64Bytes, base64::DecodeError> {
    STANDARD.decode(text.trim()).map(Base64Bytes::new)
}

/// Where the data key is.
#[derive(Args)]
pub(crate) struct Key {
    /// A file with the data key, 64 hexadecimal digits. Without it: the variable SNAPTRAK_SERVER_KEY, else DIR/data.key.
    #[arg(long, value_name = "FILE")]
    data_key_file: Option<PathBuf>,
}

impl Key {
    pub(crate) fn source(&self) -> DataKeySource {
        match (&self.data_key_file, std::env::var(DATA_KEY_VARIABLE)) {
            (Some(file), _) => DataKeySource::File(file.clone()),
            (None, Ok(digits)) => DataKeySource::Given(Zeroizing::new(digits)),
            (None, Err(_)) => DataKeySource::Folder,
        }
    }
}

/// How to serve.
#[derive(Args)]
pub(crate) struct Serve {
    /// The folder with everything that the server keeps; made if it is not there.
    #[arg(long, value_name = "DIR")]
    pub(crate) data: PathBuf,
    /// Where to listen; port 0 asks for a free one. Plain HTTP on loopback addresses only.
    #[arg(long, value_name = "ADDR:PORT")]
    pub(crate) listen: SocketAddr,
    #[command(flatten)]
    pub(crate) key: Key,
    /// Speak TLS with a certificate that the server makes.
    #[arg(long, conflicts_with = "tls_certificate")]
    tls: bool,
    /// Speak TLS with this certificate chain (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_key")]
    tls_certificate: Option<PathBuf>,
    /// The certificate's private key (PEM).
    #[arg(long, value_name = "FILE", requires = "tls_certificate")]
    tls_key: Option<PathBuf>,
    /// The upload key's algorithm, x-wing or x25519. Counts at the first start only.
    #[arg(long, default_value = "x-wing")]
    pub(crate) kem: KemAlgorithm,
    /// The organisation's name. Counts at the first start only.
    #[arg(long, default_value = "SnapTrak reference", value_name = "NAME")]
    pub(crate) organisation: String,
    /// How long an access token lasts.
    #[arg(long, default_value_t = ACCESS_TOKEN_LASTS_MS, value_name = "N")]
    pub(crate) access_token_ms: i64,
    /// How long an upload's capability lasts.
    #[arg(long, default_value_t = CAPABILITY_LASTS_MS, value_name = "N")]
    pub(crate) capability_ms: i64,
    /// A test instrument: faults to inject, read again at each request.
    #[arg(long, hide = true, value_name = "FILE")]
    pub(crate) fault_file: Option<PathBuf>,
}

impl Serve {
    pub(crate) fn encryption(&self) -> Encryption {
        match (&self.tls_certificate, &self.tls_key) {
            (Some(certificate), Some(key)) => Encryption::Given { certificate: certificate.clone(), key: key.clone() },
            _ if self.tls => Encryption::Made,
            _ => Encryption::Plain,
        }
    }
}
