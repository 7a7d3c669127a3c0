//! Durable files: a crash at any byte loses no synced row, damage is never read as data,
//! one sync serves all writers that wait, and a failed disk is not used again.

#![expect(clippy::unwrap_used, reason = "a panic fails the test")]

use proptest::prelude::*;
use proptest::sample::Index;
use std::fmt::Display;
use std::fs;
use std::path::{Path, PathBuf};
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread;
use tempfile::TempDir;
use toystore::error::{Error, Result};
use toystore::model::{Entry, Epoch, Item, Key, OrderNumber, Quantity};
use toystore::order::file::{Loaded, OrderFile};
use toystore::storage::{Chain, CsvLog, Directory, Table, TornTail, read_rows, replace};

const TABLE: Table = Table { columns: &["number", "name"], remedy: "restore it from a backup" };

type Row = (u64, String);

/// Opens the log and collects its rows.
fn open(path: &Path) -> Result<(CsvLog, Vec<Row>, Option<TornTail>)> {
    let mut rows = Vec::new();
    let (log, torn) = CsvLog::open(path, &TABLE, |fields| {
        rows.push((fields[0].parse().unwrap(), fields[1].to_owned()));
        Ok(())
    })?;
    Ok((log, rows, torn))
}

fn strict(path: &Path) -> Result<Vec<Row>> {
    let mut rows = Vec::new();
    read_rows(path, &TABLE, |fields| {
        rows.push((fields[0].parse().unwrap(), fields[1].to_owned()));
        Ok(())
    })?;
    Ok(rows)
}

fn append(log: &CsvLog, row: &Row) -> Result<u64> {
    log.append(&[&row.0, &row.1])
}

/// A line with a checksum of this row alone, as in earlier versions.
fn summed(body: &str) -> String {
    format!("{body},{:08x}\n", crc32fast::hash(body.as_bytes()))
}

/// A line that continues these, with any content.
fn chained(before: &[u8], body: &str) -> String {
    let digits = before.len() - "12345678\n".len()..before.len() - 1;
    let digits = str::from_utf8(&before[digits]).unwrap();
    let mut hasher = crc32fast::Hasher::new_with_initial(u32::from_str_radix(digits, 16).unwrap());
    hasher.update(body.as_bytes());
    format!("{body},{:08x}\n", hasher.finalize())
}

/// A new log in a directory of its own, with these rows on disk.
fn log_of(rows: &[Row]) -> (TempDir, PathBuf, CsvLog) {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("log.csv");
    let (log, _, _) = open(&path).unwrap();
    for row in rows {
        append(&log, row).unwrap();
    }
    log.sync(log.appended()).unwrap();
    (directory, path, log)
}

fn numbered(numbers: impl IntoIterator<Item = u64>) -> Vec<Row> {
    numbers.into_iter().map(|n| (n, format!("toy \"{n}\", red"))).collect()
}

