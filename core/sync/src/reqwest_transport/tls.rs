//! TLS: ring as the provider of this configuration alone (nothing is installed for the process), the platform's verifier,
//! and the roots that the organisation adds.

use std::sync::Arc;

use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::CryptoProvider;
use rustls::pki_types::CertificateDer;
use rustls::pki_types::pem::PemObject;
use rustls::{ClientConfig, RootCertStore};

use super::TransportError;

/// Reads concatenated PEM certificates. Text that holds none is refused, since someone meant it to hold one.
pub(super) fn read_roots(pem: &[u8]) -> Result<Vec<CertificateDer<'static>>, TransportError> {
    let roots: Vec<_> =
        CertificateDer::pem_slice_iter(pem).collect::<Result<_, _>>().map_err(|_| TransportError::Roots)?;
    if roots.is_empty() && !pem.iter().all(u8::is_ascii_whitespace) {
        return Err(TransportError::Roots);
    }
    Ok(roots)
}

/// The configuration. For this machine only the given roots count: no authority certifies loopback, and reading the
/// platform's takes a while.
pub(super) fn configuration(roots: &[CertificateDer<'static>], local: bool) -> Option<ClientConfig> {
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let verifier = if local { own_verifier(roots, &provider)? } else { platform_verifier(roots, &provider)? };
    let builder = ClientConfig::builder_with_provider(provider)
        .with_protocol_versions(&[&rustls::version::TLS13, &rustls::version::TLS12])
        .expect("ring supports TLS 1.2 and 1.3");
    // The verifiers here are the platform's or webpki; the method is named for what else one could pass.
    let mut configuration = builder.dangerous().with_custom_certificate_verifier(verifier).with_no_client_auth();
    configuration.alpn_protocols = vec![b"http/1.1".to_vec()];
    Some(configuration)
}

fn platform_verifier(
    roots: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<dyn ServerCertVerifier>> {
    let verifier = with_platform_roots(roots, provider.clone());
    match verifier {
        Ok(verifier) => Some(Arc::new(verifier)),
        Err(error) => {
            tracing::warn!(%error, "the platform's roots cannot be read; only the configured ones count");
            own_verifier(roots, provider)
        }
    }
}

#[cfg(not(target_os = "android"))]
fn with_platform_roots(
    roots: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<rustls_platform_verifier::Verifier, rustls::Error> {
    rustls_platform_verifier::Verifier::new_with_extra_roots(roots.iter().cloned(), provider)
}

// Android's verifier takes no further roots: there they come with the app's network security configuration.
#[cfg(target_os = "android")]
fn with_platform_roots(
    _roots: &[CertificateDer<'static>],
    provider: Arc<CryptoProvider>,
) -> Result<rustls_platform_verifier::Verifier, rustls::Error> {
    rustls_platform_verifier::Verifier::new(provider)
}

fn own_verifier(
    roots: &[CertificateDer<'static>],
    provider: &Arc<CryptoProvider>,
) -> Option<Arc<dyn ServerCertVerifier>> {
    let mut store = RootCertStore::empty();
    store.add_parsable_certificates(roots.iter().cloned());
    if store.is_empty() {
        return Some(Arc::new(NobodyTrusted(provider.clone())));
    }
    match WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider.clone()).build() {
        Ok(verifier) => Some(verifier),
        Err(error) => {
            tracing::error!(%error, "the configured roots cannot be used");
            None
        }
    }
}

/// Without any root no certificate is trusted; plain HTTP to this machine still works.
#[derive(Debug)]
struct NobodyTrusted(Arc<CryptoProvider>);

impl ServerCertVerifier for NobodyTrusted {
    fn verify_server_cert(
        &self,
        _end_entity: &CertificateDer<'_>,
        _intermediates: &[CertificateDer<'_>],
        _server_name: &rustls::pki_types::ServerName<'_>,
        _ocsp_response: &[u8],
        _now: rustls::pki_types::UnixTime,
    ) -> Result<rustls::client::danger::ServerCertVerified, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn verify_tls12_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn verify_tls13_signature(
        &self,
        _message: &[u8],
        _certificate: &CertificateDer<'_>,
        _signature: &rustls::DigitallySignedStruct,
    ) -> Result<rustls::client::danger::HandshakeSignatureValid, rustls::Error> {
        Err(rustls::Error::InvalidCertificate(rustls::CertificateError::UnknownIssuer))
    }

    fn supported_verify_schemes(&self) -> Vec<rustls::SignatureScheme> {
        self.0.signature_verification_algorithms.supported_schemes()
    }
}
