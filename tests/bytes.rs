//! Any bytes from a network or a disk: the claims that the fuzzers check (`make fuzz`), for
//! their seeds, and for damaged seeds.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

#[path = "../fuzz/src/lib.rs"]
mod claims;

use proptest::prelude::*;
use proptest::sample::{Index, select};
use std::fs;

/// The seeds of a claim.
fn seeds(claim: &str) -> Vec<Vec<u8>> {
    let directory = format!("{}/fuzz/seeds/{claim}", env!("CARGO_MANIFEST_DIR"));
    let files = fs::read_dir(directory).unwrap();
    let mut paths: Vec<_> = files.map(|file| file.unwrap().path()).collect();
    paths.sort();
    paths.into_iter().map(|path| fs::read(path).unwrap()).collect()
}

/// A way to damage bytes.
#[derive(Debug, Clone)]
enum Damage {
    Cut(Index),
    Set(Index, u8),
    Insert(Index, Vec<u8>),
    Repeat(Index, Index),
}

fn damage() -> impl Strategy<Value = Damage> {
    let piece = select(vec![
        &b"\r\n"[..],
        b"\n",
        b"\r\n\r\n",
        b"\0",
        b"\"",
        b",",
        b",#\n",
        b":",
        b" ",
        b"%",
        b"99999999999",
        b"Content-Length: 3\r\n",
        b"Transfer-Encoding: chunked\r\n",
        b"Expect: 100-continue\r\n",
        b"\xff",
    ]);
    prop_oneof![
        any::<Index>().prop_map(Damage::Cut),
        (any::<Index>(), any::<u8>()).prop_map(|(place, byte)| Damage::Set(place, byte)),
        (any::<Index>(), piece).prop_map(|(place, piece)| Damage::Insert(place, piece.into())),
        (any::<Index>(), any::<Index>()).prop_map(|(from, to)| Damage::Repeat(from, to)),
    ]
}

impl Damage {
    fn strike(self, bytes: &mut Vec<u8>) {
        let place = |index: Index| index.index(bytes.len() + 1);
        match self {
            Damage::Cut(at) => bytes.truncate(place(at)),
            Damage::Set(at, byte) => {
                let at = place(at);
                bytes.splice(at..bytes.len().min(at + 1), [byte]);
            }
            Damage::Insert(at, piece) => {
                let at = place(at);
                bytes.splice(at..at, piece);
            }
            Damage::Repeat(from, to) => {
                let (from, to) = (place(from), place(to));
                let piece = bytes[from.min(to)..from.max(to)].to_vec();
                bytes.splice(to..to, piece);
            }
        }
    }
}

/// The claim holds for its seeds, and for this number of damaged ones.
fn holds(name: &str, claim: fn(&[u8]), cases: u32) {
    let seeds = seeds(name);
    assert!(seeds.len() > 5, "{name}: a claim about nothing");
    for seed in &seeds {
        claim(seed);
    }
    let damaged = (select(seeds), prop::collection::vec(damage(), 1..5));
    let config = ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() };
    proptest!(config, |((mut bytes, damages) in damaged)| {
        for damage in damages {
            damage.strike(&mut bytes);
        }
        claim(&bytes);
    });
}

#[test]
fn requests_are_answered_the_same_however_they_come() {
    holds("http", claims::http, 3_000);
}

#[test]
fn frames_are_split_the_same_however_they_come_and_questions_keep_their_meaning() {
    holds("frame", claims::frame, 10_000);
}

#[test]
fn a_log_gives_back_its_whole_rows_and_goes_on_or_is_left_alone() {
    holds("log", claims::log, 500);
}
