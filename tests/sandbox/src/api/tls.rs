//! Certificates: an authority for the run, the server's certificate, and one for each user.

use std::sync::Arc;

use rcgen::{BasicConstraints, CertificateParams, DnType, ExtendedKeyUsagePurpose, IsCa, Issuer, KeyPair};
use rustls::RootCertStore;
use rustls::pki_types::{CertificateDer, PrivateKeyDer};
use rustls::server::WebPkiClientVerifier;
use tokio_rustls::TlsAcceptor;

use crate::Error;
use crate::users::USERS;

/// What clients need to know.
pub struct Credentials {
    /// The authority's certificate in PEM.
    pub authority: String,
    /// An authority that has signed nothing here, for a client that trusts the wrong one.
    pub stranger: String,
    users: Vec<UserCertificate>,
}

/// A user's client certificate.
pub struct UserCertificate {
    /// The user.
    pub user: &'static str,
    /// Certificate in PEM.
    pub certificate: String,
    /// Private key in PEM.
    pub key: String,
    der: CertificateDer<'static>,
}

impl Credentials {
    /// A user's client certificate.
    #[must_use]
    pub fn of(&self, user: &str) -> Option<&UserCertificate> {
        self.users.iter().find(|entry| entry.user == user)
    }

    /// The user that a client certificate was issued to.
    pub(super) fn user_of(&self, certificate: &CertificateDer<'_>) -> Option<&'static str> {
        self.users.iter().find(|entry| entry.der == *certificate).map(|entry| entry.user)
    }
}

/// Makes the certificates of one run, and the acceptor that serves with them.
pub(super) fn issue() -> Result<(Credentials, TlsAcceptor), Error> {
    let (authority, issuer) = authority("sandbox-ca")?;
    let (stranger, _) = self::authority("another-ca")?;

    let server_key = KeyPair::generate().map_err(Error::server)?;
    let names = vec!["localhost".to_owned(), "127.0.0.1".to_owned(), "kubernetes.default.svc".to_owned()];
    let mut server = CertificateParams::new(names).map_err(Error::server)?;
    server.distinguished_name.push(DnType::CommonName, "kube-apiserver");
    server.extended_key_usages = vec![ExtendedKeyUsagePurpose::ServerAuth];
    let server_certificate = server.signed_by(&server_key, &issuer).map_err(Error::server)?;

    let users = USERS
        .iter()
        .map(|user| {
            let key = KeyPair::generate()?;
            let mut params = CertificateParams::default();
            params.distinguished_name.push(DnType::CommonName, user.name);
            params.extended_key_usages = vec![ExtendedKeyUsagePurpose::ClientAuth];
            let certificate = params.signed_by(&key, &issuer)?;
            let (pem, der) = (certificate.pem(), certificate.der().clone());
            Ok(UserCertificate { user: user.name, certificate: pem, key: key.serialize_pem(), der })
        })
        .collect::<Result<Vec<_>, rcgen::Error>>()
        .map_err(Error::server)?;

    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let mut roots = RootCertStore::empty();
    roots.add(authority.der().clone()).map_err(Error::server)?;
    let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(roots), Arc::clone(&provider))
        .allow_unauthenticated()
        .build()
        .map_err(Error::server)?;
    let mut config = rustls::ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .map_err(Error::server)?
        .with_client_cert_verifier(verifier)
        .with_single_cert(
            vec![server_certificate.der().clone()],
            PrivateKeyDer::Pkcs8(server_key.serialize_der().into()),
        )
        .map_err(Error::server)?;
    config.alpn_protocols = vec![b"http/1.1".to_vec()];

    let credentials = Credentials { authority: authority.pem(), stranger: stranger.pem(), users };
    Ok((credentials, TlsAcceptor::from(Arc::new(config))))
}

fn authority(name: &str) -> Result<(rcgen::Certificate, Issuer<'static, KeyPair>), Error> {
    let key = KeyPair::generate().map_err(Error::server)?;
    let mut params = CertificateParams::default();
    params.distinguished_name.push(DnType::CommonName, name);
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let certificate = params.self_signed(&key).map_err(Error::server)?;
    Ok((certificate, Issuer::new(params, key)))
}
