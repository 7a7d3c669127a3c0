//! Submission files: a mistake is named with its line.

use toystore_lab::grade::submission::Submission;

pub const GOOD: &str = r#"
[[process]]
name = "shop"
role = "frontend"
command = ["shop", "{port}"]
ports = { listen = 0 }
ready = { port = "{port}" }

[api]
url = "http://127.0.0.1:{port:shop}"

[toys]
A = 100
B = 100
C = 100
D = 100
"#;

/// What is replaced in it, by what, and what is said.
#[rustfmt::skip]
const MISTAKES: [(&str, &str, &str); 28] = [
        ("name = \"shop\"", "name = shop", "s.toml, line 3: "),
        ("role = \"frontend\"", "role = \"front\"", "s.toml, line 4: unknown variant `front`"),
        (
            "role = \"frontend\"",
            "role = \"order\"",
            "s.toml, line 2: process \"shop\": a replica needs an id: id = 1",
        ),
        (
            "ready = { port = \"{port}\" }",
            "",
            "s.toml, line 2: process \"shop\": say when it is ready",
        ),
        (
            "\"{port}\"]",
            "\"{prot}\"]",
            "s.toml, line 2: process \"shop\": \"{prot}\" has {prot}: expected port, link, copy",
        ),
        (
            "\"{port}\"]",
            "\"{port.peer}\"]",
            "s.toml, line 2: process \"shop\": \"{port.peer}\" has {port.peer}: expected a port that is in the ports",
        ),
        ("\"{port}\"]", "\"{link:catalog}\"]", "s.toml, line 2: process \"shop\": "),
        ("command = ", "comand = ", "s.toml, line 5: unknown field `comand`"),
        (
            "ports = ",
            "directory = \"..\"\nports = ",
            "s.toml, line 2: process \"shop\": directory is relative",
        ),
        (
            "ports = ",
            "log = \"/etc/passwd\"\nports = ",
            "s.toml, line 2: process \"shop\": log is relative and in the copy",
        ),
        (
            "ports = ",
            "log = \"{copy}/../x\"\nports = ",
            "s.toml, line 2: process \"shop\": log is relative and in the copy",
        ),
        ("{port:shop}", "{port:shp}", "s.toml, line 9: api.url: "),
        (
            "http://",
            "https://",
            "s.toml, line 9: api.url is \"https://127.0.0.1:{port:shop}\", expected http://HOST:PORT",
        ),
        (
            "http://127.0.0.1:{port:shop}",
            "http://192.0.2.1:80",
            "s.toml, line 9: api.url: \"http://192.0.2.1:80\" is not on this machine; say remote = true",
        ),
        (
            "{ port = \"{port}\" }",
            "{ url = \"http://127.0.0.1.example.org/\" }",
            "s.toml, line 2: process \"shop\": \"http://127.0.0.1.example.org/\" is not on this machine",
        ),
        (
            "[toys]",
            "buy = { request = \"POST /my toys?name={name}&quantity={quantity}\", number = \"\" }\n[toys]",
            "s.toml, line 9: api.buy.request has \"/my toys?name={name}&quantity={quantity}\": write spaces",
        ),
        (
            "[toys]",
            "headers = { X-Token = \"a\\r\\nb\" }\n[toys]",
            "s.toml, line 9: api.headers.X-Token is \"a\\r\\nb\", which has a control character",
        ),
        (
            "[toys]",
            "key = \"my key\"\n[toys]",
            "s.toml, line 9: the name of a header is \"my key\", expected letters",
        ),
        (
            "{port:shop}",
            "{port:shop}/a b",
            "s.toml, line 9: api.url: has \"http://127.0.0.1:{port:shop}/a b\": write spaces",
        ),
        (
            "[toys]",
            "query = { request = \"/products\", quantity = \"\" }\n[toys]",
            "s.toml, line 9: api.query.request is",
        ),
        (
            "[toys]",
            "query = { request = \"GET /products\", quantity = \"\" }\n[toys]",
            "s.toml, line 9: api.query.request needs {name}",
        ),
        (
            "[toys]",
            "query = { request = \"GET /{name}\", quantity = \"data\" }\n[toys]",
            "s.toml, line 9: api.query.quantity is \"data\", expected a JSON pointer",
        ),
        (
            "[toys]",
            "buy = { request = \"POST /buy\", body = \"{name}\", number = \"\" }\n[toys]",
            "s.toml, line 9: api.buy needs {quantity}",
        ),
        ("[toys]", "preset = \"paths\"\n[toys]", "s.toml, line 12: unknown variant `paths`"),
        ("D = 100", "", "s.toml, line 12: [toys] has 3, expected 4 or more"),
        ("D = 100", "D = 5", "s.toml, line 12: D has a stock of 5, expected 10 or more"),
        (
            "D = 100",
            "D = 100\n[cache]\ncapacity = 4",
            "s.toml, line 12: [cache] capacity is 4, expected at least 1 and less than the 4 toys",
        ),
        (
            "[api]",
            "[[process]]\nname = \"shop\"\nrole = \"catalog\"\nready = { port = 1 }\n[api]",
            "s.toml, line 9: two processes have the name \"shop\"",
        ),
];

#[test]
fn a_mistake_in_a_submission_file_is_named_with_its_line() {
    Submission::parse(GOOD, "s.toml").expect("it is good");
    for (from, to, said) in MISTAKES {
        assert!(GOOD.contains(from), "{from}");
        let error =
            Submission::parse(&GOOD.replacen(from, to, 1), "s.toml").expect_err(to).to_string();
        assert!(error.starts_with(said), "{to}: {error}");
    }
}
