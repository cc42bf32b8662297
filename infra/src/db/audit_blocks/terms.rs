//! The terms of many audit events, as a Bloom filter (Bloom, 1970): it says "none of these has it", or "look".

use std::collections::HashSet;

use domain::audit::entry::AuditEntry;
use domain::audit::port::AuditFilter;
use domain::tenant::TenantText;
use foldhash::quality::RandomState;
use uuid::Uuid;

use crate::db::entity::audit_event::{Column, Model};

/// Bits per term at least; with [`PROBES`], about one filter in three hundred says "look" for nothing.
const BITS_PER_TERM: usize = 12;
const PROBES: u64 = 6;
const LEAST_BITS: usize = 256;

/// A column and what stands in it, hashed.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash)]
pub struct Term(u64, u64);

impl Term {
    fn new(column: Column, value: &[u8]) -> Self {
        // The columns' numbers are stored: they are not the entity's order, which may change.
        let number: u8 = match column {
            Column::ActorKind => 1,
            Column::ActorId => 2,
            Column::Action => 3,
            Column::TargetKind => 4,
            Column::TargetId => 5,
            Column::TenantOrg => 6,
            Column::TenantUser => 7,
            Column::Outcome => 8,
            Column::Code => 9,
            Column::RequestId => 10,
            Column::OrganizationId
            | Column::Seq
            | Column::Id
            | Column::At
            | Column::ActorName
            | Column::Reason
            | Column::PreviousHash
            | Column::Hash => 0,
        };
        let hash = blake3::Hasher::new().update(&[number]).update(value).finalize();
        let half =
            |half: usize| hash.as_bytes()[half..].first_chunk::<8>().map_or(0, |bytes| u64::from_le_bytes(*bytes));
        Self(half(0), half(8))
    }

    fn bits(self, bits: usize) -> impl Iterator<Item = usize> {
        // Double hashing (Kirsch and Mitzenmacher, 2006).
        let all = bits as u64;
        (0..PROBES)
            .map(move |probe| usize::try_from(self.0.wrapping_add(probe.wrapping_mul(self.1 | 1)) % all).unwrap_or(0))
    }
}

/// What every event that fits a filter has.
pub fn wanted(filter: &AuditFilter) -> Vec<Term> {
    let texts = [
        (Column::ActorKind, filter.actor_kind.as_deref()),
        (Column::ActorId, filter.actor_id.as_deref()),
        (Column::Action, filter.action.as_deref()),
        (Column::TargetKind, filter.target_kind.as_deref()),
        (Column::TargetId, filter.target_id.as_deref()),
        (Column::TenantOrg, filter.tenant_org.as_ref().map(TenantText::as_str)),
        (Column::TenantUser, filter.tenant_user.as_ref().map(TenantText::as_str)),
        (Column::Outcome, filter.outcome.map(domain::audit::Outcome::as_str)),
        (Column::Code, filter.code.as_deref()),
    ];
    let request = filter.request_id.map(|id| Term::new(Column::RequestId, id.as_bytes()));
    let texts = texts.into_iter().filter_map(|(column, text)| Some(Term::new(column, text?.as_bytes())));
    texts.chain(request).collect()
}

/// The columns with texts that are terms.
const TEXTS: [Column; 9] = [
    Column::ActorKind,
    Column::ActorId,
    Column::Action,
    Column::TargetKind,
    Column::TargetId,
    Column::TenantOrg,
    Column::TenantUser,
    Column::Outcome,
    Column::Code,
];

/// What of a row is terms.
pub struct Row<'a> {
    /// In the order of [`TEXTS`].
    texts: [Option<&'a str>; TEXTS.len()],
    request: Option<Uuid>,
}

impl<'a> From<&'a Model> for Row<'a> {
    fn from(row: &'a Model) -> Self {
        let texts = [
            Some(row.actor_kind.as_str()),
            row.actor_id.as_deref(),
            Some(row.action.as_str()),
            Some(row.target_kind.as_str()),
            row.target_id.as_deref(),
            row.tenant_org.as_deref(),
            row.tenant_user.as_deref(),
            Some(row.outcome.as_str()),
            row.code.as_deref(),
        ];
        Self { texts, request: row.request_id }
    }
}

impl<'a> From<&'a AuditEntry> for Row<'a> {
    fn from(entry: &'a AuditEntry) -> Self {
        let texts = [
            Some(&*entry.actor_kind),
            entry.actor_id.as_deref(),
            Some(&*entry.action),
            Some(&*entry.target_kind),
            entry.target_id.as_deref(),
            entry.tenant_org.as_deref(),
            entry.tenant_user.as_deref(),
            Some(&*entry.outcome),
            entry.code.as_deref(),
        ];
        Self { texts, request: entry.request_id }
    }
}

/// Gathers the terms of rows. They are hashed at the end, since most occur again and again.
#[derive(Debug, Default)]
pub struct Terms {
    texts: [HashSet<String, RandomState>; TEXTS.len()],
    requests: HashSet<Uuid, RandomState>,
}

impl Terms {
    /// Adds a row's.
    pub fn add(&mut self, row: &Row<'_>) {
        for (known, text) in self.texts.iter_mut().zip(row.texts) {
            if let Some(text) = text.filter(|text| !known.contains(*text)) {
                known.insert(text.to_owned());
            }
        }
        self.requests.extend(row.request);
    }

    /// The filter as it is stored: as many bits as the terms need, a power of two.
    pub fn filter(&self) -> Vec<u8> {
        let count = self.requests.len() + self.texts.iter().map(HashSet::len).sum::<usize>();
        let bits = (count * BITS_PER_TERM).next_power_of_two().max(LEAST_BITS);
        let mut filter = vec![0; bits / 8];
        let texts = TEXTS.iter().zip(&self.texts);
        let texts = texts.flat_map(|(column, texts)| texts.iter().map(|text| Term::new(*column, text.as_bytes())));
        let requests = self.requests.iter().map(|request| Term::new(Column::RequestId, request.as_bytes()));
        for bit in texts.chain(requests).flat_map(|term| term.bits(bits)) {
            filter[bit / 8] |= 1 << (bit % 8);
        }
        filter
    }
}

/// Whether a row with all these terms may be among those of the filter. One that is no filter says nothing.
pub fn may_hold(filter: &[u8], terms: &[Term]) -> bool {
    let bits = filter.len() * 8;
    bits == 0 || terms.iter().all(|term| term.bits(bits).all(|bit| filter[bit / 8] & (1 << (bit % 8)) != 0))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn terms(numbers: std::ops::Range<u32>) -> Terms {
        let mut terms = Terms::default();
        for number in numbers {
            let (text, mut texts) = (number.to_string(), [None; TEXTS.len()]);
            texts[6] = Some(text.as_str());
            terms.add(&Row { texts, request: None });
        }
        terms
    }

    #[test]
    fn a_filter_holds_all_its_terms_and_hardly_any_other() {
        let filter = terms(0..3000).filter();
        let holds = |number: u32| may_hold(&filter, &[Term::new(Column::TenantUser, number.to_string().as_bytes())]);
        assert!((0..3000).all(holds));
        let wrong = (3000..103_000).filter(|number| holds(*number)).count();
        assert!(wrong < 500, "{wrong} of 100,000");
    }

    #[test]
    fn the_same_text_in_another_column_is_another_term() {
        assert_ne!(Term::new(Column::TenantUser, b"x"), Term::new(Column::TenantOrg, b"x"));
    }

    #[test]
    fn what_is_no_filter_excludes_nothing() {
        assert!(may_hold(&[], &[Term::new(Column::Code, b"conflict")]));
    }
}
