//! `GET /audit-events/export`

use std::collections::VecDeque;
use std::sync::Arc;

use actix_web::http::header::{CACHE_CONTROL, CONTENT_DISPOSITION};
use actix_web::web::Data;
use actix_web::{HttpResponse, get};
use bytes::Bytes;
use domain::access::permission::AuditRead;
use domain::access::{Grant, WithinOrganization};
use domain::audit::AuditTarget;
use domain::audit::checkpoint::{Checkpoint, CheckpointSigner, Closing, Content};
use domain::audit::port::{AuditReader, Extent};
use domain::audit::verify::{ChainVerifier, Record, in_order};
use domain::field::FieldErrors;
use domain::store::StoreFault;
use domain::time::{Clock, SystemClock, Timestamp};
use futures_util::stream;
use infra::token::PublicKeys;
use serde::Deserialize;
use serde::de::IgnoredAny;
use utoipa::IntoParams;

use super::{lines, list};
use crate::authenticate::record;
use crate::compose::Services;
use crate::extract::{Allowed, Asked};
use crate::problem::Problem;
use crate::v1::Refusals;

/// Rows that are read, checked and sent at a time.
const ROWS: u64 = 500;

/// Which part of the log; all of it when nothing is said.
#[derive(Debug, Deserialize, IntoParams)]
#[serde(deny_unknown_fields)]
#[into_params(parameter_in = Query)]
pub struct ExportQuery {
    /// RFC 3339: from the first event at this time or later.
    #[param(format = DateTime, example = "2026-11-21T00:00:00Z")]
    from: Option<String>,
    /// RFC 3339: to the last event before this time.
    #[param(format = DateTime, example = "2026-11-22T00:00:00Z")]
    to: Option<String>,
    /// The tenant parameters of every route; they were checked before.
    #[serde(rename = "org_id")]
    #[param(ignore)]
    _org_id: Option<IgnoredAny>,
    #[serde(rename = "user_id")]
    #[param(ignore)]
    _user_id: Option<IgnoredAny>,
}

/// The organization's audit log as NDJSON, oldest first: events, the checkpoints that were signed among them, and a last
/// checkpoint that says what the export is. `keyrack audit verify --export` finds every change made to it. With `from`
/// or `to` it is the unbroken part of the log from the first to the last event of that time.
///
/// # Errors
/// [`Problem`]
#[utoipa::path(
    operation_id = "export_audit_events", tag = "audit",
    params(ExportQuery),
    responses(
        (status = 200, description = "One JSON object per line. Without a last line whose checkpoint has `closes`, it is not complete.", body = String, content_type = "application/x-ndjson"),
        Refusals
    ),
    security(("access_token" = []))
)]
#[get("/audit-events/export")]
pub async fn export_audit_events(
    allowed: Allowed<AuditRead>,
    services: Data<Services>,
    query: Asked<ExportQuery>,
) -> Result<HttpResponse, Problem> {
    let query = query.read()?;
    let mut errors = FieldErrors::default();
    let (from, to) = list::range(query.from.as_deref(), query.to.as_deref(), &mut errors);
    errors.check()?;
    record(&services, allowed.event("audit.export", AuditTarget::Organization)).await?;
    // What was decided before this request is in the export, this request included.
    services.audit.settle().await?;
    let grant: Grant<AuditRead> = (*allowed).clone();
    let extent = services.audit_reader.extent(&grant, from, to).await?;
    let name = format!("{}-audit.ndjson", grant.organization().slug);
    let export = Export {
        verifier: ChainVerifier::new(Some(grant.organization_id()), PublicKeys::AnyOne),
        reader: Arc::clone(&services.audit_reader),
        signer: Arc::clone(&services.checkpoint_signer) as Arc<dyn CheckpointSigner>,
        grant,
        extent,
        range: (from, to),
        content: Content::default(),
        after: extent.first - 1,
        ended: false,
    };
    Ok(HttpResponse::Ok()
        .content_type("application/x-ndjson")
        .insert_header((CACHE_CONTROL, "no-store"))
        .insert_header((CONTENT_DISPOSITION, format!("attachment; filename=\"{name}\"")))
        .streaming(stream::try_unfold(export, Export::next)))
}

/// An export under way. It holds one page of rows at a time.
struct Export {
    reader: Arc<dyn AuditReader>,
    signer: Arc<dyn CheckpointSigner>,
    grant: Grant<AuditRead>,
    extent: Extent,
    range: (Option<Timestamp>, Option<Timestamp>),
    /// Checks what it sends: a signature is never put under a chain that does not hold.
    verifier: ChainVerifier<PublicKeys>,
    content: Content,
    after: i64,
    ended: bool,
}

impl Export {
    async fn next(mut self) -> Result<Option<(Bytes, Self)>, actix_web::Error> {
        if self.ended {
            return Ok(None);
        }
        // An error cuts the connection: nobody takes a part for the whole.
        let text = self.page().await.map_err(Problem::from)?;
        Ok(Some((text, self)))
    }

    async fn page(&mut self) -> Result<Bytes, StoreFault> {
        let rows = self.reader.links(&self.grant, self.after, self.extent.last, ROWS).await?;
        let last = rows.last().map_or(self.extent.last, |row| row.seq);
        let checkpoints = self.reader.checkpoints(&self.grant, self.after, last).await?;
        self.ended = rows.is_empty();
        self.after = last;
        let mut records: VecDeque<Record> = in_order(rows, checkpoints).collect();
        let mut text = Vec::new();
        while let Some(record) = records.pop_front() {
            match &record {
                Record::Row(link) => self.verifier.row(link),
                Record::Checkpoint(signed) => self.verifier.checkpoint(signed, None),
            }
            text.extend(lines::write(&record));
        }
        self.content.update(&text);
        if self.ended {
            if let Some(closing) = self.closing() {
                text.extend(lines::write(&closing));
            } else {
                tracing::error!(
                    organization = %self.grant.organization_id(),
                    "the audit log does not hold; its export was not signed: see `keyrack audit verify`"
                );
            }
        }
        Ok(text.into())
    }

    /// The last checkpoint; none when what was sent is not the chain that was asked for.
    fn closing(&self) -> Option<Record> {
        let Extent { first, previous, last, hash } = self.extent;
        let whole = if first > last { self.verifier.rows_read() == 0 } else { self.verifier.reached() == last };
        (whole && self.verifier.is_sound()).then(|| {
            Record::Checkpoint(self.signer.sign(Checkpoint {
                organization: self.grant.organization_id(),
                seq: last,
                hash,
                at: SystemClock.now(),
                closes: Some(Closing {
                    first,
                    previous,
                    from: self.range.0,
                    to: self.range.1,
                    content: self.content.hash(),
                }),
            }))
        })
    }
}
