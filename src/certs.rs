//! `certs`: the cluster's authority, and with it a certificate for each service and for the operator.
//!
//! ```text
//! authority.pem  authority-key.pem      made once; who has the key can be anybody in this cluster
//! catalog.pem    catalog-key.pem        one pair each, renewed by every run
//! order-1.pem …  frontend.pem …  tool.pem …
//! ```
//!
//! - An authority that is there is used and never overwritten: the others believe it already.
//! - Keys can be read by their owner only, from their first byte on.
//! - A certificate says who its owner is ([`Principal::certified_name`]), and for people with curl or a
//!   browser also at which hosts.

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

/// What was made.
pub struct Made {
    /// Whether the authority is new.
    pub new_authority: bool,
    /// Who has a new certificate.
    pub owners: Vec<Principal>,
    /// The end of its time.
    pub until: OffsetDateTime,
}

/// Makes a certificate for everybody in this configuration, valid for so many days.
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

/// Who vouches for the certificates of a cluster.
pub struct Authority(Issuer<'static, KeyPair>);

impl Authority {
    /// A new one, whose files go to this directory.
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

    /// The one whose key is in this directory.
    pub fn open(directory: &Path) -> Result<Authority> {
        let path = directory.join(AUTHORITY_KEY);
        let what = "cannot read the CA's key, which is needed to sign certificates";
        let pem = text::read(&path).map_err(|e| Error::storage(&path, what, e))?;
        let key = KeyPair::from_pem(&pem).map_err(|e| Error::storage(&path, what, e))?;
        Ok(Authority(Issuer::new(authority_params(), key)))
    }

    /// Makes a new key and certificate for `owner`, in place of those in this directory.
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

/// All that is said of an authority but for its time: the same whenever it is opened, as the
/// certificates refer to it by name.
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

/// What every machine calls itself.
const OWN_HOSTS: [&str; 3] = ["localhost", "127.0.0.1", "::1"];

/// Everybody who needs a certificate, with the hosts of their addresses, and of each service those by which it is
/// called on its own machine.
fn hosts(config: &Config) -> BTreeMap<Principal, BTreeSet<String>> {
    let mut all = BTreeMap::from([(Principal::Tool, BTreeSet::new())]);
    let customers = (Principal::Frontend, config.frontend.listen.clone());
    for (owner, address) in config.service_addresses().into_iter().chain([customers]) {
        let (host, _) = address::parts(&address);
        let hosts: &mut BTreeSet<String> = all.entry(owner).or_default();
        hosts.extend(OWN_HOSTS.map(str::to_owned));
        // Whoever listens everywhere has no host by which to call it.
        if !host.parse::<IpAddr>().is_ok_and(|ip| ip.is_unspecified()) {
            hosts.insert(host.to_owned());
        }
    }
    all
}

/// Puts a key into a file that nobody else may read, in place of the one that is there.
fn write_key(path: &Path, key: &KeyPair) -> Result<()> {
    let aside = path.with_extension("pem.new");
    let write = || {
        if aside.exists() {
            fs::remove_file(&aside)?;
        }
        let mut file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&aside)?;
        file.write_all(key.serialize_pem().as_bytes())?;
        file.sync_all()?;
        fs::rename(&aside, path)
    };
    write().map_err(|e| Error::storage(path, "cannot write the key", e))
}

#[expect(clippy::needless_pass_by_value, reason = "as map_err hands it over")]
fn cannot(error: rcgen::Error) -> Error {
    Error::invalid(format!("cannot make a certificate: {error}"))
}
