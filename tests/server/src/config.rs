//! What a server is started with.

use crate::data_key::DataKeySource;
use crate::edge::{TimeSource, system_time};
use crate::faults::Faults;
use snaptrak_seal::KemAlgorithm;
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Duration;

/// Access tokens last a quarter of an hour: what a lost one is good for.
pub const ACCESS_TOKEN_LASTS_MS: i64 = 15 * 60 * 1_000;

/// Capabilities last three days: an operating system may hold a background transfer over a weekend.
pub const CAPABILITY_LASTS_MS: i64 = 3 * 24 * 60 * 60 * 1_000;

/// A body that sends nothing for this long has lost its network.
pub const BODY_IDLE: Duration = Duration::from_secs(30);

/// How the server speaks.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub enum Encryption {
    /// Plain HTTP: loopback addresses only.
    #[default]
    Plain,
    /// TLS with a certificate that the server makes.
    Made,
    /// TLS with a given certificate chain and key, both PEM.
    Given {
        /// The chain, leaf first.
        certificate: PathBuf,
        /// The leaf's private key.
        key: PathBuf,
    },
}

/// Everything that a server needs to know.
#[derive(Clone)]
pub struct ServerConfig {
    /// The folder with everything that the server keeps; made if it is not there.
    pub data: PathBuf,
    /// Where to listen; port 0 asks for a free one.
    pub listen: SocketAddr,
    /// How to speak.
    pub encryption: Encryption,
    /// Where the data key comes from.
    pub data_key: DataKeySource,
    /// The upload key's algorithm; counts at the first start only.
    pub kem: KemAlgorithm,
    /// The organisation's name; counts at the first start only.
    pub organisation: String,
    /// How long an access token lasts.
    pub access_token_ms: i64,
    /// How long an upload's capability lasts.
    pub capability_ms: i64,
    /// How long a body may send nothing.
    pub body_idle: Duration,
    /// Where time comes from.
    pub time: TimeSource,
    /// Faults to inject: none outside tests.
    pub faults: Arc<Faults>,
}

impl ServerConfig {
    /// Plain HTTP on a free port of loopback, everything else as usual.
    #[must_use]
    pub fn loopback(data: impl Into<PathBuf>) -> Self {
        Self {
            data: data.into(),
            listen: SocketAddr::from(([127, 0, 0, 1], 0)),
            encryption: Encryption::default(),
            data_key: DataKeySource::default(),
            kem: KemAlgorithm::XWing,
            organisation: "SnapTrak reference".to_owned(),
            access_token_ms: ACCESS_TOKEN_LASTS_MS,
            capability_ms: CAPABILITY_LASTS_MS,
            body_idle: BODY_IDLE,
            time: system_time(),
            faults: Arc::new(Faults::none()),
        }
    }
}