fn any_rows() -> impl Strategy<Value = Vec<Row>> {
    prop::collection::vec((any::<u64>(), "[a-c ,\"é]{0,6}"), 1..6)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 200, failure_persistence: None, ..ProptestConfig::default() })]

    #[test]
    fn a_log_cut_at_any_byte_recovers_its_whole_rows(rows in any_rows(), cut: Index) {
        let (_directory, path, log) = log_of(&rows);
        drop(log);
        let bytes = fs::read(&path).unwrap();
        let bytes = &bytes[..cut.index(bytes.len() + 1)];
        fs::write(&path, bytes).unwrap();
        let whole_lines = bytes.split(|&b| b == b'\n').count() - 1;
        let whole_rows = whole_lines.saturating_sub(1);

        let (log, recovered, torn) = open(&path).unwrap();
        prop_assert_eq!(&recovered, &rows[..whole_rows]);
        prop_assert_eq!(torn.is_some(), !bytes.ends_with(b"\n"));
        if let Some(torn) = torn {
            prop_assert_eq!(torn.line, whole_lines as u64 + 1);
        }

        let next = (7, "after the crash".to_owned());
        let position = append(&log, &next).unwrap();
        log.sync(position).unwrap();
        prop_assert_eq!(position, whole_rows as u64 + 1);
        let (_, again, torn) = open(&path).unwrap();
        prop_assert_eq!(again, [&rows[..whole_rows], &[next]].concat());
        prop_assert_eq!(torn, None);
    }

    #[test]
    fn a_changed_byte_is_noticed(rows in any_rows(), place: Index, flip in 1..=255_u8) {
        let (_directory, path, log) = log_of(&rows);
        drop(log);
        let mut bytes = fs::read(&path).unwrap();
        let place = place.index(bytes.len());
        bytes[place] ^= flip;
        fs::write(&path, &bytes).unwrap();

        let is_damage = matches!(strict(&path), Err(Error::Damaged { .. }));
        prop_assert!(is_damage);
        match open(&path) {
            Ok((_, recovered, torn)) => {
                prop_assert!(torn.is_some() && recovered.len() < rows.len());
                prop_assert_eq!(&recovered, &rows[..recovered.len()]);
            }
            Err(Error::Damaged { .. }) => prop_assert_eq!(fs::read(&path).unwrap(), bytes),
            Err(other) => prop_assert!(false, "{}", other),
        }
    }
}

#[test]
fn a_bad_tail_is_cut_and_any_other_bad_row_stops_the_start() {
    let (_directory, path, log) = log_of(&numbered(1..=2));
    drop(log);
    let good = fs::read(&path).unwrap();
    let row = chained(&good, "3,Tux");
    let zeros = "\0".repeat(200_000);

    let torn = [
        "3,Tu".to_owned(),
        row.trim_end().to_owned(),
        zeros.clone(),
        format!("3,Tu{zeros}\n"),
        format!("3,Tux,00000000\n{zeros}"),
    ];
    for tail in torn {
        fs::write(&path, [&good, tail.as_bytes()].concat()).unwrap();
        let (_, rows, torn) = open(&path).unwrap();
        assert_eq!(rows, numbered(1..=2));
        assert_eq!(torn, Some(TornTail { line: 4, bytes: tail.len() as u64 }));
        assert_eq!(fs::read(&path).unwrap(), good);
    }

    let damage = [
        ("3,Tux,00000000\n".to_owned(), "the checksum is wrong"),
        (row.to_uppercase(), "the checksum is wrong"),
        ("\n".to_owned(), "the row has no checksum"),
        (chained(&good, "3,\"Tux"), "a quote is not closed"),
        (chained(&good, "3,\"Tux\"x"), "a comma is missing after a quote"),
        (chained(&good, "3"), "the row has 1 fields, expected 2"),
        (format!("{zeros}\n{row}"), "the row has no end"),
        (format!("3,Tux,00000000\n{row}"), "the checksum is wrong"),
    ];
    for (tail, reason) in damage {
        let bytes = [&good, tail.as_bytes()].concat();
        fs::write(&path, &bytes).unwrap();
        let Err(Error::Damaged { file, line, why, remedy }) = open(&path).map(|(_, rows, _)| rows)
        else {
            panic!("{tail:?} was taken for rows");
        };
        assert_eq!((file, line), (path.display().to_string(), 4));
        assert!(why.starts_with(reason), "{why}");
        assert_eq!(remedy, TABLE.remedy);
        assert_eq!(fs::read(&path).unwrap(), bytes, "damage is left as it is");
    }
}

/// A change of a log's lines; the second argument are the lines of another log.
type Change = fn(&mut Vec<String>, &[String]);

