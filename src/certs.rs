//! Makes the certificate authority (CA) of a cluster, and with it a certificate for each service and for the operator.
//! Called by the program `certs`.
//!
//! ```text
//! authority.pem  authority-key.pem      made once; its key can make a certificate for any service
//! catalog.pem    catalog-key.pem        one pair for each service, renewed by every run
//! order-1.pem …  frontend.pem …  tool.pem …
//! ```
//!
//! - An existing CA is used and never overwritten: the services already trust it.
//! - A key file can be read by its owner only, from the moment it is created.
//! - A certificate contains the name of its owner ([`Principal::certified_name`]), and, for curl and browsers,
//!   the hosts of its addresses.

use crate::address;
use crate::config::Config;
use crate::error::{Error, Result};
use crate::model::Principal;
use crate::storage::replace;
use crate::text;
use rcgen::{
    BasicConstraints, CertificateParams, DistinguishedName, DnType, ExtendedKeyUsagePurpose, IsCa,
    Issuer, KeyPair, KeyUsagePurpose, SanType,
};
use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, OpenOptions};
use std::io::Write;
use std::net::IpAddr;
use std::ops::Range;
use std::os::unix::fs::OpenOptionsExt;
use std::path::Path;
use time::{Duration, OffsetDateTime};

/// The result of [`make`].
pub struct Made {
    /// Whether the CA is new.
    pub new_authority: bool,
    /// The owners of the new certificates.
    pub owners: Vec<Principal>,
    /// The end of their validity.
    pub until: OffsetDateTime,
}

/// Makes a certificate for each service of this configuration and for the tools, valid for this number of days.
pub fn make(config: &Config, directory: &Path, days: u32) -> Result<Made> {
    fs::create_dir_all(directory).map_err(|e| Error::storage(directory, "cannot create it", e))?;
    let is_new = !directory.join(AUTHORITY).exists() && !directory.join(AUTHORITY_KEY).exists();
    let authority = if is_new { Authority::create(directory) } else { Authority::open(directory) }?;
    // Clocks of different machines differ a little.
    let from = OffsetDateTime::now_utc() - Duration::HOUR;
    let until = OffsetDateTime::now_utc() + Duration::days(days.into());
    let hosts = hosts(config);
    for (owner, hosts) in &hosts {
        authority.issue(directory, *owner, hosts, from..until)?;
    }
    Ok(Made { new_authority: is_new, owners: hosts.into_keys().collect(), until })
}

const AUTHORITY: &str = "authority.pem";
const AUTHORITY_KEY: &str = "authority-key.pem";

/// The CA of a cluster, which signs its certificates.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// Makes a new CA and writes its files to this directory.
    pub fn create(directory: &Path) -> Result<Authority> {
        let key = KeyPair::generate().map_err(cannot)?;
        let now = OffsetDateTime::now_utc();
        let mut params = authority_params();
        params.not_before = now - Duration::DAY;
        params.not_after = now + Duration::days(3_650);
        let certificate = params.self_signed(&key).map_err(cannot)?;
        write_key(&directory.join(AUTHORITY_KEY), &key)?;
        replace(&directory.join(AUTHORITY), certificate.pem().as_bytes())?;
        Ok(Authority(Issuer::new(params, key)))
    }

    /// Reads the CA whose key is in this directory.
    pub fn open(directory: &Path) -> Result<Authority> {
        let path = directory.join(AUTHORITY_KEY);
        let what = "cannot read the CA's key, which is needed to sign certificates";
        let pem = text::read(&path).map_err(|e| Error::storage(&path, what, e))?;
        let key = KeyPair::from_pem(&pem).map_err(|e| Error::storage(&path, what, e))?;
        Ok(Authority(Issuer::new(authority_params(), key)))
    }

    /// Makes a new key and certificate for `owner`; they replace those in this directory.
    pub fn issue(
        &self,
        directory: &Path,
        owner: Principal,
        hosts: &BTreeSet<String>,
        valid: Range<OffsetDateTime>,
    ) -> Result<()> {
        let key = KeyPair::generate().map_err(cannot)?;
        let mut params = CertificateParams::default();
        params.not_before = valid.start;
        params.not_after = valid.end;
        params.distinguished_name = named(&owner.certified_name());
        params.subject_alt_names = vec![dns_name(&owner.certified_name())?];
        params.key_usages = vec![KeyUsagePurpose::DigitalSignature];
        params.extended_key_usages =
            vec![ExtendedKeyUsagePurpose::ServerAuth, ExtendedKeyUsagePurpose::ClientAuth];
        params.use_authority_key_identifier_extension = true;
        for host in hosts {
            params.subject_alt_names.push(match host.parse() {
                Ok(ip) => SanType::IpAddress(ip),
                Err(_) => dns_name(host)?,
            });
        }
        let certificate = params.signed_by(&key, &self.0).map_err(cannot)?;
        write_key(&directory.join(format!("{owner}-key.pem")), &key)?;
        replace(&directory.join(format!("{owner}.pem")), certificate.pem().as_bytes())
    }
}

/// The fields of a CA certificate except its validity. They are the same each time it is opened, because the
/// certificates refer to the CA by its name.
fn authority_params() -> CertificateParams {
    let mut params = CertificateParams::default();
    params.distinguished_name = named("toystore cluster authority");
    params.is_ca = IsCa::Ca(BasicConstraints::Constrained(0));
    params.key_usages = vec![KeyUsagePurpose::KeyCertSign, KeyUsagePurpose::CrlSign];
    params
}

fn named(name: &str) -> DistinguishedName {
    let mut distinguished = DistinguishedName::new();
    distinguished.push(DnType::CommonName, name);
    distinguished
}

fn dns_name(name: &str) -> Result<SanType> {
    name.try_into().map(SanType::DnsName).map_err(cannot)
}

/// The names by which every machine can reach itself.
const OWN_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// All that need a certificate, with the hosts of their addresses. Each service also gets the names by which its own
/// machine reaches it.
fn hosts(config: &Config) -> BTreeMap<Principal, BTreeSet<String>> {
    let mut all = BTreeMap::from([(Principal::Tool, BTreeSet::new())]);
    let customers = (Principal::Frontend, config.frontend.first.listen.clone());
    for (owner, address) in config.service_addresses().into_iter().chain([customers]) {
        let (host, _) = address::parts(&address);
        let hosts: &mut BTreeSet<String> = all.entry(owner).or_default();
        hosts.extend(OWN_HOSTS.map(str::to_owned));
        // An unspecified address (0.0.0.0, ::) is not a host that clients can connect to.
        if !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            hosts.insert(host.to_owned());
        }
    }
    all
}

/// Writes a key to a file that only its owner can read; it replaces the existing file.
fn write_key(path: &Path, key: &KeyPair) -> Result<()> {
    let new_file = path.with_extension("pem.new");
    let write = || {
        if new_file.exists() {
            fs::remove_file(&new_file)?;
        }
        let mut file =
            OpenOptions::new().write(true).create_new(true).mode(0o600).open(&new_file)?;
        file.write_all(key.serialize_pem().as_bytes())?;
        file.sync_all()?;
        fs::rename(&new_file, path)
    };
    write().map_err(|e| Error::storage(path, "cannot write the key", e))
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn cannot(error: rcgen::Error) -> Error {
    Error::invalid(format!("cannot make a certificate: {error}"))
}
