//! Servers whose certificate is its own authority, as `openssl req -x509` makes it (`CA:TRUE`), and is named as the
//! authority to trust. Go takes it (`crypto/x509`, `Certificate.Verify`: a leaf that is in the pool of roots is its own
//! chain); rustls' verifier refuses every leaf that may sign others.

use std::sync::Arc;

use hyper_util::client::legacy::connect::HttpConnector;
use hyper_util::rt::TokioExecutor;
use kube::client::{Body, ClientBuilder, ConfigExt};
use kube::{Client, Config};
use rustls::client::danger::{HandshakeSignatureValid, ServerCertVerified, ServerCertVerifier};
use rustls::client::{WebPkiServerVerifier, verify_server_name};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::ParsedCertificate;
use rustls::{CertificateError, ClientConfig, DigitallySignedStruct, RootCertStore, SignatureScheme};
use tower::{BoxError, ServiceBuilder};

/// Takes what rustls' own verifier takes, and a certificate that is one of the roots and of the server's name.
#[derive(Debug)]
struct OwnAuthority {
    usual: Arc<WebPkiServerVerifier>,
    roots: Vec<CertificateDer<'static>>,
}

impl OwnAuthority {
    /// `None` where no root could be the server's own certificate: rustls' verifier is then the one to ask.
    fn of(roots: Vec<CertificateDer<'static>>, host: &str) -> Option<Self> {
        let name = ServerName::try_from(host.trim_matches(['[', ']'])).ok()?;
        let is_own = |root: &CertificateDer<'_>| {
            ParsedCertificate::try_from(root).is_ok_and(|parsed| verify_server_name(&parsed, &name).is_ok())
        };
        if !roots.iter().any(is_own) {
            return None;
        }
        let mut store = RootCertStore::empty();
        store.add_parsable_certificates(roots.iter().cloned());
        let provider = Arc::new(rustls::crypto::ring::default_provider());
        let usual = WebPkiServerVerifier::builder_with_provider(Arc::new(store), provider).build().ok()?;
        Some(Self { usual, roots })
    }
}

impl ServerCertVerifier for OwnAuthority {
    fn verify_server_cert(
        &self,
        leaf: &CertificateDer<'_>,
        chain: &[CertificateDer<'_>],
        name: &ServerName<'_>,
        ocsp: &[u8],
        now: UnixTime,
    ) -> Result<ServerCertVerified, rustls::Error> {
        match self.usual.verify_server_cert(leaf, chain, name, ocsp, now) {
            // Before it looks at whether a leaf may sign others, webpki has looked at when it is valid (`verify_cert.rs`,
            // `check_issuer_independent_properties`); the name is looked at afterwards.
            Err(rustls::Error::InvalidCertificate(CertificateError::Other(why)))
                if why.to_string() == "CaUsedAsEndEntity" && self.roots.iter().any(|root| root == leaf) =>
            {
                verify_server_name(&ParsedCertificate::try_from(leaf)?, name)?;
                Ok(ServerCertVerified::assertion())
            }
            other => other,
        }
    }

    fn verify_tls12_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls12_signature(message, leaf, signed)
    }

    fn verify_tls13_signature(
        &self,
        message: &[u8],
        leaf: &CertificateDer<'_>,
        signed: &DigitallySignedStruct,
    ) -> Result<HandshakeSignatureValid, rustls::Error> {
        self.usual.verify_tls13_signature(message, leaf, signed)
    }

    fn supported_verify_schemes(&self) -> Vec<SignatureScheme> {
        self.usual.supported_verify_schemes()
    }
}

/// A client of the API server: kube's own, but where the certificate may be its own authority.
pub(super) fn client(config: Config) -> Result<Client, kube::Error> {
    let host = config.tls_server_name.as_deref().or_else(|| config.cluster_url.host()).unwrap_or_default();
    let roots = config.root_cert.iter().flatten().map(|der| CertificateDer::from(der.clone())).collect();
    // Behind a proxy, kube's own connectors are needed.
    let plain = config.accept_invalid_certs || config.proxy_url.is_some();
    let Some(verifier) = OwnAuthority::of(roots, host).filter(|_| !plain) else { return Client::try_from(config) };
    let mut tls = config.rustls_client_config()?;
    tls.dangerous().set_certificate_verifier(Arc::new(verifier));
    let mut https = hyper_rustls::HttpsConnectorBuilder::new().with_tls_config(tls).https_or_http();
    if let Some(name) = config.tls_server_name.as_ref().and_then(|name| ServerName::try_from(name.clone()).ok()) {
        https = https.with_server_name_resolver(hyper_rustls::FixedServerNameResolver::new(name));
    }
    let mut tcp = HttpConnector::new();
    tcp.enforce_http(false);
    tcp.set_connect_timeout(config.connect_timeout);
    let connector = https.enable_http1().wrap_connector(tcp);
    let connections: hyper_util::client::legacy::Client<_, Body> =
        hyper_util::client::legacy::Client::builder(TokioExecutor::new()).build(connector);
    // As kube's own (`client/builder.rs`, `make_generic_builder`), without compression, tracing and retries.
    let service = ServiceBuilder::new()
        .layer(config.base_uri_layer())
        .option_layer(config.auth_layer()?)
        .layer(config.extra_headers_layer()?)
        .map_err(BoxError::from)
        .service(connections);
    Ok(ClientBuilder::new(service, config.default_namespace).build())
}

/// TLS to a server at `host` that may be its own authority, of PEM: the authorities, and who this is. `None` where none of
/// them could be the server's own certificate, or what is given cannot be used: that is for others to say.
pub(crate) fn own_authority(authorities: &[u8], identity: Option<&[u8]>, host: &str) -> Option<ClientConfig> {
    let roots = CertificateDer::pem_slice_iter(authorities).filter_map(Result::ok).collect();
    let verifier = Arc::new(OwnAuthority::of(roots, host)?);
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ClientConfig::builder_with_provider(provider).with_safe_default_protocol_versions().ok()?;
    let builder = builder.dangerous().with_custom_certificate_verifier(verifier);
    match identity {
        None => Some(builder.with_no_client_auth()),
        Some(pem) => {
            let chain = CertificateDer::pem_slice_iter(pem).filter_map(Result::ok).collect();
            builder.with_client_auth_cert(chain, PrivateKeyDer::from_pem_slice(pem).ok()?).ok()
        }
    }
}
