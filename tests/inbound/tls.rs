//! TLS on a listener, client certificates, and replacing both while it listens.
use crate::rig::{Client, Echo, Rig, SOON, generous};
use rcgen::{BasicConstraints, CertificateParams, CertifiedIssuer, IsCa, KeyPair};
use rustls::{
    ClientConfig, RootCertStore,
    pki_types::{CertificateDer, PrivateKeyDer, ServerName, pem::PemObject},
};
use std::sync::Arc;
use tokio::net::TcpStream;
use tokio_rustls::{TlsConnector, client::TlsStream};
use usher::inbound::server::{Tls, TlsError, TlsFiles};

/// An authority and a certificate of it for `localhost`, in PEM.
struct Issued {
    authority: String,
    certificate: String,
    key: String,
}

fn issue() -> Issued {
    let mut params = CertificateParams::new([]).unwrap();
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let authority = CertifiedIssuer::self_signed(params, KeyPair::generate().unwrap()).unwrap();
    let key = KeyPair::generate().unwrap();
    let leaf = CertificateParams::new(["localhost".to_owned()]).unwrap();
    let certificate = leaf.signed_by(&key, &authority).unwrap();
    Issued { authority: authority.pem(), certificate: certificate.pem(), key: key.serialize_pem() }
}

fn files(issued: &Issued) -> TlsFiles<'_> {
    TlsFiles {
        certificate: issued.certificate.as_bytes(),
        key: issued.key.as_bytes(),
        client_ca: None,
    }
}

fn client_of(authority: &Issued, own: Option<&Issued>, alpn: &[&[u8]]) -> TlsConnector {
    let mut roots = RootCertStore::empty();
    roots.add(CertificateDer::from_pem_slice(authority.authority.as_bytes()).unwrap()).unwrap();
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let builder = ClientConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .unwrap()
        .with_root_certificates(roots);
    let mut config = match own {
        None => builder.with_no_client_auth(),
        Some(own) => builder
            .with_client_auth_cert(
                vec![CertificateDer::from_pem_slice(own.certificate.as_bytes()).unwrap()],
                PrivateKeyDer::from_pem_slice(own.key.as_bytes()).unwrap(),
            )
            .unwrap(),
    };
    config.alpn_protocols = alpn.iter().map(|name| name.to_vec()).collect();
    TlsConnector::from(Arc::new(config))
}

async fn connect(rig: &Rig, connector: TlsConnector) -> std::io::Result<TlsStream<TcpStream>> {
    connector.connect(ServerName::try_from("localhost").unwrap(), rig.tcp().await).await
}

const GET: &str = "GET / HTTP/1.1\r\nHost: a\r\n\r\n";

#[tokio::test]
async fn a_request_comes_through_and_alpn_chooses_the_version() {
    let server = issue();
    let tls = Tls::new(files(&server)).unwrap();
    let rig = Rig::secured(Arc::new(Echo::default()), generous(), Some(tls)).await;
    for alpn in [&[][..], &[b"http/1.1".as_slice()]] {
        let stream = connect(&rig, client_of(&server, None, alpn)).await.unwrap();
        let mut client = Client::new(stream);
        client.send(GET).await;
        assert_eq!(client.reply().await.status, 200);
    }
    let stream = connect(&rig, client_of(&server, None, &[b"h2", b"http/1.1"])).await.unwrap();
    assert_eq!(stream.get_ref().1.alpn_protocol(), Some(&b"h2"[..]));
    let mut client = Client::new(stream);
    client.send(b"PRI * HTTP/2.0\r\n\r\nSM\r\n\r\n\0\0\0\x04\0\0\0\0\0").await;
    assert_eq!(client.take(9).await[3], 4, "the server's SETTINGS come first");
}

#[tokio::test]
async fn a_new_certificate_serves_new_connections_and_the_old_ones_go_on() {
    let (before, after) = (issue(), issue());
    let tls = Tls::new(files(&before)).unwrap();
    let rig = Rig::secured(Arc::new(Echo::default()), generous(), Some(tls.clone())).await;
    let mut old = Client::new(connect(&rig, client_of(&before, None, &[])).await.unwrap());
    tls.replace(files(&after)).unwrap();
    assert!(connect(&rig, client_of(&before, None, &[])).await.is_err());
    let mut new = Client::new(connect(&rig, client_of(&after, None, &[])).await.unwrap());
    for client in [&mut old, &mut new] {
        client.send(GET).await;
        assert_eq!(client.reply().await.status, 200);
    }
    let broken = TlsFiles { certificate: b"half a file", ..files(&before) };
    assert!(matches!(tls.replace(broken), Err(TlsError::Certificate(_))));
    let stranger = TlsFiles { key: before.key.as_bytes(), ..files(&after) };
    assert!(matches!(tls.replace(stranger), Err(TlsError::Pair(_))));
    assert!(connect(&rig, client_of(&after, None, &[])).await.is_ok(), "the last good one is kept");
}

#[tokio::test]
async fn with_a_client_ca_only_its_clients_come_in() {
    let (server, ours, theirs) = (issue(), issue(), issue());
    let tls = Tls::new(TlsFiles { client_ca: Some(ours.authority.as_bytes()), ..files(&server) });
    let rig = Rig::secured(Arc::new(Echo::default()), generous(), Some(tls.unwrap())).await;
    let mut client =
        Client::new(connect(&rig, client_of(&server, Some(&ours), &[])).await.unwrap());
    client.send(GET).await;
    assert_eq!(client.reply().await.status, 200);
    for stranger in [None, Some(&theirs)] {
        // In TLS 1.3 a client learns of the refusal only when it reads.
        if let Ok(stream) = connect(&rig, client_of(&server, stranger, &[])).await {
            assert!(Client::new(stream).end().await.is_empty());
        }
    }
}

#[tokio::test]
async fn a_handshake_that_stops_halfway_is_let_go() {
    let server = issue();
    let mut limits = generous();
    limits.handshake = SOON;
    let tls = Tls::new(files(&server)).unwrap();
    let rig = Rig::secured(Arc::new(Echo::default()), limits, Some(tls)).await;
    let mut client = rig.client().await;
    client.send(b"\x16\x03\x01\x02\x00").await;
    assert!(client.end().await.is_empty());
}
