// What happens in each step of a purchase, in the words of docs/replication.md (a test compares them).

/** By the name of the span. */
export const EXPLANATIONS = {
  "wait for the batch": "The front-end sends all purchases that wait with one buy; one such call is under way at a time.",
  "buy": "Purchases of one call are independent: each has its own outcome.",
  "purchase": "Before step 2 the leader looks for the key in its log and among the purchases in flight.",
  "append to the journal": "Reserved: a sale that the catalog has made and answered, with a row in its journal that may not be on disk yet.",
  "append to the log": "The leader appends an entry, sends it to every replica, and commits what every member of the commit set has on disk and whose sale is durable.",
  "append": "The leader sends append(view, base, number and epoch of the entry before, entries, committed) on one connection to each replica.",
  "tell a cache": "The catalog answers when a toy has changed, after 100 ms at the latest.",
  "invalidate the cache": "Each toy has a floor: the lowest version that may be stored. An invalidation raises it, so an answer that was sent before is not stored.",
  "sync the log": "Committed: an entry that each member of the commit set has on disk, and whose sale is durable.",
  "durable": "A sale is durable when each subscriber has acknowledged its change, or when the subscriber's lease is certainly over.",
  "sync the journal": "The journal is on disk up to the position, and each cache has acknowledged.",
  "wait for the caches": "Each front-end calls changes at the catalog again and again. The catalog answers when a toy has changed, after 100 ms at the latest. The next call acknowledges the change.",
  "wait for a thread": "If all threads of the called service are busy, the call waits in its queue.",
  "wait until the leader is confirmed": "A leader says that an order does not exist only if it surely still led when it was asked.",
  "wait for the commit": "Only committed orders are answered or shown.",
  "wait for a leader": "If no member is fit, there is no leader until one is.",
  "election": "A view is on the front-end's disk, or in the database, before it is sent, and on a replica's disk before the replica acts on it.",
  "update_leader": "A view is on the front-end's disk, or in the database, before it is sent, and on a replica's disk before the replica acts on it.",
  "write the view": "A view is on the front-end's disk, or in the database, before it is sent, and on a replica's disk before the replica acts on it.",
  "no leader": "A replica is down if it has not answered for 450 ms, or if its address refuses the connection.",
  "take office": "A new leader does the following before it accepts purchases.",
  "catch up": "A replica that starts takes part again only in a view that is newer than the one on its disk, because a leader that restarts does not know its commit set any more.",
  "standing": "It asks the catalog for its standing (incarnation, settled number).",
  "reconcile": "The leader appends an order for each of those that its log lacks (it rolls the sale forward).",
  "wait until office is taken": "A new leader does the following before it accepts purchases.",
};

/** Why a failed call is repeated. */
export const RETRY = "If the catalog has an open sale with the key, it repeats its answer without a second decrement.";
