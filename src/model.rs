//! The types of the store: toys, orders, keys, views. Values that must not be mixed up
//! have different types. Every value is valid: it was checked when it was made from a request, a frame or a file.

use crate::error::{Error, Result};
use serde::{Deserialize, Serialize, Serializer};
use std::borrow::Borrow;
use std::fmt::{self, Display, Formatter};
use std::ops::{Add, AddAssign, Deref, Sub};
use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

/// A moment of one process, as the time since its start. Pure modules receive it as input; only the
/// threads around them read a clock. Moments of two processes cannot be compared.
#[derive(Default, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct Moment(Duration);

/// As the time since the start, such as `4.803794s`.
impl fmt::Debug for Moment {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}

impl Moment {
    /// The start of the process.
    pub const START: Moment = Moment(Duration::ZERO);

    /// The moment this long after the start.
    pub const fn after(duration: Duration) -> Moment {
        Moment(duration)
    }
}

impl Add<Duration> for Moment {
    type Output = Moment;

    fn add(self, duration: Duration) -> Moment {
        Moment(self.0 + duration)
    }
}

impl AddAssign<Duration> for Moment {
    fn add_assign(&mut self, duration: Duration) {
        self.0 += duration;
    }
}

/// The time since the other moment; zero if the other is later, as with [`Instant`](std::time::Instant).
impl Sub for Moment {
    type Output = Duration;

    fn sub(self, earlier: Moment) -> Duration {
        self.0.saturating_sub(earlier.0)
    }
}

/// The id of an order replica, a number from 1 that the configuration gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct ReplicaId(pub u32);

/// The id of a front-end, a number from 1 that the configuration gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct FrontendId(pub u32);

/// The id of a catalog, a number from 1 that the configuration gives it.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub struct CatalogId(pub u32);

/// A participant of the store; between machines its certificate proves its identity.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord)]
pub enum Principal {
    /// The catalogs. All have the same certificate.
    Catalog,
    /// A replica of the order service.
    Order(ReplicaId),
    /// The front-ends. All have the same certificate.
    Frontend,
    /// The operator's programs: `run-all`, `frame`, `audit`, `toys`.
    Tool,
}

impl Principal {
    /// The name in its certificate.
    pub fn certified_name(self) -> String {
        format!("{self}.toystore")
    }

    /// Whether it may call `callee`.
    pub fn may_call(self, callee: Principal) -> bool {
        match callee {
            Principal::Catalog | Principal::Order(_) => self != Principal::Catalog,
            Principal::Frontend => matches!(self, Principal::Frontend | Principal::Tool),
            Principal::Tool => false,
        }
    }
}

/// The number of a view; each view has a higher number than the view before it. 0 is "no view yet".
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct Epoch(pub u64);

impl Epoch {
    /// The epoch of the next view.
    #[must_use]
    pub fn next(self) -> Epoch {
        Epoch(self.0 + 1)
    }
}

/// The number of an order, from 1 without gap; 0 is "none". It is also its place in the log.
#[derive(
    Debug, Clone, Copy, Default, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize,
)]
#[serde(transparent)]
pub struct OrderNumber(pub u64);

impl OrderNumber {
    /// The number that follows this one.
    #[must_use]
    pub fn next(self) -> OrderNumber {
        OrderNumber(self.0 + 1)
    }
}

/// A quantity of a toy: a whole number ≥ 1.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "u64", into = "u64")]
pub struct Quantity(u32);

impl Quantity {
    /// The largest that can be asked for at once.
    pub const MAX: u64 = 1_000_000;

    /// The number itself.
    pub fn get(self) -> u64 {
        u64::from(self.0)
    }
}

impl TryFrom<u64> for Quantity {
    type Error = Error;
    fn try_from(n: u64) -> Result<Quantity> {
        match u32::try_from(n) {
            Ok(n) if n >= 1 && u64::from(n) <= Quantity::MAX => Ok(Quantity(n)),
            _ => Err(Error::invalid(format!(
                "quantity is {n}, expected a whole number from 1 to {}",
                Quantity::MAX
            ))),
        }
    }
}