/// A row in the wrong place is damage, although its own content is unchanged.
#[test]
fn a_row_that_is_missing_moved_repeated_or_foreign_is_noticed() {
    let (_directory, path, log) = log_of(&numbered(1..=6));
    drop(log);
    let (_other, other, _) = log_of(&numbered([9, 8, 7, 6, 5, 4]));
    let read = |path: &Path| -> Vec<String> {
        fs::read_to_string(path).unwrap().lines().map(|line| format!("{line}\n")).collect()
    };
    let (rows, foreign) = (read(&path), read(&other));
    let changes: [(&str, Change, u64); 5] = [
        ("deleted", |rows, _| drop(rows.remove(3)), 4),
        ("the last but one deleted", |rows, _| drop(rows.remove(5)), 6),
        ("swapped", |rows, _| rows.swap(3, 4), 4),
        ("repeated", |rows, _| rows.insert(4, rows[3].clone()), 5),
        ("of another file", |rows, foreign| rows[3].clone_from(&foreign[3]), 4),
    ];
    for (what, change, line) in changes {
        let mut lines = rows.clone();
        change(&mut lines, &foreign);
        fs::write(&path, lines.concat()).unwrap();
        match open(&path).map(|(_, rows, _)| rows) {
            Err(Error::Damaged { line: found, .. }) => assert_eq!(found, line, "{what}"),
            other => panic!("{what}: {other:?}"),
        }
        assert_eq!(fs::read_to_string(&path).unwrap(), lines.concat(), "{what}: left as it is");
    }
}

/// An upgrade keeps every row, and chains them.
#[test]
fn a_log_of_an_earlier_version_is_read_and_chained() {
    let (_directory, path, log) = log_of(&[(1, "Tux".into()), (2, "Fox".into())]);
    drop(log);
    let new = fs::read(&path).unwrap();
    for tail in ["", "3,Le"] {
        let old = format!("number,name,crc\n{}{}{tail}", summed("1,Tux"), summed("2,Fox"));
        fs::write(&path, old).unwrap();
        assert_eq!(strict(&path).is_ok(), tail.is_empty());
        let (log, rows, torn) = open(&path).unwrap();
        assert_eq!(rows, [(1, "Tux".into()), (2, "Fox".into())]);
        assert_eq!(torn.is_some(), !tail.is_empty());
        assert_eq!(fs::read(&path).unwrap(), new);
        append(&log, &(3, "Lego".into())).unwrap();
        log.sync(3).unwrap();
        assert_eq!(open(&path).unwrap().1.len(), 3);
    }
    let old = format!("number,name,crc\n{}1,Fox,00000000\n{}", summed("1,Tux"), summed("3,Fox"));
    fs::write(&path, &old).unwrap();
    assert!(matches!(open(&path).map(|_| ()), Err(Error::Damaged { line: 3, .. })));
    assert_eq!(fs::read_to_string(&path).unwrap(), old);
}

#[test]
fn a_row_that_the_reader_refuses_is_damage_at_its_line() {
    let (_directory, path, log) = log_of(&numbered(1..=3));
    drop(log);
    let outcome = CsvLog::open(&path, &TABLE, |fields| match &fields[0] {
        "2" => Err(Error::invalid("number is 2, expected another")),
        _ => Ok(()),
    });
    let text = outcome.map(|_| ()).unwrap_err().to_string();
    let place = format!("{}, line 3: number is 2, expected another;", path.display());
    assert!(text.starts_with(&place), "{text}");
}

#[test]
fn a_row_is_always_one_line_of_bounded_length() {
    let (_directory, path, log) = log_of(&[]);
    let longest = "x".repeat(64 * 1024 - "1,,12345678\n".len());
    for bad in ["a\nb", "a\rb", "\0", "\u{7f}", &format!("{longest}x")] {
        assert!(matches!(append(&log, &(1, bad.to_owned())), Err(Error::Invalid { .. })));
    }
    assert_eq!(append(&log, &(1, longest.clone())), Ok(1));
    log.sync(1).unwrap();
    assert_eq!(open(&path).unwrap().1, [(1, longest)]);
}

