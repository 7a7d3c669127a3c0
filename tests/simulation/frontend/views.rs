//! Where the last view outlives a front-end, as `src/frontend/views.rs` and `src/storage/database` keep it: in a file of its
//! own, or in a table that all front-ends share.

use std::cell::RefCell;
use std::rc::Rc;
use toystore::model::{Identity, OrderNumber, View};
use toystore::storage::database::row::Row;

/// What a front-end finds when it starts.
#[derive(Debug, Clone)]
pub enum Disk {
    File(Remembered),
    Table(ViewTable),
}

#[derive(Debug, Clone, Default)]
pub struct Remembered {
    pub view: Option<View>,
    pub committed: OrderNumber,
}

/// The table, which is never lost.
#[derive(Debug, Clone)]
pub struct ViewTable(Rc<RefCell<(Row, Remembered)>>);

/// The right to write to the table, until somebody else takes it.
#[derive(Debug)]
pub struct Term(u64);

impl Disk {
    pub fn view(&self) -> Option<View> {
        match self {
            Disk::File(remembered) => remembered.view.clone(),
            Disk::Table(ViewTable(table)) => table.borrow().1.view.clone(),
        }
    }

    pub(super) fn table(&self) -> Option<ViewTable> {
        match self {
            Disk::File(_) => None,
            Disk::Table(table) => Some(table.clone()),
        }
    }

    /// Whether this was written.
    pub(super) fn write(&mut self, term: Option<&Term>, remembered: Remembered) -> bool {
        match (self, term) {
            (Disk::File(file), _) => *file = remembered,
            (Disk::Table(table), Some(term)) if table.beat(term) => {
                table.0.borrow_mut().1 = remembered;
            }
            (Disk::Table(_), _) => return false,
        }
        true
    }
}

impl ViewTable {
    pub fn new() -> ViewTable {
        let row = Row { term: 0, writer: Identity(String::new()), position: 0, beat: 0 };
        ViewTable(Rc::new(RefCell::new((row, Remembered::default()))))
    }

    pub(super) fn row(&self) -> Row {
        self.0.borrow().0.clone()
    }

    /// `Claim::take`: whoever had the table cannot write any more.
    pub(super) fn take(&self) -> (Term, Remembered) {
        let mut table = self.0.borrow_mut();
        table.0.term += 1;
        table.0.writer = Identity("a front-end".into());
        (Term(table.0.term), table.1.clone())
    }

    /// A commit, perhaps of nothing. `false` if somebody else has taken the table.
    pub(super) fn beat(&self, Term(term): &Term) -> bool {
        let row = &mut self.0.borrow_mut().0;
        let is_ours = row.term == *term;
        row.beat += u64::from(is_ours);
        is_ours
    }
}
