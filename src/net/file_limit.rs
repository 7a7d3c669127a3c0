//! How many files this process may have open (`RLIMIT_NOFILE`), and how many of them are for others.
//!
//! Every connection is an open file, but so is each call to another service, and a view on its way to the
//! disk; and a process that cannot write there ends itself. So connections must not take the last ones: customers
//! leave a quarter, and of that the services leave each other half.

use super::limits::Clients;
use rustix::fd::{AsFd, AsRawFd};
use rustix::io::fcntl_dupfd_cloexec;
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// The limit, as those see it who let clients in.
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
        // No limit at all is a very high one.
        let allowed = allowed.unwrap_or(u64::MAX);
        let kept = (allowed / 4).min(KEPT_MAX);
        match clients {
            Clients::Customers => FileLimit { allowed, kept },
            Clients::Services => FileLimit { allowed, kept: kept / 2 },
        }
    }

    /// Whether so many are open that no further client may come in. The system hands out the lowest number
    /// that is free, so the number of a copy of `any` tells. Looked at for each client rather than computed once
    /// at the start: calls to other services are open files too, and a process that serves has tens more of them
    /// than one that has just started.
    pub(super) fn are_short(&self, any: impl AsFd) -> bool {
        let next =
            fcntl_dupfd_cloexec(any, 0).ok().and_then(|copy| copy.as_raw_fd().try_into().ok());
        next.is_none_or(|next: u64| next >= self.allowed - self.kept)
    }

    /// What to tell whoever runs the service.
    pub(super) fn warning(&self) -> String {
        let FileLimit { allowed, kept } = self;
        format!(
            "of the {allowed} files that this process may have open (ulimit -n) the last {kept} are \
             kept for itself: new connections wait"
        )
    }
}