/// A sync makes durable what was appended before it began, and nothing else.
#[test]
fn a_row_that_is_appended_during_a_sync_waits_for_the_next_one() {
    let (_directory, path, log) = log_of(&[]);
    for _ in 0..1_000 {
        let first = append(&log, &(0, "Tux".to_owned())).unwrap();
        let is_over = AtomicBool::new(false);
        thread::scope(|scope| {
            scope.spawn(|| {
                log.sync(first).unwrap();
                is_over.store(true, Ordering::SeqCst);
            });
            while !is_over.load(Ordering::SeqCst) {
                append(&log, &(1, "Tux".to_owned())).unwrap();
            }
        });
        let rows = fs::read_to_string(&path).unwrap().lines().count() as u64 - 1;
        assert!(
            rows >= log.durable(),
            "{} rows are called durable, {rows} are there",
            log.durable()
        );
        if log.appended() > log.durable() {
            return;
        }
    }
    panic!("no row was appended during a sync");
}

#[test]
fn threads_share_syncs_and_lose_no_row() {
    const THREADS: u64 = 8;
    const ROWS_EACH: u64 = 50;
    let (_directory, path, log) = log_of(&[]);
    let work = |thread: u64| {
        for n in 0..ROWS_EACH {
            let position = append(&log, &(thread * ROWS_EACH + n, "Tux".to_owned())).unwrap();
            log.sync(position).unwrap();
            assert!(log.durable() >= position);
            let lines = fs::read_to_string(&path).unwrap().lines().count();
            assert!(lines as u64 > position, "the row is in the file, behind the header");
        }
    };
    thread::scope(|scope| {
        for thread in 0..THREADS {
            scope.spawn(move || work(thread));
        }
    });
    assert_eq!((log.appended(), log.durable()), (THREADS * ROWS_EACH, THREADS * ROWS_EACH));
    assert!((1..=THREADS * ROWS_EACH).contains(&log.syncs()));

    let (_, rows, _) = open(&path).unwrap();
    for thread in 0..THREADS {
        let numbers = rows.iter().map(|row| row.0).filter(|n| n / ROWS_EACH == thread);
        let expected = thread * ROWS_EACH..(thread + 1) * ROWS_EACH;
        assert!(numbers.eq(expected), "the rows of thread {thread}, in its order");
    }
}

#[test]
fn rows_that_wait_together_take_one_sync() {
    let (_directory, path, log) = log_of(&[]);
    for row in numbered(1..=1000) {
        append(&log, &row).unwrap();
    }
    assert_eq!((log.durable(), log.syncs()), (0, 0));
    log.sync(3).unwrap();
    assert_eq!((log.durable(), log.syncs()), (1000, 1));
    log.sync(1000).unwrap();
    assert_eq!(log.syncs(), 1);
    assert_eq!(open(&path).unwrap().1, numbered(1..=1000));
}

#[test]
fn cut_rows_are_set_aside() {
    let (directory, path, log) = log_of(&numbered(1..=5));
    let aside = directory.path().join("divergent-1.csv");
    append(&log, &numbered(6..=6)[0]).unwrap();

    log.cut_after(3, &aside).unwrap();
    assert_eq!((log.appended(), log.durable()), (3, 3));
    assert!(matches!(log.sync(4), Err(Error::Unavailable { .. })));
    assert_eq!(strict(&aside).unwrap(), numbered(4..=6));

    let position = append(&log, &numbered(7..=7)[0]).unwrap();
    assert_eq!(position, 4);
    log.sync(position).unwrap();
    assert_eq!(open(&path).unwrap().1, numbered([1, 2, 3, 7]));

    log.cut_after(0, &aside).unwrap();
    assert_eq!(open(&path).unwrap().1, numbered([]));
    assert_eq!(strict(&aside).unwrap(), numbered([4, 5, 6, 1, 2, 3, 7]));
}

#[test]
fn after_a_failed_sync_nothing_is_promised_any_more() {
    let (directory, path, log) = log_of(&numbered(1..=2));
    log.fail_at(4);
    append(&log, &numbered(3..=3)[0]).unwrap();
    log.sync(3).unwrap();
    append(&log, &numbered(4..=4)[0]).unwrap();

    let failure = log.sync(4).unwrap_err();
    let text = format!("{}: cannot write to it: injected by flag", path.display());
    assert_eq!(failure.to_string(), text);
    assert_eq!(log.sync(1), Err(failure.clone()));
    assert_eq!(append(&log, &numbered(5..=5)[0]), Err(failure.clone()));
    assert_eq!(log.cut_after(1, &directory.path().join("aside.csv")), Err(failure));
    assert_eq!(log.durable(), 3);
    assert_eq!(open(&path).unwrap().1, numbered(1..=3));
}

