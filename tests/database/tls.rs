//! A database that takes only TLS: the store sells on it with the right authority, and says in one line what is wrong
//! otherwise.

use crate::support::Cluster;
use crate::support::Id::{Catalog, Frontend};
use crate::support::galera::Galera;
use toystore::certs;
use toystore::config::Config;

#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn a_store_speaks_tls_with_the_nodes_and_trusts_only_its_authority() {
    let directory = tempfile::tempdir().expect("a directory");
    let [ours, foreign] = ["ours", "foreign"].map(|name| {
        let path = directory.path().join(name);
        certs::make(&Config::default(), &path, 1).expect("certificates");
        path
    });
    // The certificate of a service is valid for 127.0.0.1.
    let options = format!(
        "--ssl-cert={0}/catalog.pem --ssl-key={0}/catalog-key.pem --require-secure-transport=ON",
        ours.display()
    );
    let galera = Galera::start_on(directory.path(), &options);
    let mut store = Cluster::closed(&[]);
    for flag in galera.flags() {
        store.add_flag(flag);
    }
    let authority =
        |path: &std::path::Path| format!("--database-authority={}/authority.pem", path.display());
    for (authority, expected) in [
        (String::new(), "set database.authority"),
        (authority(&foreign), "check database.authority and the node's certificate"),
        (authority(&directory.path().join("nowhere")), "nowhere/authority.pem: cannot read"),
    ] {
        let settings = [&*authority].into_iter().filter(|flag| !flag.is_empty());
        store.spawn(Catalog, &settings.collect::<Vec<_>>());
        assert_eq!(store.await_end(Catalog).code(), Some(2), "{expected}");
        let said = store.log(Catalog);
        let last = said.lines().last().expect("it said why");
        assert!(last.starts_with("catalog: ") && last.contains(expected), "{last}");
    }
    store.add_flag(authority(&ours));
    store.start_all();
    let mut customer = store.customer(Frontend);
    customer.buy_one("Tux");
    galera.kill(1);
    customer.buy_one("Tux");
    assert_eq!(customer.quantity("Tux"), 98);
    store.await_settled();
    let audit = store.program("audit").arg("--running").status();
    assert!(audit.expect("a process").success(), "the books agree");
}
