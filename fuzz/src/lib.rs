//! Three properties that hold for any input. Each function checks one of them, and panics if it does not hold.
//!
//! The fuzzers in `fuzz_targets/` search for input that breaks them (`make fuzz`). `tests/bytes.rs` checks them in every
//! `make test`, with the inputs in `seeds/` and damaged copies of these.

use serde::Serialize;
use serde::de::DeserializeOwned;
use std::fmt::{Debug, Display};
use std::fs;
use std::path::Path;
use toystore::error::{Error, Result};
use toystore::http::{Http1, Request, Responder};
use toystore::net::{Progress, Scheme, frame};
use toystore::protocol::{catalog, order, question};
use toystore::storage::{CsvLog, Table, TornTail};

/// The answer to a request is the same whether the request arrives at once or byte by byte. Each answer is a whole
/// HTTP response, and one that refuses a request ends the connection.
pub fn http(input: &[u8]) {
    let (mut at_once, mut bytewise) = (Http1::new(Scheme::Plain), Http1::new(Scheme::Plain));
    let mut rest = input;
    loop {
        let (progress, answer) = serve(&mut at_once, rest);
        let mut slowly = (0..=rest.len()).map(|end| serve(&mut bytewise, &rest[..end]));
        let first = slowly.find(|(progress, _)| *progress != Progress::NeedMore);
        match progress {
            Progress::NeedMore => {
                return assert_eq!(first, None, "answered before it was complete");
            }
            Progress::Served { bytes } => {
                assert!(0 < bytes && bytes <= rest.len(), "{bytes} of {} bytes", rest.len());
                check_response(&answer);
                assert_eq!(
                    first,
                    Some((progress, answer)),
                    "the answer depends on how the input is split"
                );
                rest = &rest[bytes..];
            }
            Progress::Later { .. } => panic!("the handler answers at once"),
            Progress::Close => {
                let head = check_response(&answer);
                assert!(head.contains("\r\nConnection: close\r\n"), "{head:?}");
                let (slow_progress, slow_answer) = first.expect("all of the input was given");
                assert_eq!(
                    slow_progress,
                    Progress::Close,
                    "the answer depends on how the input is split"
                );
                // If a request has two faults, either may be reported.
                let is_refused = status(head) >= 400;
                assert_eq!(status(check_response(&slow_answer)) >= 400, is_refused);
                assert!(
                    is_refused || slow_answer == answer,
                    "the answer depends on how the input is split"
                );
                return;
            }
        }
    }
}

fn serve(connection: &mut Http1, input: &[u8]) -> (Progress, Vec<u8>) {
    let mut output = Vec::new();
    let progress = connection.serve(input, &mut output, echo);
    // The date may differ between two answers.
    let date = output.windows(8).position(|bytes| bytes == b"\r\nDate: ");
    if let Some(date) = date.filter(|_| progress != Progress::NeedMore) {
        output.drain(date..date + "\r\nDate: Sat, 21 Nov 2026 00:00:00 GMT".len());
    }
    (progress, output)
}

/// A handler that reads every part of a request and answers with what it has read.
fn echo(request: &Request<'_>, responder: Responder<'_>) {
    let path: Vec<_> = request.segments().collect();
    let query: Vec<_> = request.query().collect();
    let key = request.header("Idempotency-Key");
    let body = String::from_utf8_lossy(request.body);
    let read = format!("{} {path:?} {query:?} {key:?} {body:?}", request.method);
    responder.send(200, &[], read.as_bytes());
}

/// Returns the head.
fn check_response(response: &[u8]) -> &str {
    let text = str::from_utf8(response).expect("a response is text");
    let (head, body) = text.split_once("\r\n\r\n").expect("a head has an end");
    assert!((200..600).contains(&status(head)), "{head:?}");
    let length = head.lines().find_map(|line| line.strip_prefix("Content-Length: "));
    let length: usize = length.expect("every response has one").parse().expect("a number");
    // A response to HEAD has none.
    assert!(body.is_empty() || body.len() == length, "{text:?}");
    &text[..head.len() + 2]
}

fn status(head: &str) -> u16 {
    let line = head.strip_prefix("HTTP/1.1 ").expect("a status line");
    line[..3].parse().expect("a status")
}

