//! TLS servers with something wrong with them: a handshake that stops half-way, a certificate that has run out or is of
//! another name. Behind the handshake each answers every request with an empty list of pods.

use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::Arc;
use std::time::Duration;

use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair, date_time_ymd};
use rustls::pki_types::PrivateKeyDer;
use rustls::server::WebPkiClientVerifier;
use rustls::{RootCertStore, ServerConfig, ServerConnection, StreamOwned};

use crate::Error;

/// What is wrong.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Oddity {
    /// The handshake stops half-way, and the connection stays open.
    HalfHandshake,
    /// The handshake stops half-way, and the connection is closed.
    CutHandshake,
    /// What answers does not speak TLS.
    NoTls,
    /// The certificate has run out.
    Expired,
    /// The certificate is not valid yet.
    NotYet,
    /// The certificate is of another name.
    OtherName,
    /// An authority that the client does not know.
    UnknownAuthority,
    /// It wants a client's certificate of its authority.
    ClientCertificate,
    /// Its certificate is its own authority, as `openssl req -x509` makes it.
    OwnAuthority,
    /// The same, of another name.
    OwnAuthorityOfOtherName,
    /// The same, run out.
    OwnAuthorityExpired,
    /// The same, and not the one that is trusted, though of the same name.
    OwnAuthorityUnknown,
    /// Nothing.
    None,
}

impl Oddity {
    fn is_own_authority(self) -> bool {
        matches!(
            self,
            Self::OwnAuthority | Self::OwnAuthorityOfOtherName | Self::OwnAuthorityExpired | Self::OwnAuthorityUnknown
        )
    }
}

/// A server, for as long as this process runs.
pub struct OddTls {
    address: SocketAddr,
    /// The authority to trust, in PEM.
    pub authority: String,
    /// A client's certificate and its key, in PEM, where it wants one.
    pub client: Option<(String, String)>,
}

impl OddTls {
    /// Starts one on a free port of the loopback interface.
    ///
    /// # Errors
    /// [`Error::Server`] where certificates can't be made or no port can be had.
    pub fn start(oddity: Oddity) -> Result<Self, Error> {
        let listener = TcpListener::bind("127.0.0.1:0").map_err(Error::server)?;
        let address = listener.local_addr().map_err(Error::server)?;
        let Certified { authority, client, config } = certified(oddity)?;
        std::thread::spawn(move || {
            for stream in listener.incoming().map_while(Result::ok) {
                let config = Arc::clone(&config);
                // A client that goes away in the middle is what is wanted.
                std::thread::spawn(move || serve(stream, oddity, config));
            }
        });
        Ok(Self { address, authority, client })
    }

    /// Its URL.
    #[must_use]
    pub fn url(&self) -> String {
        format!("https://{}", self.address)
    }
}

struct Certified {
    authority: String,
    client: Option<(String, String)>,
    config: Arc<ServerConfig>,
}

fn certified(oddity: Oddity) -> Result<Certified, Error> {
    let authority = |key: &KeyPair| {
        let mut params = CertificateParams::default();
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        params.self_signed(key).map(|certificate| (certificate, params))
    };
    let (own, other) = (KeyPair::generate().map_err(Error::server)?, KeyPair::generate().map_err(Error::server)?);
    let (certificate, params) = authority(&own).map_err(Error::server)?;
    let (stranger, _) = authority(&other).map_err(Error::server)?;
    let issuer = Issuer::new(params, own);
    let other_name = matches!(oddity, Oddity::OtherName | Oddity::OwnAuthorityOfOtherName);
    let name = if other_name { "another.example.com" } else { "127.0.0.1" };
    let mut params = CertificateParams::new([name.to_owned()]).map_err(Error::server)?;
    match oddity {
        Oddity::Expired | Oddity::OwnAuthorityExpired => params.not_after = date_time_ymd(2021, 1, 1),
        Oddity::NotYet => params.not_before = date_time_ymd(2090, 1, 1),
        _ => {}
    }
    let key = KeyPair::generate().map_err(Error::server)?;
    let (leaf, other_leaf) = if oddity.is_own_authority() {
        params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
        let other = params.self_signed(&KeyPair::generate().map_err(Error::server)?).map_err(Error::server)?;
        (params.self_signed(&key).map_err(Error::server)?, Some(other))
    } else {
        (params.signed_by(&key, &issuer).map_err(Error::server)?, None)
    };
    let provider = Arc::new(rustls::crypto::ring::default_provider());
    let builder = ServerConfig::builder_with_provider(Arc::clone(&provider))
        .with_safe_default_protocol_versions()
        .map_err(Error::server)?;
    let (builder, client) = if oddity == Oddity::ClientCertificate {
        let mut known = RootCertStore::empty();
        known.add(certificate.der().clone()).map_err(Error::server)?;
        let verifier = WebPkiClientVerifier::builder_with_provider(Arc::new(known), provider).build();
        let key = KeyPair::generate().map_err(Error::server)?;
        let params = CertificateParams::new(["client".to_owned()]).map_err(Error::server)?;
        let client = params.signed_by(&key, &issuer).map_err(Error::server)?;
        let verified = builder.with_client_cert_verifier(verifier.map_err(Error::server)?);
        (verified, Some((client.pem(), key.serialize_pem())))
    } else {
        (builder.with_no_client_auth(), None)
    };
    let config = builder
        .with_single_cert(vec![leaf.der().clone()], PrivateKeyDer::Pkcs8(key.serialize_der().into()))
        .map_err(Error::server)?;
    let trusted = match (oddity, other_leaf) {
        (Oddity::UnknownAuthority, _) => stranger,
        (Oddity::OwnAuthorityUnknown, Some(other)) => other,
        (_, Some(_)) => leaf,
        (_, None) => certificate,
    };
    Ok(Certified { authority: trusted.pem(), client, config: Arc::new(config) })
}

fn serve(mut stream: TcpStream, oddity: Oddity, config: Arc<ServerConfig>) {
    match oddity {
        Oddity::HalfHandshake | Oddity::CutHandshake => {
            let _ = stream.read(&mut [0; 4096]);
            // The head of a record of 16 KiB, and the first bytes of a ServerHello.
            let _ = stream.write_all(&[0x16, 3, 3, 0x40, 0, 2, 0, 0, 0x70, 3, 3]);
            if oddity == Oddity::HalfHandshake {
                std::thread::sleep(Duration::from_secs(120));
            }
        }
        Oddity::NoTls => {
            let _ = stream.read(&mut [0; 4096]);
            let _ = stream.write_all(b"HTTP/1.1 400 Bad Request\r\nContent-Length: 0\r\n\r\n");
        }
        _ => {
            let Ok(connection) = ServerConnection::new(config) else { return };
            let mut reader = BufReader::new(StreamOwned::new(connection, stream));
            let mut line = String::new();
            while reader.read_line(&mut line).is_ok_and(|read| read > 0) {
                if line == "\r\n" {
                    let list = r#"{"kind":"PodList","apiVersion":"v1","metadata":{},"items":[]}"#;
                    let head = "HTTP/1.1 200 OK\r\nContent-Type: application/json\r\nContent-Length";
                    if write!(reader.get_mut(), "{head}: {}\r\n\r\n{list}", list.len()).is_err() {
                        return;
                    }
                }
                line.clear();
            }
        }
    }
}
