//! How much of the order side is explored: small bounds for `cargo test`, larger ones for `make model`.

/// What is explored.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub name: &'static str,
    pub chooser: Chooser,
    /// The last epoch.
    pub epochs: u64,
    pub orders: usize,
    /// How many toys there are to sell.
    pub stock: u64,
    /// How often each thing may go wrong.
    pub faults: Faults,
}

/// Who makes views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chooser {
    /// Whatever may be right to choose, with whatever delay.
    Any,
    /// `frontend::controller`.
    Controller,
}

/// How often each thing goes wrong.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Hash)]
pub struct Faults {
    /// A replica is killed.
    pub crashes: u8,
    /// A replica loses its disk.
    pub wipes: u8,
    /// The front-end is killed.
    pub restarts: u8,
    /// The catalog is killed.
    pub reloads: u8,
    /// A customer or a leader gives up waiting for an answer.
    pub doubts: u8,
    /// An append is taken, but neither synced nor answered.
    pub losses: u8,
    /// An append, or the answer to one, comes late.
    pub delays: u8,
}
