//! TLS: a given certificate, or one that the server makes.
//!
//! A made certificate is a leaf for the listening address and loopback, drawn anew at each start and signed by a root of this
//! folder's own. The root's private key lies sealed in the folder; its certificate is what `--trusted-root` of a client wants.

use crate::at_rest::AtRest;
use crate::config::Encryption;
use crate::edge::OsRandom;
use crate::error::Error;
use crate::folder::{Folder, write_new_private};
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair,
    KeyUsagePurpose,
};
use rustls::ServerConfig;
use rustls::pki_types::pem::PemObject as _;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use std::net::IpAddr;
use std::path::{Path, PathBuf};
use std::sync::Arc;

const ROOT_KEY_COLUMN: &str = "tls.root_key";
const ROOT_KEY_ROW: &[u8] = b"1";

/// What a connection is accepted with.
pub(crate) struct Tls {
    pub(crate) config: Arc<ServerConfig>,
    /// The root of a made certificate.
    pub(crate) made_root: Option<PathBuf>,
}

/// `None` for plain HTTP.
pub(crate) fn load(
    encryption: &Encryption,
    folder: &Folder,
    at_rest: &AtRest,
    address: IpAddr,
) -> Result<Option<Tls>, Error> {
    match encryption {
        Encryption::Plain => Ok(None),
        Encryption::Given { certificate, key } => {
            let chain = CertificateDer::pem_file_iter(certificate)
                .and_then(Iterator::collect::<Result<Vec<_>, _>>)
                .map_err(|error| Error::key(format!("the certificate cannot be read: {error}")))?;
            let key = PrivateKeyDer::from_pem_file(key)
                .map_err(|error| Error::key(format!("the certificate's key cannot be read: {error}")))?;
            Ok(Some(Tls { config: config(chain, key)?, made_root: None }))
        }
        Encryption::Made => make(folder, at_rest, address).map(Some),
    }
}

fn config(chain: Vec<CertificateDer<'static>>, key: PrivateKeyDer<'static>) -> Result<Arc<ServerConfig>, Error> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::key)?
        .with_no_client_auth()
        .with_single_cert(chain, key)
        .map_err(Error::key)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];
    Ok(Arc::new(config))
}

fn make(folder: &Folder, at_rest: &AtRest, address: IpAddr) -> Result<Tls, Error> {
    let tls = folder.tls()?;
    let root_path = tls.join("root.pem");
    let root = root_key(&tls.join("root.key.sealed"), at_rest)?;
    let params = root_params();
    if !root_path.is_file() {
        let certificate = params.self_signed(&root).map_err(Error::key)?;
        write_new_private(&root_path, certificate.pem().as_bytes())?;
    }
    let issuer = Issuer::new(params, root);
    let key = KeyPair::generate().map_err(Error::key)?;
    let mut names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "::1".to_owned()];
    if !address.is_unspecified() && !address.is_loopback() {
        names.push(address.to_string());
    }
    let mut leaf = CertificateParams::new(names).map_err(Error::key)?;
    leaf.distinguished_name = name("SnapTrak reference server");
    leaf.use_authority_key_identifier_extension = true;
    leaf.key_usages = vec![KeyUsagePurpose::DigitalSignature];
    leaf.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let certificate = leaf.signed_by(&key, &issuer).map_err(Error::key)?;
    let private = PrivateKeyDer::try_from(key.serialize_der()).map_err(Error::key)?;
    Ok(Tls { config: config(vec![certificate.der().clone()], private)?, made_root: Some(root_path) })
}

/// The same every time, so that leaves of later starts chain to the root that clients were given.
fn root_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = name("SnapTrak reference server's own root");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign];
    params
}

fn name(common: &str) -> DistinguishedName {
    let mut name = DistinguishedName::new();
    name.push(DnType::CommonName, common);
    name
}

fn root_key(path: &Path, at_rest: &AtRest) -> Result<KeyPair, Error> {
    if !path.is_file() {
        let key = KeyPair::generate().map_err(Error::key)?;
        let sealed = at_rest.seal(ROOT_KEY_COLUMN, ROOT_KEY_ROW, &key.serialize_der(), &OsRandom)?;
        write_new_private(path, &sealed)?;
    }
    let sealed = std::fs::read(path).map_err(Error::file("read", path))?;
    let der = at_rest.open(ROOT_KEY_COLUMN, ROOT_KEY_ROW, &sealed)?;
    KeyPair::try_from(der.as_slice()).map_err(Error::key)
}
