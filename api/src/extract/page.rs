//! `?limit=&cursor=`. A cursor is the last item's key in base64url: stable while items come and go, and meaningless to
//! anybody who changes it.

use base64::Engine;
use base64::engine::general_purpose::URL_SAFE_NO_PAD;
use domain::page::{Limit, PageRequest};
use serde::Deserialize;
use utoipa::IntoParams;

use crate::code::Code;
use crate::problem::Problem;

/// Which page.
#[derive(Debug, Default, Deserialize, IntoParams)]
#[into_params(parameter_in = Query)]
pub struct Paging {
    /// Most items to return.
    #[param(minimum = 1, maximum = 200, default = 50)]
    pub limit: Option<u16>,
    /// `nextCursor` of the page before.
    pub cursor: Option<String>,
}

impl Paging {
    /// Reads the page; `key` reads a decoded cursor.
    ///
    /// # Errors
    /// 400 for a limit out of range or a cursor that is not one of ours.
    pub fn request<K>(&self, key: impl Fn(&str) -> Option<K>) -> Result<PageRequest<K>, Problem> {
        let limit = match self.limit {
            None => Limit::default(),
            Some(limit) => Limit::new(limit).map_err(|error| Problem::field(Code::ValidationFailed, "limit", error))?,
        };
        let after = match &self.cursor {
            None => None,
            Some(cursor) => Some(decode_cursor(cursor).as_deref().and_then(key).ok_or_else(|| {
                Problem::field(Code::ValidationFailed, "cursor", "must be the nextCursor of an earlier page")
            })?),
        };
        Ok(PageRequest { limit, after })
    }
}

/// A key's text as a cursor.
#[must_use]
pub fn encode_cursor(key: &str) -> String {
    URL_SAFE_NO_PAD.encode(key)
}

/// A cursor's key; none when it is not one of ours.
#[must_use]
pub fn decode_cursor(cursor: &str) -> Option<String> {
    URL_SAFE_NO_PAD.decode(cursor).ok().and_then(|bytes| String::from_utf8(bytes).ok())
}