#[test]
fn a_failed_sync_reaches_every_thread_that_waits() {
    let (_directory, _path, log) = log_of(&[]);
    log.fail_at(1);
    let buy = |n| append(&log, &(n, "Tux".to_owned())).and_then(|position| log.sync(position));
    thread::scope(|scope| {
        let threads: Vec<_> = (0..8).map(|n| scope.spawn(move || buy(n))).collect();
        for thread in threads {
            assert!(matches!(thread.join().unwrap(), Err(Error::Storage { .. })));
        }
    });
    assert_eq!(log.durable(), 0);
}

#[test]
fn a_replaced_file_is_the_old_one_or_the_new_one() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("view.json");
    let contents = ["a".repeat(100_000), "b".repeat(50_000)];
    replace(&path, contents[0].as_bytes()).unwrap();
    let done = AtomicBool::new(false);
    thread::scope(|scope| {
        let reader = scope.spawn(|| {
            while !done.load(Ordering::Relaxed) {
                assert!(contents.contains(&fs::read_to_string(&path).unwrap()), "a mix");
            }
        });
        for turn in 0..50 {
            replace(&path, contents[turn % 2].as_bytes()).unwrap();
        }
        done.store(true, Ordering::Relaxed);
        reader.join().unwrap();
    });

    // A crash left a half-written temporary file: the next replacement ignores it.
    fs::write(directory.path().join("view.json.new"), "b").unwrap();
    replace(&path, b"new").unwrap();
    // If the replacement cannot be written, the old contents stay.
    fs::create_dir(directory.path().join("view.json.new")).unwrap();
    let text = replace(&path, b"newer").unwrap_err().to_string();
    assert!(text.contains("view.json.new: cannot write it: "), "{text}");
    assert_eq!(fs::read(&path).unwrap(), b"new");
}

#[test]
fn whole_files_have_the_same_rows() {
    let directory = tempfile::tempdir().unwrap();
    let path = directory.path().join("toys.csv");
    let (mut chain, mut contents) = (Chain::default(), TABLE.header().into_bytes());
    for (number, name) in &numbered(1..=3) {
        let fields: [&dyn Display; 2] = [number, name];
        chain.encode(&fields, &mut contents).unwrap();
    }
    replace(&path, &contents).unwrap();
    assert_eq!(strict(&path).unwrap(), numbered(1..=3));
    // Every program that reads CSV can read them.
    let names =
        csv::Reader::from_path(&path).unwrap().into_records().map(|row| row.unwrap()[1].to_owned());
    assert!(names.eq(numbered(1..=3).into_iter().map(|row| row.1)));

    fs::write(&path, &contents[..contents.len() - 1]).unwrap();
    assert!(matches!(strict(&path), Err(Error::Damaged { line: 4, .. })), "cut off");
}

#[test]
fn a_directory_serves_one_process_and_keeps_its_identity() {
    let parent = tempfile::tempdir().unwrap();
    let path = parent.path().join("data/order-1");
    let directory = Directory::open(&path).unwrap();
    let identity = directory.identity().clone();
    assert_eq!(identity.0.len(), 16);
    assert_eq!(directory.file("orders.csv"), path.join("orders.csv"));

    let refusal = format!(
        "{}: already in use by another process (pid {}); stop it or choose another directory",
        path.display(),
        std::process::id()
    );
    assert_eq!(Directory::open(&path).unwrap_err().to_string(), refusal);

    drop(directory);
    let mut directory = Directory::open(&path).unwrap();
    assert_eq!(*directory.identity(), identity);
    directory.renew_identity().unwrap();
    let renewed = directory.identity().clone();
    assert_ne!(renewed, identity);
    drop(directory);
    assert_eq!(*Directory::open(&path).unwrap().identity(), renewed);

    let other = Directory::open(&parent.path().join("data/order-2")).unwrap();
    assert_ne!(*other.identity(), renewed);
}