impl From<Quantity> for u64 {
    fn from(quantity: Quantity) -> u64 {
        quantity.get()
    }
}

/// A price in cents. In JSON and CSV it is a decimal number of whole units: 19.9 is 1990 cents.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(try_from = "f64", into = "f64")]
pub struct Price(pub u64);

impl Price {
    /// The highest price; far below 2^53 cents, so that a JSON number holds it exactly.
    const CENTS_MAX: u64 = 100_000_000_000;
}

impl TryFrom<f64> for Price {
    type Error = Error;
    #[expect(clippy::cast_precision_loss, clippy::cast_possible_truncation, clippy::cast_sign_loss)]
    fn try_from(units: f64) -> Result<Price> {
        let cents = (units * 100.0).round();
        if !(0.0..=Price::CENTS_MAX as f64).contains(&cents) || (cents / 100.0 - units).abs() > 1e-9
        {
            return Err(Error::invalid(format!(
                "price is {units}, expected a number ≥ 0 with at most two decimals"
            )));
        }
        Ok(Price(cents as u64))
    }
}

impl From<Price> for f64 {
    #[expect(clippy::cast_precision_loss, reason = "prices are far below 2^53 cents")]
    fn from(price: Price) -> f64 {
        price.0 as f64 / 100.0
    }
}

/// A toy as the catalog shows it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Toy {
    /// Its name, which identifies it.
    pub name: ToyName,
    /// Its price.
    pub price: Price,
    /// The quantity in stock.
    pub quantity: u64,
    /// Grows by one with every change of this toy; never falls, not even over restarts.
    pub version: u64,
}

/// The name of a toy: 1 to [`ToyName::BYTES_MAX`] bytes without control characters, because names are written to files
/// with one line per row. Checked once, when it is read from a request, a frame, or a file.
#[derive(Clone, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize)]
#[serde(try_from = "String", into = "String")]
pub struct ToyName(String);

impl ToyName {
    /// The longest name, in bytes.
    pub const BYTES_MAX: usize = 100;
}

impl TryFrom<String> for ToyName {
    type Error = Error;
    fn try_from(name: String) -> Result<ToyName> {
        let fits = (1..=ToyName::BYTES_MAX).contains(&name.len());
        if !fits || name.chars().any(char::is_control) {
            return Err(Error::invalid(format!(
                "a toy's name has 1 to {} bytes without control characters",
                ToyName::BYTES_MAX
            )));
        }
        Ok(ToyName(name))
    }
}

impl FromStr for ToyName {
    type Err = Error;
    fn from_str(name: &str) -> Result<ToyName> {
        ToyName::try_from(name.to_owned())
    }
}

impl From<ToyName> for String {
    fn from(name: ToyName) -> String {
        name.0
    }
}

impl Deref for ToyName {
    type Target = str;
    fn deref(&self) -> &str {
        &self.0
    }
}

impl Borrow<str> for ToyName {
    fn borrow(&self) -> &str {
        &self.0
    }
}

impl fmt::Debug for ToyName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        fmt::Debug::fmt(&self.0, f)
    }
}

impl Display for ToyName {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        f.pad(&self.0)
    }
}

impl PartialEq<str> for ToyName {
    fn eq(&self, other: &str) -> bool {
        self.0 == other
    }
}

impl PartialEq<&str> for ToyName {
    fn eq(&self, other: &&str) -> bool {
        self.0 == *other
    }
}

/// The identity of one purchase: the client's `Idempotency-Key`, otherwise one that the front-end makes
/// for the request and keeps through its retries. 1 to [`Key::BYTES_MAX`] visible ASCII characters.
///
/// Shared, because a leader has each key in its log, in its table of keys, and in messages to each follower.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Deserialize)]
#[serde(try_from = "String")]
pub struct Key(Arc<str>);

impl Key {
    /// The longest key, in bytes.
    pub const BYTES_MAX: usize = 100;
    /// Keys that the store makes begin with this, so that no customer's key can be one of them.
    const OURS: char = '~';

