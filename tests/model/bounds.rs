//! The bounds of the order side: small ones for `cargo test`, larger ones for `make model`.

use std::fmt::{self, Display, Formatter};

/// Bounds.
#[derive(Debug, Clone)]
pub struct Bounds {
    pub name: &'static str,
    pub chooser: Chooser,
    /// The last epoch.
    pub epochs: u64,
    pub orders: usize,
    /// How many toys there are to sell.
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

/// How often each fault happens.
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
    /// An append arrives, but is neither synced nor answered.
    pub losses: u8,
    /// An append, or the answer to one, arrives late.
    pub delays: u8,
}

const NONE: Faults =
    Faults { crashes: 0, wipes: 0, restarts: 0, reloads: 0, doubts: 0, losses: 0, delays: 0 };
const A_CRASH: Faults = Faults { crashes: 1, ..NONE };
const A_WIPE: Faults = Faults { wipes: 1, ..NONE };
const A_RESTART: Faults = Faults { restarts: 1, ..NONE };
const A_RELOAD: Faults = Faults { reloads: 1, ..NONE };
const A_DOUBT: Faults = Faults { doubts: 1, ..NONE };
const A_LOSS: Faults = Faults { losses: 1, ..NONE };
const A_DELAY: Faults = Faults { delays: 1, ..NONE };

/// One fail-over, and enough toys.
const ANY: Bounds = Bounds {
    name: "a fail-over",
    chooser: Chooser::Any,
    epochs: 2,
    orders: 1,
    stock: 9,
    faults: NONE,
};
const CONTROLLER: Bounds = Bounds { chooser: Chooser::Controller, ..ANY };

/// For `cargo test`.
pub const SMALL: [Bounds; 2] = [ANY, CONTROLLER];

/// For `make model`.
pub const LARGE: [Bounds; 12] = [
    Bounds { name: "a replica crashes", faults: A_CRASH, ..ANY },
    Bounds { name: "a disk is lost", faults: A_WIPE, ..ANY },
    Bounds { name: "the front-end restarts", faults: A_RESTART, ..ANY },
    Bounds { name: "the catalog restarts", faults: A_RELOAD, ..ANY },
    Bounds { name: "a wait is given up", faults: A_DOUBT, ..ANY },
    Bounds { name: "an answer is lost", faults: A_LOSS, ..ANY },
    Bounds { name: "a message is late", faults: A_DELAY, ..ANY },
    Bounds { name: "two fail-overs", epochs: 3, ..ANY },
    Bounds { name: "two fail-overs", epochs: 3, ..CONTROLLER },
    Bounds { name: "two fail-overs and a crash", epochs: 3, faults: A_CRASH, ..CONTROLLER },
    Bounds { name: "two customers for one toy", orders: 2, stock: 1, ..CONTROLLER },
    Bounds { name: "two customers and a crash", orders: 2, faults: A_CRASH, ..CONTROLLER },
];

impl Display for Bounds {
    fn fmt(&self, f: &mut Formatter<'_>) -> fmt::Result {
        let Bounds { name, chooser, epochs, orders, stock, faults } = self;
        write!(f, "{name}: chooser {chooser:?}, epochs {epochs}, orders {orders}, toys {stock}")?;
        let Faults { crashes, wipes, restarts, reloads, doubts, losses, delays } = faults;
        let faults = [
            ("crashes", crashes),
            ("wipes", wipes),
            ("restarts", restarts),
            ("reloads", reloads),
            ("doubts", doubts),
            ("losses", losses),
            ("delays", delays),
        ];
        let mut faults = faults.into_iter().filter(|(_, times)| **times > 0);
        faults.try_for_each(|(name, times)| write!(f, ", {name} {times}"))
    }
}
