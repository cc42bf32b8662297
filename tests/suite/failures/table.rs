//! The table of `docs/failures.md`, as it is read here. What a test expects stands there and nowhere else.

use std::time::Duration;

/// What is asked while something is wrong, in the order of the table's columns.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Op {
    /// `POST /api/v1/keys/verify`
    Verify,
    /// `tools/list` at `/mcp`
    List,
    /// `tools/call` through the gateway
    Call,
    /// Creating a key, and revoking another
    Manage,
    /// Reading the audit log
    Audit,
    /// Asking for a run of a workflow
    Run,
}

impl Op {
    pub const ALL: [Self; 6] = [Self::Verify, Self::List, Self::Call, Self::Manage, Self::Audit, Self::Run];

    pub const fn name(self) -> &'static str {
        match self {
            Self::Verify => "verify",
            Self::List => "list",
            Self::Call => "call",
            Self::Manage => "manage",
            Self::Audit => "audit",
            Self::Run => "run",
        }
    }

    /// The status of an operation that went well.
    pub const fn fine(self) -> u16 {
        if matches!(self, Self::Run) { 202 } else { 200 }
    }
}

/// How an operation is answered.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Answered {
    /// With this status.
    Status(u16),
    /// Not: the connection is refused or breaks.
    Not,
    /// When the fault is over, and well.
    Later,
}

/// What a cell says of one moment.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Expected {
    pub answered: Answered,
    /// Or with 503, where it depends on how long it takes.
    pub or_unavailable: bool,
    /// How a run that was accepted ends.
    pub ends: Option<String>,
    /// The longest that an answer takes.
    pub within: Duration,
}

/// A fault, and what is expected while it lasts.
#[derive(Debug, Clone)]
pub struct Row {
    pub fault: String,
    cells: Vec<Vec<Expected>>,
    /// How long after its end everything is well again.
    pub recovers: Duration,
}

impl Row {
    /// What is expected of an operation at once, and later.
    pub fn at_once(&self, op: Op) -> &Expected {
        &self.cells[op as usize][0]
    }

    pub fn later(&self, op: Op) -> &Expected {
        self.cells[op as usize].last().expect("a cell says something")
    }

    /// How runs end that were accepted at any time of the fault.
    pub fn ends(&self) -> &str {
        self.cells[Op::Run as usize].iter().find_map(|moment| moment.ends.as_deref()).unwrap_or("pass")
    }
}

/// The table's rows. A page that cannot be read is a failed test.
pub fn rows() -> Vec<Row> {
    let path = concat!(env!("CARGO_MANIFEST_DIR"), "/../docs/failures.md");
    let page = std::fs::read_to_string(path).expect("docs/failures.md");
    let mut lines = page.lines().filter(|line| line.starts_with('|')).map(|line| {
        let cells = line.trim_matches('|').split('|').map(|cell| cell.trim().to_owned());
        cells.collect::<Vec<_>>()
    });
    let head = lines.next().expect("a table");
    let named = Op::ALL.map(Op::name);
    assert_eq!(head[1..7], named, "the columns are not the operations");
    assert_eq!(head.len(), 8, "{head:?}");
    lines.skip(1).map(row).collect()
}

/// The row of this fault.
pub fn row_of(fault: &str) -> Row {
    let found = rows().into_iter().find(|row| row.fault == fault);
    found.unwrap_or_else(|| panic!("docs/failures.md says nothing of {fault:?}"))
}

fn row(cells: Vec<String>) -> Row {
    assert_eq!(cells.len(), 8, "{cells:?}");
    let recovers = seconds(&cells[7]).unwrap_or_else(|| panic!("{:?} is no time", cells[7]));
    let read = |cell: &String| cell.split(", then ").map(moment).collect::<Vec<_>>();
    Row { fault: cells[0].clone(), cells: cells[1..7].iter().map(read).collect(), recovers }
}

/// `200`, `200 or 503`, `503 in 5 s`, `202 pass`, `no answer`, `waits`.
fn moment(text: &str) -> Expected {
    let (what, within) = match text.split_once(" in ") {
        Some((what, time)) => (what, seconds(time).unwrap_or_else(|| panic!("{time:?} is no time"))),
        None => (text, Duration::from_secs(1)),
    };
    let (what, or_unavailable) = what.strip_suffix(" or 503").map_or((what, false), |what| (what, true));
    let (what, ends) = match what.split_once(' ') {
        Some((status, end @ ("pass" | "error"))) => (status, Some(end.to_owned())),
        _ => (what, None),
    };
    let answered = match what {
        "no answer" => Answered::Not,
        "waits" => Answered::Later,
        status => Answered::Status(status.parse().unwrap_or_else(|_| panic!("{text:?} says nothing"))),
    };
    Expected { answered, or_unavailable, ends, within }
}

/// `5 s`
fn seconds(text: &str) -> Option<Duration> {
    text.strip_suffix(" s")?.parse().ok().map(Duration::from_secs)
}

#[test]
fn cells_are_read_as_people_read_them() {
    let expected = |answered, ends: Option<&str>, within| Expected {
        answered,
        or_unavailable: false,
        ends: ends.map(str::to_owned),
        within: Duration::from_secs(within),
    };
    assert_eq!(moment("200"), expected(Answered::Status(200), None, 1));
    assert_eq!(moment("503 in 5 s"), expected(Answered::Status(503), None, 5));
    assert_eq!(moment("202 error in 3 s"), expected(Answered::Status(202), Some("error"), 3));
    let either = Expected { or_unavailable: true, ..expected(Answered::Status(200), None, 2) };
    assert_eq!(moment("200 or 503 in 2 s"), either);
    assert_eq!(moment("no answer"), expected(Answered::Not, None, 1));
    assert_eq!(moment("waits"), expected(Answered::Later, None, 1));
}