#[test]
fn a_directory_that_cannot_be_used_says_why() {
    let parent = tempfile::tempdir().unwrap();
    let file = parent.path().join("file");
    fs::write(&file, "").unwrap();
    let text = Directory::open(&file.join("data")).unwrap_err().to_string();
    assert!(text.contains("/file: cannot create it: "), "{text}");

    for garbled in ["", "0123456789abcdef", "0123456789abcdeF\n", "0123\n", "\0\0\0"] {
        fs::write(parent.path().join("identity"), garbled).unwrap();
        let error = Directory::open(parent.path()).unwrap_err();
        assert!(matches!(error, Error::Damaged { line: 1, .. }), "{garbled:?}: {error}");
    }
}

#[test]
fn a_replica_with_a_damaged_log_begins_anew_as_somebody_else() {
    let directory = tempfile::tempdir().unwrap();
    let log = directory.path().join("orders.csv");
    let Loaded { file, .. } = OrderFile::load(directory.path(), None).unwrap();
    let before = file.identity();
    let item = Item { name: "Tux".parse().unwrap(), quantity: Quantity::try_from(1).unwrap() };
    let key = Key::from_customer("mine").unwrap();
    file.append(&[Entry { number: OrderNumber(1), epoch: Epoch(1), key, item }]).unwrap();
    file.sync(OrderNumber(1)).unwrap();
    drop(file);
    let Loaded { file, log: orders, .. } = OrderFile::load(directory.path(), None).unwrap();
    assert_eq!((file.identity(), orders.last()), (before.clone(), OrderNumber(1)));
    drop(file);

    let mut bytes = fs::read(&log).unwrap();
    let place = bytes.len() - 5;
    bytes[place] ^= 1;
    fs::write(&log, bytes).unwrap();
    let Loaded { file, log: orders, .. } = OrderFile::load(directory.path(), None).unwrap();
    assert_eq!(orders.last(), OrderNumber(0));
    assert_ne!(file.identity(), before, "nobody takes it for the one that had the order");
}

/// A log that ends before what its replica noted as committed has lost orders (rule 8).
#[test]
fn a_replica_whose_log_lost_committed_orders_begins_anew_as_somebody_else() {
    let item = Item { name: "Tux".parse().unwrap(), quantity: Quantity::try_from(1).unwrap() };
    let key = |n| Key::from_customer(&format!("key-{n}")).unwrap();
    let entry =
        |n| Entry { number: OrderNumber(n), epoch: Epoch(1), key: key(n), item: item.clone() };
    let entries: Vec<Entry> = (1..=5).map(entry).collect();
    for (rows_left, committed, is_kept) in
        [(5, 5, true), (3, 3, true), (3, 4, false), (0, 1, false)]
    {
        let directory = tempfile::tempdir().unwrap();
        let log = directory.path().join("orders.csv");
        let Loaded { file, .. } = OrderFile::load(directory.path(), None).unwrap();
        let before = file.identity();
        file.append(&entries).unwrap();
        file.sync(OrderNumber(5)).unwrap();
        file.hint_committed(OrderNumber(committed)).unwrap();
        drop(file);
        let lines = fs::read_to_string(&log).unwrap();
        fs::write(&log, lines.split_inclusive('\n').take(rows_left + 1).collect::<String>())
            .unwrap();
        let Loaded { file, log: orders, committed: known, .. } =
            OrderFile::load(directory.path(), None).unwrap();
        let what = format!("{rows_left} rows, {committed} were committed");
        assert_eq!(file.identity() == before, is_kept, "{what}");
        let expected = if is_kept { (rows_left as u64, committed) } else { (0, 0) };
        assert_eq!((orders.last().0, known.0), expected, "{what}");
    }
}
