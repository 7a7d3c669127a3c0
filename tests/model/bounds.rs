//! The bounds of the order side: small ones for `cargo test`, larger ones for `make model`.

use std::fmt::{self, Display, Formatter};

/// Bounds.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub name: &'static str,
    pub chooser: Chooser,
    pub replicas: u32,
    /// The last epoch.
    pub epochs: u64,
    pub orders: usize,
    /// How many toys there are to sell, and up to how many is restocked.
    pub stock: u64,
    /// How often each fault happens.
    pub faults: Faults,
}

/// What makes views.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Chooser {
    /// Any legal view, at any time.
    Any,
    /// `frontend::controller`.
    Controller,
}

/// How often each fault, or other rare event, happens.
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
    /// A customer asks again, or a leader gives up waiting for a reconcile.
    pub doubts: u8,
    /// An append arrives, but is neither synced nor answered.
    pub losses: u8,
    /// An append, or the answer to one, arrives late.
    pub delays: u8,
    /// The toy is restocked.
    pub restocks: u8,
    /// A toy is sold by hand.
    pub withdrawals: u8,
    /// A leader reconciles though the catalog has not started again.
    pub rounds: u8,
}

const NONE: Faults = Faults {
    crashes: 0,
    wipes: 0,
    restarts: 0,
    reloads: 0,
    doubts: 0,
    losses: 0,
    delays: 0,
    restocks: 0,
    withdrawals: 0,
    rounds: 0,
};
const A_CRASH: Faults = Faults { crashes: 1, ..NONE };
const A_WIPE: Faults = Faults { wipes: 1, ..NONE };
const A_RESTART: Faults = Faults { restarts: 1, ..NONE };
const A_RELOAD: Faults = Faults { reloads: 1, ..NONE };
const A_DOUBT: Faults = Faults { doubts: 1, ..NONE };
const A_LOSS: Faults = Faults { losses: 1, ..NONE };
const A_DELAY: Faults = Faults { delays: 1, ..NONE };

const A_ROUND: Faults = Faults { reloads: 1, rounds: 1, ..NONE };
const A_RESTOCK: Faults = Faults { reloads: 1, restocks: 1, ..NONE };
const A_WITHDRAWAL: Faults = Faults { reloads: 1, withdrawals: 1, ..NONE };

/// One fail-over.
const ANY: Bounds = Bounds {
    name: "a fail-over",
    chooser: Chooser::Any,
    replicas: 2,
    epochs: 2,
    orders: 1,
    stock: 1,
    faults: NONE,
};
const CONTROLLER: Bounds = Bounds { chooser: Chooser::Controller, ..ANY };
const THREE: Bounds = Bounds { replicas: 3, ..ANY };
const TWO_CUSTOMERS: Bounds = Bounds { orders: 2, ..ANY };

/// For `cargo test`.
pub const SMALL: [Bounds; 3] =
    [ANY, CONTROLLER, Bounds { name: "a lost sale", epochs: 1, faults: A_RELOAD, ..TWO_CUSTOMERS }];

/// For `make model`.
pub const LARGE: [Bounds; 15] = [
    Bounds { name: "a replica crashes", faults: A_CRASH, ..ANY },
    Bounds { name: "a disk is lost", epochs: 3, faults: A_WIPE, ..ANY },
    Bounds { name: "the front-end restarts", faults: A_RESTART, ..ANY },
    Bounds { name: "a wait is given up", faults: A_DOUBT, ..ANY },
    Bounds { name: "an answer is lost", faults: A_LOSS, ..ANY },
    Bounds { name: "a message is late", faults: A_DELAY, ..ANY },
    Bounds { name: "the catalog restarts", faults: A_RELOAD, ..ANY },
    Bounds { name: "a leader reconciles again", faults: A_ROUND, ..ANY },
    Bounds { name: "a toy is sold by hand", faults: A_WITHDRAWAL, ..ANY },
    Bounds { name: "a restock", epochs: 1, faults: A_RESTOCK, ..TWO_CUSTOMERS },
    Bounds { name: "two customers for one toy", ..TWO_CUSTOMERS },
    Bounds { name: "two fail-overs, and a lost sale", epochs: 3, faults: A_RELOAD, ..ANY },
    Bounds { name: "three replicas, and a crash", faults: A_CRASH, ..THREE },
    Bounds { name: "three replicas, and a lost sale", faults: A_RELOAD, ..THREE },
    Bounds { name: "two customers, and a lost sale", faults: A_RELOAD, ..TWO_CUSTOMERS },
];

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Bounds { name, chooser, replicas, epochs, orders, stock, faults } = self;
        write!(f, "{name}: chooser {chooser:?}, replicas {replicas}, epochs {epochs}, ")?;
        write!(f, "orders {orders}, toys {stock}")?;
        let faults = [
            ("crashes", faults.crashes),
            ("wipes", faults.wipes),
            ("restarts", faults.restarts),
            ("reloads", faults.reloads),
            ("doubts", faults.doubts),
            ("losses", faults.losses),
            ("delays", faults.delays),
            ("restocks", faults.restocks),
            ("withdrawals", faults.withdrawals),
            ("rounds", faults.rounds),
        ];
        let mut faults = faults.into_iter().filter(|(_, times)| *times > 0);
        faults.try_for_each(|(name, times)| write!(f, ", {name} {times}"))
    }
}
