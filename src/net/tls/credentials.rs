//! Turns certificate files into what rustls needs. An error in a file is found here, when it is
//! read, and not by the first caller.
//!
//! ```text
//! authority.pem                       trusted authority; more than one while the authority changes
//! order-2.pem, order-2-key.pem        certificate and key of replica 2
//! ```

use super::callers::Callers;
use super::refusal;
use crate::error::{Error, Result};
use crate::model::Principal;
use crate::text;
use rustls::client::Resumption;
use rustls::client::WebPkiServerVerifier;
use rustls::client::danger::ServerCertVerifier;
use rustls::crypto::{CryptoProvider, ring};
use rustls::pki_types::pem::PemObject;
use rustls::pki_types::{CertificateDer, PrivateKeyDer, ServerName, UnixTime};
use rustls::server::{StoresServerSessions, WebPkiClientVerifier};
use rustls::version::TLS13;
use rustls::{ClientConfig, RootCertStore, ServerConfig};
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::Arc;

/// The files of one process.
#[derive(Debug, Clone)]
pub(in crate::net) struct Files {
    authority: PathBuf,
    certificate: PathBuf,
    key: PathBuf,
    me: Principal,
}

impl Files {
    /// The files in this directory that `me` uses.
    pub(in crate::net) fn of(directory: &Path, me: Principal) -> Files {
        Files {
            authority: directory.join("authority.pem"),
            certificate: directory.join(format!("{me}.pem")),
            key: directory.join(format!("{me}-key.pem")),
            me,
        }
    }

    /// The configuration of a server that accepts the principals in `callers`, and no others.
    pub(in crate::net) fn server(&self, callers: &[Principal]) -> Result<ServerConfig> {
        let roots = Arc::new(roots(&self.authority)?);
        let chain = WebPkiClientVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|e| Error::storage(&self.authority, "no usable authority", e))?;
        let names = callers.iter().map(|caller| name_of(*caller)).collect::<Result<_>>()?;
        let (certificates, key) = self.own()?;
        let mut config = server_builder()?
            .with_client_cert_verifier(Arc::new(Callers { chain, names }))
            .with_single_cert(certificates, key)
            .map_err(|error| unfit(&self.certificate, &error))?;
        config.send_tls13_tickets = 1;
        config.session_storage = Arc::new(NeverResumed);
        Ok(config)
    }

    /// The configuration of a caller.
    pub(in crate::net) fn client(&self) -> Result<ClientConfig> {
        let roots = roots(&self.authority)?;
        let (certificates, key) = self.own()?;
        let mut config = client_builder()?
            .with_root_certificates(roots)
            .with_client_auth_cert(certificates, key)
            .map_err(|error| unfit(&self.certificate, &error))?;
        config.resumption = Resumption::disabled();
        Ok(config)
    }

    /// The certificate and key of this process. Other services would refuse a certificate that is not valid now, or
    /// not for this process, so it is refused here.
    fn own(&self) -> Result<(Vec<CertificateDer<'static>>, PrivateKeyDer<'static>)> {
        let certificates = certificates(&self.certificate)?;
        let roots = Arc::new(roots(&self.authority)?);
        let verifier = WebPkiServerVerifier::builder_with_provider(roots, provider())
            .build()
            .map_err(|e| Error::storage(&self.authority, "no usable authority", e))?;
        let (name, now) = (name_of(self.me)?, UnixTime::now());
        verifier
            .verify_server_cert(&certificates[0], &certificates[1..], &name, &[], now)
            .map_err(|error| unfit(&self.certificate, &error))?;
        Ok((certificates, key(&self.key)?))
    }
}

/// The configuration of a server for customers.
pub(in crate::net) fn public_server(certificate: &Path, private: &Path) -> Result<ServerConfig> {
    server_builder()?
        .with_no_client_auth()
        .with_single_cert(certificates(certificate)?, key(private)?)
        .map_err(|error| unfit(certificate, &error))
}

/// The configuration of a customer: without a certificate.
pub(in crate::net) fn customer(authority: &Path) -> Result<ClientConfig> {
    Ok(client_builder()?.with_root_certificates(roots(authority)?).with_no_client_auth())
}

/// The name of a principal in its certificate.
pub(in crate::net) fn name_of(principal: Principal) -> Result<ServerName<'static>> {
    ServerName::try_from(principal.certified_name())
        .map_err(|e| Error::invalid(format!("{}: {e}", principal.certified_name())))
}

/// Issues session tickets and accepts none. A ticket only tells the caller that its certificate was accepted (see
/// `session`). A resumed session would outlive its certificate.
#[derive(Debug)]
struct NeverResumed;

impl StoresServerSessions for NeverResumed {
    fn put(&self, _: Vec<u8>, _: Vec<u8>) -> bool {
        true
    }

    fn get(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn take(&self, _: &[u8]) -> Option<Vec<u8>> {
        None
    }

    fn can_cache(&self) -> bool {
        true
    }
}

fn provider() -> Arc<CryptoProvider> {
    Arc::new(ring::default_provider())
}

fn server_builder() -> Result<rustls::ConfigBuilder<ServerConfig, rustls::WantsVerifier>> {
    ServerConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| Error::unavailable(format!("cannot use TLS 1.3: {e}")))
}

fn client_builder() -> Result<rustls::ConfigBuilder<ClientConfig, rustls::WantsVerifier>> {
    ClientConfig::builder_with_provider(provider())
        .with_protocol_versions(&[&TLS13])
        .map_err(|e| Error::unavailable(format!("cannot use TLS 1.3: {e}")))
}

fn roots(path: &Path) -> Result<RootCertStore> {
    let mut roots = RootCertStore::empty();
    for certificate in certificates(path)? {
        roots.add(certificate).map_err(|error| unfit(path, &error))?;
    }
    Ok(roots)
}

/// All certificates of a file, at least one.
fn certificates(path: &Path) -> Result<Vec<CertificateDer<'static>>> {
    let doing = "cannot read certificates";
    let file = fs::read(path).map_err(|e| Error::storage(path, doing, e))?;
    let read: Result<Vec<_>, _> =
        CertificateDer::pem_slice_iter(text::without_mark(&file)).collect();
    let certificates = read.map_err(|e| Error::storage(path, doing, e))?;
    if certificates.is_empty() {
        return Err(Error::storage(path, doing, "there are none"));
    }
    Ok(certificates)
}

fn key(path: &Path) -> Result<PrivateKeyDer<'static>> {
    let doing = "cannot read the key";
    let file = fs::read(path).map_err(|e| Error::storage(path, doing, e))?;
    PrivateKeyDer::from_pem_slice(text::without_mark(&file))
        .map_err(|e| Error::storage(path, doing, e))
}

/// A file that can be read but not used.
fn unfit(path: &Path, error: &rustls::Error) -> Error {
    Error::storage(path, "it cannot be used", refusal::own_words(error))
}
