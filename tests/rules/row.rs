//! The log in a database, with its row in memory: writers whose batches and answers get lost or come late. Every record
//! that was acknowledged is there once, and no writer writes after it was replaced.

use proptest::prelude::*;
use toystore::model::Identity;
use toystore::storage::database::row::{Outcome, Row};

/// A transaction that is on its way: it commits only as long as the row has its term and its position.
struct Batch {
    term: u64,
    position: u64,
    records: Vec<u64>,
}

struct Server {
    row: Row,
    records: Vec<u64>,
    late: Vec<Batch>,
}

impl Server {
    /// What the text of a batch does.
    fn commit(&mut self, batch: &Batch) -> bool {
        let may = self.row.term == batch.term && self.row.position == batch.position;
        if may {
            self.records.extend(&batch.records);
            self.row.position += batch.records.len() as u64;
        }
        may
    }

    /// Raises the term for a writer. Returns the row as it was before.
    fn take(&mut self, writer: &Identity) -> Row {
        let before = self.row.clone();
        (self.row.term, self.row.writer) = (before.term + 1, writer.clone());
        before
    }
}

struct Writer {
    name: Identity,
    term: u64,
    position: u64,
    is_fenced: bool,
}

impl Writer {
    fn new(name: usize, server: &mut Server) -> Writer {
        let name = Identity(name.to_string());
        let row = server.take(&name);
        Writer { name, term: row.term + 1, position: row.position, is_fenced: false }
    }

    /// Writes records until they are there, or somebody else has the log. What happens to the batch and to its answer is
    /// drawn from `luck`.
    fn write(&mut self, records: &[u64], luck: &mut impl Iterator<Item = u8>, server: &mut Server) {
        let after = self.position..self.position + records.len() as u64;
        let mut attempts = 0;
        loop {
            attempts += 1;
            assert!(attempts < 200, "written again and again: {:?} after {after:?}", server.row);
            let batch =
                Batch { term: self.term, position: self.position, records: records.to_vec() };
            match luck.next() {
                Some(0) => {}
                Some(1) => server.late.push(batch),
                Some(2) => drop(server.commit(&batch)),
                _ => {
                    if server.commit(&batch) {
                        break;
                    }
                }
            }
            // No answer. What came late may come now, before the row is read, or later.
            if luck.next().is_none_or(|luck| luck < 2) {
                for batch in std::mem::take(&mut server.late) {
                    server.commit(&batch);
                }
            }
            let row = if server.row.writer == self.name {
                let row = server.take(&self.name);
                self.term = row.term + 1;
                row
            } else {
                server.row.clone()
            };
            match row.outcome(&self.name, &after) {
                Outcome::Written => break,
                Outcome::NotWritten => {}
                Outcome::Fenced => return self.is_fenced = true,
                Outcome::Changed => panic!("{row:?} after {after:?}"),
            }
        }
        self.position = after.end;
    }
}

proptest! {
    #[test]
    fn what_is_acknowledged_is_there_once(
        steps in prop::collection::vec((0..3_usize, 1..4_u64, any::<bool>()), 1..30),
        luck in prop::collection::vec(0..5_u8, 0..120),
    ) {
        let row = Row { term: 0, writer: Identity(String::new()), position: 0, beat: 0 };
        let mut server = Server { row, records: vec![], late: vec![] };
        let mut luck = luck.into_iter();
        let mut writers: Vec<Writer> = (0..3).map(|n| Writer::new(n, &mut server)).collect();
        let (mut next, mut acknowledged) = (0, vec![]);
        for (n, count, takes) in steps {
            if takes {
                writers[n] = Writer::new(n, &mut server);
            }
            if writers[n].is_fenced {
                continue;
            }
            let records: Vec<u64> = (next..next + count).collect();
            next += count;
            let had_it = server.row.writer == writers[n].name;
            writers[n].write(&records, &mut luck, &mut server);
            prop_assert_eq!(writers[n].is_fenced, !had_it, "who was replaced writes no more");
            if had_it {
                acknowledged.extend(records);
            }
        }
        for batch in std::mem::take(&mut server.late) {
            server.commit(&batch);
        }
        // Nobody was replaced while it wrote, so what was refused is not there.
        prop_assert_eq!(server.records, acknowledged);
    }
}

#[test]
fn a_row_that_somebody_else_changed_is_noticed() {
    let row = Row { term: 3, writer: Identity("us".into()), position: 9, beat: 4 };
    assert_eq!(row.outcome(&Identity("us".into()), &(5..7)), Outcome::Changed);
}