/// A frame is recognised only when it is complete. A question in it is the same after it is written and read again.
pub fn frame(input: &[u8]) {
    let mut rest = input;
    while let Ok(Some((payload, bytes))) = frame::split(rest) {
        assert_eq!(payload.len() + 4, bytes);
        for end in [0, 3, 4, bytes - 1].into_iter().filter(|end| *end < bytes) {
            assert_eq!(frame::split(&rest[..end]), Ok(None), "{end} bytes of {bytes}");
        }
        let mut again = Vec::new();
        let put = frame::put(&mut again, |output| {
            output.extend_from_slice(payload);
            Ok(())
        });
        assert_eq!((put, &again[..]), (Ok(()), &rest[..bytes]));
        read::<order::Request>(payload);
        read::<order::Peer>(payload);
        read::<catalog::Request>(payload);
        read::<catalog::Peer>(payload);
        rest = &rest[bytes..];
    }
}

fn read<Q: Serialize + DeserializeOwned + PartialEq + Debug>(payload: &[u8]) {
    if let Ok(read) = question::<Q>(payload) {
        let written = serde_json::to_vec(&read).expect("what was read can be written");
        assert_eq!(question::<Q>(&written), Ok(read));
    }
}

const TABLE: Table = Table { columns: &["number", "name"], remedy: "restore it" };

/// For any content of its file, a log returns complete rows from the beginning and appends after them, or it refuses to
/// open and does not change the file. In the input a `#` at the end of a line stands for the line's checksum, so that
/// the fuzzer does not have to guess checksums.
pub fn log(input: &[u8]) {
    let directory = tempfile::tempdir().expect("a directory");
    let path = directory.path().join("log.csv");
    let found = with_checksums(input);
    fs::write(&path, &found).expect("there is space");
    let left = || fs::read(&path).expect("it is there");
    // A log of an earlier version is rewritten.
    if found.starts_with(b"number,name,crc\n") {
        return drop(open(&path));
    }

    let (log, mut rows, torn) = match open(&path) {
        Err(Error::Damaged { .. }) => {
            return assert_eq!(left(), found, "a refused log is not changed");
        }
        Err(error) => panic!("{error}"),
        Ok(opened) => opened,
    };
    let cut = torn.map_or(0, |torn| usize::try_from(torn.bytes).expect("it was in memory"));
    let (kept, cut) = found.split_at(found.len() - cut);
    match torn {
        Some(TornTail { line: 1, .. }) => assert_eq!(left(), TABLE.header().as_bytes()),
        _ => assert_eq!(left(), kept),
    }
    let stated = kept.len().checked_sub(9).and_then(|start| kept.get(start..start + 8));
    let stated = stated.and_then(|digits| str::from_utf8(digits).ok());
    let last = stated.and_then(|digits| u32::from_str_radix(digits, 16).ok()).unwrap_or(0);
    let first = cut.split_inclusive(|byte| *byte == b'\n').next();
    assert!(!first.is_some_and(|line| is_row(last, line)), "a complete row was cut off");
    assert_eq!(left().split(|byte| *byte == b'\n').count(), rows.len() + 2);

    rows.push(["7".into(), "one, \"more\"".into()]);
    let fields = rows[rows.len() - 1].each_ref().map(|field| field as &dyn Display);
    let position = log.append(&fields).expect("it is open");
    assert_eq!(position, rows.len() as u64);
    log.sync(position).expect("there is space");
    let (_, again, torn) = open(&path).expect("it was complete");
    assert_eq!((again, torn), (rows, None));
}

type Row = [String; 2];

fn open(path: &Path) -> Result<(CsvLog, Vec<Row>, Option<TornTail>)> {
    let mut rows = Vec::new();
    let (log, torn) = CsvLog::open(path, &TABLE, |fields| {
        rows.push([fields[0].into(), fields[1].into()]);
        Ok(())
    })?;
    Ok((log, rows, torn))
}

/// Whether a line is certainly a valid row after a row with the checksum `before`.
fn is_row(before: u32, line: &[u8]) -> bool {
    let Some((row, checksum)) = line.len().checked_sub(10).map(|end| line.split_at(end)) else {
        return false;
    };
    let is_plain = row.is_ascii() && !row.contains(&b'"');
    let fields = row.split(|byte| *byte == b',').count();
    is_plain && fields == 2 && checksum == format!(",{:08x}\n", continued(before, row)).as_bytes()
}

/// The checksum of a row after a row with the checksum `before`.
fn continued(before: u32, row: &[u8]) -> u32 {
    let mut hasher = crc32fast::Hasher::new_with_initial(before);
    hasher.update(row);
    hasher.finalize()
}

fn with_checksums(input: &[u8]) -> Vec<u8> {
    let mut last = 0;
    let mut found = Vec::new();
    for line in input.split_inclusive(|byte| *byte == b'\n') {
        match line.strip_suffix(b",#\n") {
            Some(row) => {
                last = continued(last, row);
                found.extend_from_slice(row);
                found.extend_from_slice(format!(",{last:08x}\n").as_bytes());
            }
            None => found.extend_from_slice(line),
        }
    }
    found
}
