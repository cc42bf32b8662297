//! Keyrack's own resources. Each kind has the permission that it takes: one is listed exactly for those who may read it.

mod runs;
mod schemas;
mod workflows;

pub use schemas::schema;

use std::sync::Arc;

use domain::access::Permission;
use futures_util::future::BoxFuture;
use rmcp::ErrorData;
use rmcp::model::{
    ListResourceTemplatesResult, ListResourcesResult, ReadResourceResult, Resource, ResourceContents, ResourceTemplate,
};
use serde_json::{Value, json};

use super::caller::Caller;
use super::outcome;
use crate::code::Code;
use crate::extract::{decode_cursor, encode_cursor};
use crate::problem::Problem;

/// What resources are, unless a kind says otherwise.
pub const JSON: &str = "application/json";

/// What comes of asking a kind.
type Answered<T> = BoxFuture<'static, Result<T, Problem>>;

/// A kind of resource.
pub struct ResourceKind {
    /// What its URIs begin with.
    pub prefix: &'static str,
    /// What it takes to see and to read it.
    pub permission: Permission,
    /// Its media type.
    pub media_type: &'static str,
    /// A page of those that are there, from a position that an earlier page gave.
    pub list: fn(Arc<Caller>, Option<String>) -> Answered<Listed>,
    /// How its URIs are made, where there are more of them than lists show.
    pub templates: fn() -> Vec<ResourceTemplate>,
    /// What stands behind the rest of a URI; [`Code::NotFound`] when there is nothing.
    pub read: fn(Arc<Caller>, String) -> Answered<Value>,
}

/// A page of resources.
pub struct Listed {
    /// They.
    pub resources: Vec<Resource>,
    /// Where the next page begins; none when this was the last.
    pub next: Option<String>,
}

/// All of them.
static ALL: [&ResourceKind; 3] = [&schemas::KIND, &workflows::KIND, &runs::KIND];

impl ResourceKind {
    fn is_for(&self, caller: &Caller) -> bool {
        caller.grant.may(self.permission).is_ok()
    }
}

/// A page of everything that a caller may read: kind after kind.
///
/// # Errors
/// An error of the protocol for a cursor that is none of ours.
pub async fn list(caller: &Arc<Caller>, cursor: Option<String>) -> Result<ListResourcesResult, ErrorData> {
    let wrong = || ErrorData::invalid_params("the cursor must be the nextCursor of an earlier page", None);
    let (first, mut position) = match cursor {
        None => (0, None),
        Some(cursor) => {
            let cursor = decode_cursor(&cursor).ok_or_else(wrong)?;
            let (kind, position) = cursor.split_once(' ').ok_or_else(wrong)?;
            (kind.parse().map_err(|_| wrong())?, Some(position.to_owned()))
        }
    };
    let mut resources = Vec::new();
    for (number, kind) in ALL.iter().enumerate().skip(first).filter(|(_, kind)| kind.is_for(caller)) {
        let page = (kind.list)(Arc::clone(caller), position.take()).await;
        let page = page.map_err(|problem| outcome::denied(&problem, caller.id))?;
        resources.extend(page.resources.into_iter().map(|resource| resource.with_mime_type(kind.media_type)));
        if let Some(next) = page.next {
            let mut listed = ListResourcesResult::with_all_items(resources);
            listed.next_cursor = Some(encode_cursor(&format!("{number} {next}")));
            return Ok(listed);
        }
    }
    Ok(ListResourcesResult::with_all_items(resources))
}

/// How the URIs of everything that a caller may read are made.
#[must_use]
pub fn templates(caller: &Caller) -> ListResourceTemplatesResult {
    let kinds = ALL.iter().filter(|kind| kind.is_for(caller));
    let templates =
        kinds.flat_map(|kind| (kind.templates)().into_iter().map(|template| template.with_mime_type(kind.media_type)));
    ListResourceTemplatesResult::with_all_items(templates.collect())
}

/// Reads one.
///
/// # Errors
/// An error of the protocol when it is not there, or the caller may not read it.
pub async fn read(caller: &Arc<Caller>, uri: String) -> Result<ReadResourceResult, ErrorData> {
    // rmcp gives it the number that the revision has for it.
    let unknown = || ErrorData::resource_not_found("unknown resource", Some(json!({"uri": uri})));
    let found = ALL.iter().find_map(|kind| Some((kind, uri.strip_prefix(kind.prefix)?)));
    let Some((kind, rest)) = found else { return Err(unknown()) };
    if let Err(denied) = caller.grant.may(kind.permission) {
        let problem = Problem::from(denied);
        let problem = caller.refused(kind.permission.as_str(), &problem).await.err().unwrap_or(problem);
        return Err(outcome::denied(&problem, caller.id));
    }
    match (kind.read)(Arc::clone(caller), rest.to_owned()).await {
        Ok(value) => {
            let text = ResourceContents::text(value.to_string(), uri.as_str()).with_mime_type(kind.media_type);
            Ok(ReadResourceResult::new(vec![text]))
        }
        Err(problem) if problem.code() == Code::NotFound => Err(unknown()),
        Err(problem) => Err(outcome::denied(&problem, caller.id)),
    }
}
