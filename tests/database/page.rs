//! The cluster page of a store on the database: it shows the nodes of the database as they are, each catalog and front-end,
//! and which front-end makes the views.

use crate::support::galera::Galera;
use crate::support::run_all::RunAll;
use crate::support::{Cluster, Customer, own_host, reserve, wait_for, wait_until};
use serde_json::Value;
use std::fs;

/// The page of a store with two catalogs and two front-ends, and who looks at it.
struct Page {
    _run_all: RunAll,
    _store: Cluster,
    path: String,
    browser: Customer,
    password: String,
}

/// A node as the page shows it: its fitness, its state, and the size of the cluster.
type Node = (&'static str, &'static str, Option<u64>);

const SILENT: Node = ("silent", "does not answer", None);

fn synced(count: u64) -> Node {
    ("fit", "Synced", Some(count))
}

impl Page {
    fn open(galera: &Galera) -> Page {
        let mut store = Cluster::closed(&["--config=two.toml"]);
        let [a, b, c, d] = <[String; 4]>::try_from(reserve(&own_host(), 4)).expect("four");
        let catalog = format!("[catalog.2]\nlisten = \"{a}\"\npeer = \"{b}\"\n");
        let front_end = format!("[frontend.2]\nlisten = \"{c}\"\npeer = \"{d}\"\n");
        fs::write(store.path("two.toml"), catalog + &front_end).expect("written");
        for flag in galera.flags() {
            store.add_flag(flag);
        }
        let listen = format!("--page-listen={}:0", own_host());
        let mut run_all = RunAll::start(&store, &["--page", &listen]);
        let (address, path) = run_all.page();
        let file = galera.settings().password_file.expect("there is one");
        let password = fs::read_to_string(file).expect("a text");
        let browser = Customer::of(&address);
        Page { _run_all: run_all, _store: store, path, browser, password }
    }

    fn state(&mut self) -> Value {
        let (status, mut body) = self.browser.get(&format!("{}/state", self.path));
        assert_eq!(status, 200, "{body}");
        assert!(!body.to_string().contains(self.password.trim()), "nobody needs the password");
        body["data"].take()
    }

    fn await_nodes(&mut self, expected: [Node; 3]) {
        wait_until(&format!("{expected:?}"), || {
            let state = self.state();
            let nodes = state["nodes"].as_array().expect("a list");
            let shown = nodes.iter().map(|node| {
                let word = |field: &str| node[field].as_str().expect("a word");
                (word("fitness"), word("state"), node["count"].as_u64())
            });
            shown.eq(expected)
        });
    }

    /// Waits until one of these two services has the state of the one that works, and the other one this state. Returns
    /// their names in this order. Either may work, and one that lost its log to the other has ended: the loss of a node can
    /// do that.
    fn await_pair<'a>(&mut self, pair: [&'a str; 2], states: [&str; 2]) -> [&'a str; 2] {
        let [one, other] = pair;
        wait_for(&format!("{pair:?}: {states:?}"), || {
            let state = self.state();
            let services = state["services"].as_array().expect("a list");
            let is_in = |name: &str, expected: &str| {
                services
                    .iter()
                    .any(|service| service["name"] == name && service["state"] == expected)
            };
            let ended = pair.into_iter().find(|name| states[1] == "standby" && is_in(name, "down"));
            if let Some(name) = ended {
                self.command(&format!("start {name}"));
                return None;
            }
            [[one, other], [other, one]]
                .into_iter()
                .find(|[works, waits]| is_in(works, states[0]) && is_in(waits, states[1]))
        })
    }

    fn command(&mut self, line: &str) {
        let target = format!("{}/commands", self.path);
        let (status, body) = self.browser.send("POST", &target, &[], line.as_bytes());
        assert_eq!(status, 200, "{body}");
    }
}

#[test]
#[ignore = "needs MariaDB; run by make test-database"]
fn the_page_shows_the_nodes_of_the_database_and_who_makes_the_views() {
    let galera = Galera::start();
    let mut page = Page::open(&galera);
    page.await_nodes([synced(3), synced(3), synced(3)]);
    galera.kill(2);
    page.await_nodes([synced(2), SILENT, synced(2)]);
    galera.sql(3, "SET GLOBAL read_only = 1");
    page.await_nodes([synced(2), SILENT, ("unfit", "read-only", Some(2))]);
    galera.sql(3, "SET GLOBAL read_only = 0");
    galera.start_all();
    page.await_nodes([synced(3), synced(3), synced(3)]);

    let (catalogs, front_ends) = (["catalog", "catalog 2"], ["frontend", "frontend 2"]);
    let [active, standby] = page.await_pair(catalogs, ["up", "standby"]);
    let [controller, other] = page.await_pair(front_ends, ["controller", "up"]);
    page.command(&format!("crash {active}"));
    page.command(&format!("crash {controller}"));
    assert_eq!(page.await_pair(catalogs, ["up", "down"]), [standby, active]);
    assert_eq!(page.await_pair(front_ends, ["controller", "down"]), [other, controller]);
    galera.kill(1);
    galera.kill(2);
    page.await_nodes([SILENT, SILENT, ("unfit", "not primary", Some(1))]);
}
