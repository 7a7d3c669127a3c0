//! How many files this process may have open (`RLIMIT_NOFILE`), and how many of them connections may use.
//!
//! Every connection is an open file, and so is each call to another service and a view that is written to
//! disk. A process that cannot write to disk ends itself. So connections must not use the last files: customers
//! leave a quarter free, and connections from services leave half of that quarter free.

use super::limits::Clients;
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit, for the acceptor.
#[derive(Debug, Clone, Copy)]
pub(super) struct FileLimit {
    allowed: u64,
    kept: u64,
}

impl FileLimit {
    /// Raises this process's limit to what the system allows it: many systems begin with 1,024, and a silent
    /// client costs a file descriptor and nothing else.
    pub(super) fn for_clients(clients: Clients) -> FileLimit {
        /// More than the calls and files of any of our services.
        const KEPT_MAX: u64 = 256;
        let limit = getrlimit(Resource::Nofile);
        let raised = Rlimit { current: limit.maximum, maximum: limit.maximum };
        let allowed = match setrlimit(Resource::Nofile, raised) {
            Ok(()) => limit.maximum,
            Err(error) => {
                tracing::debug!(%error, "cannot raise the limit of open files");
                limit.current
            }
        };
        // No limit counts as a very high one.
        let allowed = allowed.unwrap_or(u64::MAX);
        let kept = (allowed / 4).min(KEPT_MAX);
        match clients {
            Clients::Customers => FileLimit { allowed, kept },
            Clients::Services => FileLimit { allowed, kept: kept / 2 },
        }
    }

    /// Whether too many are open to accept another client. The system assigns the lowest free number, so the
    /// number of a copy of `any` shows how many are open. It is checked for each client rather than computed once
    /// at the start: calls to other services are open files too, and a busy process has tens more of them
    /// than one that has just started.
    pub(super) fn are_short(&self, any: impl AsFd) -> bool {
        let next =
            fcntl_dupfd_cloexec(any, 0).ok().and_then(|copy| copy.as_raw_fd().try_into().ok());
        next.is_none_or(|next: u64| next >= self.allowed - self.kept)
    }

    /// The warning for the operator.
    pub(super) fn warning(&self) -> String {
        let FileLimit { allowed, kept } = self;
        format!(
            "of the {allowed} files that this process may have open (ulimit -n) the last {kept} are \
             kept for itself: new connections wait"
        )
    }
}
