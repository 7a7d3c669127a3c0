//! The pages: the front-end sends the shop and its files, each with its content type, and lets a browser load
//! nothing else. A page is complete, small, and treats the names of toys as text.

mod support;

use std::collections::BTreeSet;
use support::Cluster;
use support::Id::Frontend;
use support::PATIENCE;
use toystore::http::{Client, Response};
use toystore::pages::{CLUSTER, File, Page, STOREFRONT};

/// Each page with its name.
const PAGES: [(&str, &Page); 2] = [("storefront", &STOREFRONT), ("cluster", &CLUSTER)];

/// The largest size of a page, with all its files: the shop a second on a slow phone, the cluster page on a desk.
const PAGE_BYTES_MAX: [usize; 2] = [60_000, 80_000];

/// A front-end alone: it answers everything that needs no other service.
fn frontend() -> (Cluster, Client) {
    let mut store = Cluster::closed(&[]);
    store.start(Frontend);
    let client = Client::new(store.address(Frontend), PATIENCE);
    (store, client)
}

fn ask(client: &mut Client, method: &str, target: &str) -> Response {
    let response = client.send(method, target, &[], b"");
    response.unwrap_or_else(|error| panic!("{method} {target}: {error}"))
}

fn text(file: &File) -> &'static str {
    str::from_utf8(file.bytes).expect("files are text")
}

/// The names that follow `begin` at each place in a text.
fn names_after<'a>(text: &'a str, begin: &str) -> Vec<&'a str> {
    let in_name = |c: char| c.is_ascii_alphanumeric() || "-_./".contains(c);
    let rests = text.split(begin).skip(1);
    rests.map(|rest| rest.split(|c| !in_name(c)).next().expect("there is one")).collect()
}

#[test]
fn the_shop_is_sent_as_what_it_is_and_may_load_nothing_else() {
    let (_store, mut client) = frontend();
    for file in STOREFRONT.files {
        let target = format!("/{}", file.path);
        let expected = match target.rsplit(['.', '/']).next().expect("there is one") {
            "" => "text/html; charset=utf-8",
            "css" => "text/css; charset=utf-8",
            "js" => "text/javascript; charset=utf-8",
            "svg" => "image/svg+xml",
            other => panic!("{target}: {other}?"),
        };
        for (method, body) in [("GET", file.bytes), ("HEAD", b"".as_slice())] {
            let response = ask(&mut client, method, &target);
            assert_eq!(response.status, 200, "{method} {target}");
            assert_eq!(response.header("Content-Type"), Some(expected), "{method} {target}");
            let length = file.bytes.len().to_string();
            assert_eq!(response.header("Content-Length"), Some(&*length), "{method} {target}");
            assert!(response.body == body, "{method} {target} has the body of its file");
            let policy = response.header("Content-Security-Policy").expect("each has one");
            assert!(policy.contains("default-src 'self'"), "{method} {target}: {policy}");
            assert!(!policy.contains("unsafe"), "{method} {target}: {policy}");
            assert_eq!(response.header("X-Content-Type-Options"), Some("nosniff"), "{target}");
            assert_eq!(response.header("Referrer-Policy"), Some("no-referrer"), "{target}");
        }
    }
}

#[test]
fn nothing_but_the_files_of_the_page_is_there_and_they_are_only_read() {
    let (_store, mut client) = frontend();
    for target in [
        "/assets",
        "/assets/",
        "/assets/nothing.js",
        "/assets/THEME.css",
        "/assets/theme.css/",
        "/assets/theme.css/theme.css",
        "/assets/../Cargo.toml",
        "/assets/..%2f..%2fCargo.toml",
        "/theme.css",
        "/index.html",
        "//",
    ] {
        let response = ask(&mut client, "GET", target);
        assert_eq!(response.status, 404, "{target}");
        assert_eq!(response.header("Content-Type"), Some("application/json"), "{target}");
    }
    for method in ["POST", "PUT", "DELETE"] {
        for target in ["/", "/assets/theme.css", "/assets/nothing.js"] {
            let response = ask(&mut client, method, target);
            assert_eq!(response.status, 405, "{method} {target}");
            assert_eq!(response.header("Allow"), Some("GET, HEAD, OPTIONS"), "{method} {target}");
        }
    }
}

#[test]
fn what_a_page_names_is_part_of_it_and_all_of_it_is_named() {
    for (name, page) in PAGES {
        let mut named = BTreeSet::from([String::new()]);
        for file in page.files {
            // Names in a page are relative to the page; imports of a script are relative to the script.
            for begin in ["\"assets/", "`assets/", "from \"./"] {
                let beside = names_after(text(file), begin).into_iter();
                named.extend(beside.map(|file| format!("assets/{file}")));
            }
            for host in names_after(text(file), "://") {
                assert_eq!(host, "www.w3.org/2000/svg", "{name}: {} goes elsewhere", file.path);
            }
        }
        let embedded: BTreeSet<String> = page.files.iter().map(|file| file.path.into()).collect();
        assert_eq!(named, embedded, "{name}");
    }
}

#[test]
fn a_page_is_small() {
    for ((name, page), most) in PAGES.into_iter().zip(PAGE_BYTES_MAX) {
        let bytes: usize = page.files.iter().map(|file| file.bytes.len()).sum();
        assert!(bytes <= most, "{name} has {bytes} bytes, at most {most}");
    }
}

/// The cluster page explains a purchase in the words of the page that is the protocol.
#[test]
fn what_the_cluster_page_explains_is_in_the_protocol() {
    let words = |text: &str| -> String {
        let words = text.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.flat_map(|word| [" ".to_owned(), word.to_lowercase()]).collect()
    };
    let protocol = words(include_str!("../docs/replication.md"));
    let file = CLUSTER.file(&["assets", "explanations.js"]).expect("it is part of the page");
    // Names of spans are shorter than any sentence.
    let sentences = text(file).lines().filter(|line| !line.starts_with("//"));
    let sentences =
        sentences.filter_map(|line| line.rsplit('"').nth(1)).filter(|text| text.len() > 40);
    let sentences: Vec<&str> = sentences.collect();
    assert!(sentences.len() > 10, "{sentences:?}");
    for sentence in sentences {
        assert!(protocol.contains(&words(sentence)), "{sentence}");
    }
}

/// A toy may be named `<img src=x onerror=…>`. No script may make elements of text.
#[test]
fn no_script_makes_elements_or_programs_of_text() {
    let words =
        ["innerHTML", "outerHTML", "insertAdjacentHTML", "document.write", "eval(", "style="];
    for (name, page) in PAGES {
        for file in page.files {
            for word in words {
                assert!(!text(file).contains(word), "{name}: {} has {word}", file.path);
            }
        }
    }
}