    /// A customer's key, from its header.
    pub fn from_customer(text: &str) -> Result<Key> {
        if text.starts_with(Key::OURS) {
            return Err(Error::invalid(
                "Idempotency-Key begins with ~, which is reserved for keys that the store makes",
            ));
        }
        Key::try_from(text.to_owned())
    }

    /// The key of a request that came without one: its caller, the caller's incarnation, and its sequence number.
    pub fn made(id: PurchaseId) -> Key {
        Key(format!("~{}-{}-{}", id.caller, id.incarnation.0, id.sequence).into())
    }

    /// Its text.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl TryFrom<String> for Key {
    type Error = Error;
    fn try_from(text: String) -> Result<Key> {
        let fits = (1..=Key::BYTES_MAX).contains(&text.len());
        if !fits || !text.bytes().all(|b| b.is_ascii_graphic()) {
            return Err(Error::invalid(format!(
                "Idempotency-Key must be 1 to {} visible ASCII characters without space",
                Key::BYTES_MAX
            )));
        }
        Ok(Key(text.into()))
    }
}

impl Serialize for Key {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(&self.0)
    }
}

/// The identity of one purchase, so that a late duplicate of a finished one is recognised (RIFL, SOSP
/// 2015). The caller also sends the lowest sequence that is still in flight, `ack_below`.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct PurchaseId {
    /// 0 is the front-end; n is order replica n, for purchases made by hand at its own address.
    pub caller: u32,
    /// The caller's first epoch since it started, so that its counter may start again from 1.
    pub incarnation: Epoch,
    /// Counts this caller's purchases from 1.
    pub sequence: u64,
}

/// What is bought. A retry with the same key must have the same item.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Item {
    /// The toy's name.
    pub name: ToyName,
    /// How many of it.
    pub quantity: Quantity,
}

/// One order in the log. Its epoch is that of the leader who appended it.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct Entry {
    /// Its place in the log.
    pub number: OrderNumber,
    /// The epoch it was appended in.
    pub epoch: Epoch,
    /// The purchase it stands for.
    pub key: Key,
    /// What was bought.
    pub item: Item,
}

/// The random identity of a data directory. A wiped disk has another one.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
#[serde(transparent)]
pub struct Identity(pub String);

/// A replica as a view names it: by id and by identity.
#[derive(Debug, Clone, PartialEq, Eq, Hash, PartialOrd, Ord, Serialize, Deserialize)]
pub struct Member {
    /// The configured id.
    pub id: ReplicaId,
    /// The identity of its data directory.
    pub identity: Identity,
}

/// A view: the leader, and the replicas whose acknowledgement a commit needs. Made by the controller only.
#[derive(Debug, Clone, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub struct View {
    /// Higher than the epoch of every view before.
    pub epoch: Epoch,
    /// The leader, one of the in-sync set.
    pub leader: ReplicaId,
    /// The replicas that have every committed order, in order of id.
    pub in_sync: Vec<Member>,
}

impl View {
    /// Whether this replica, with this identity, is in the in-sync set.
    pub fn has(&self, id: ReplicaId, identity: &Identity) -> bool {
        self.in_sync.iter().any(|member| member.id == id && member.identity == *identity)
    }

    /// The ids of the in-sync set.
    pub fn ids(&self) -> impl Iterator<Item = ReplicaId> + '_ {
        self.in_sync.iter().map(|member| member.id)
    }
}

impl fmt::Display for View {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "epoch {}: replica {} leads, in sync:", self.epoch, self.leader)?;
        self.ids().try_for_each(|id| write!(f, " {id}"))
    }
}

impl fmt::Display for Principal {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Principal::Catalog => f.write_str("catalog"),
            Principal::Order(id) => write!(f, "order-{id}"),
            Principal::Frontend => f.write_str("frontend"),
            Principal::Tool => f.write_str("tool"),
        }
    }
}

impl fmt::Display for ReplicaId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for FrontendId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for CatalogId {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for Epoch {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for OrderNumber {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
impl fmt::Display for Key {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        self.0.fmt(f)
    }
}
