//! How one process calls the services and is called: by plain TCP, or by mutual TLS. Every service
//! and every program of the operator makes its servers and its calls with a [`Transport`].
//!
//! - Either all addresses of the services use TLS or none does, on loopback too.
//! - Without TLS, no address that other machines reach is used, unless the operator allows it.

use super::channel::Channel;
use super::rpc::Rpc;
use super::target::Target;
use super::tls::credentials::{self, Files};
use super::tls::reload::{self, Reload, Reloadable};
use super::tls::session::Session;
use crate::address::{is_loopback, parts};
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::Principal;
use crate::signals::SignalThread;
use rustls::pki_types::ServerName;
use rustls::{ClientConfig, ServerConfig};
use std::io;
use std::sync::Arc;

/// How one process calls and is called.
#[derive(Clone)]
pub struct Transport {
    /// None: plain TCP.
    cluster: Option<Cluster>,
    /// For customers of the front-end; None: plain TCP.
    public: Option<Arc<Reloadable<ServerConfig>>>,
}

/// Both sides of mutual TLS.
#[derive(Clone)]
struct Cluster {
    /// Which service has which address.
    addresses: Vec<(Principal, String)>,
    calling: Arc<Reloadable<ClientConfig>>,
    called: Arc<Reloadable<ServerConfig>>,
}

impl Transport {
    /// The transport of `me`. An error if this configuration uses plain TCP between machines, or if a certificate
    /// cannot be used.
    pub fn of(config: &Config, me: Principal) -> Result<Transport> {
        let cluster = match &config.tls.directory {
            Some(directory) => Some(Cluster::of(config, Files::of(directory, me), me)?),
            None if config.tls.insecure => None,
            None => {
                refuse_other_machines(config)?;
                None
            }
        };
        let public = match (&config.frontend.certificate, &config.frontend.key, me) {
            (Some(certificate), Some(key), Principal::Frontend) => {
                let (certificate, key) = (certificate.clone(), key.clone());
                Some(Reloadable::new(move || credentials::public_server(&certificate, &key))?)
            }
            _ => None,
        };
        Ok(Transport { cluster, public })
    }

    /// Listens for the other services.
    pub fn listen(&self, address: &str) -> Listen {
        let tls = self.cluster.as_ref().map(|cluster| cluster.called.clone());
        Listen { address: address.to_owned(), tls }
    }

    /// Listens for customers.
    pub fn listen_to_customers(&self, address: &str) -> Listen {
        Listen { address: address.to_owned(), tls: self.public.clone() }
    }

    /// Calls the service at one of the configured addresses.
    pub fn rpc(&self, address: &str) -> Result<Rpc> {
        self.target(address).map(Rpc::new)
    }

    /// The service at one of the configured addresses.
    pub fn target(&self, address: &str) -> Result<Target> {
        let Some(Cluster { addresses, calling, .. }) = &self.cluster else {
            return Ok(address.into());
        };
        let found = addresses.iter().find(|(_, known)| known == address);
        let (expected, _) = found.ok_or_else(|| {
            let why = "no service of this configuration has this address, so its certificate cannot be checked";
            Error::Config { place: address.to_owned(), why: why.to_owned() }
        })?;
        Ok(Target::secured(address, calling.clone(), credentials::name_of(*expected)?))
    }

    /// Reads the certificates again at SIGHUP, for as long as the reloader lives.
    pub fn reload_at_hangup(&self) -> Result<SignalThread> {
        let mut all: Vec<Arc<dyn Reload>> = Vec::new();
        if let Some(Cluster { calling, called, .. }) = self.cluster.clone() {
            all.extend([called as Arc<dyn Reload>, calling]);
        }
        all.extend(self.public.clone().map(|public| public as Arc<dyn Reload>));
        reload::reload_at_hangup(all)
    }
}

impl Cluster {
    fn of(config: &Config, files: Files, me: Principal) -> Result<Cluster> {
        let addresses = config.service_addresses();
        let mut callers: Vec<Principal> = addresses.iter().map(|(who, _)| *who).collect();
        callers.push(Principal::Tool);
        callers.retain(|caller| caller.may_call(me));
        callers.dedup();
        let calling = Reloadable::new({
            let files = files.clone();
            move || files.client()
        })?;
        let called = Reloadable::new(move || files.server(&callers))?;
        Ok(Cluster { addresses, calling, called })
    }
}

/// The front-ends, for customers: by HTTPS if the configuration names an authority.
pub fn public_targets(client: &crate::config::Client) -> Result<Vec<Target>> {
    client.addresses.iter().map(|address| public_target(client, address)).collect()
}

fn public_target(client: &crate::config::Client, address: &str) -> Result<Target> {
    let Some(authority) = client.authority.clone() else { return Ok(address.into()) };
    let host = parts(address).0.to_owned();
    let name = ServerName::try_from(host.clone()).map_err(|error| Error::Config {
        place: "client.address".to_owned(),
        why: format!("\"{host}\" cannot be in a certificate: {error}"),
    })?;
    let calling = Reloadable::new(move || credentials::customer(&authority))?;
    Ok(Target::secured(address, calling, name))
}

fn refuse_other_machines(config: &Config) -> Result<()> {
    let reachable = config.service_addresses().into_iter().find(|(_, a)| !is_loopback(parts(a).0));
    reachable.map_or(Ok(()), |(principal, address)| {
        let why = "other machines reach this address, and nothing protects it: make certificates \
                   (make certs) and set tls.directory, or use --insecure if you trust the network";
        Err(Error::Config { place: format!("{address} of {principal}"), why: why.to_owned() })
    })
}

/// Where a server listens, and whether it uses TLS.
pub struct Listen {
    address: String,
    tls: Option<Arc<Reloadable<ServerConfig>>>,
}

impl Listen {
    /// Host and port.
    pub(super) fn address(&self) -> &str {
        &self.address
    }

    /// The channel of a new connection.
    pub(super) fn channel(&self) -> io::Result<Channel> {
        match &self.tls {
            None => Ok(Channel::Plain),
            Some(config) => Ok(Channel::Tls(Box::new(Session::accept(config.current())?))),
        }
    }
}

impl<A: Into<String>> From<A> for Listen {
    /// An address alone is spoken to plainly.
    fn from(address: A) -> Listen {
        Listen { address: address.into(), tls: None }
    }
}
