//! What the endpoint's address can ask for besides the tenant.

use domain::access::TenantScope;
use domain::id::ServerId;
use percent_encoding::percent_decode_str;

use crate::code::Code;
use crate::compose::Services;
use crate::problem::Problem;

/// What an address asks for.
#[derive(Debug, Clone, Default)]
pub struct Options {
    /// Keyrack's own tools, and no server's.
    pub system_only: bool,
}

impl Options {
    /// Reads them. Parameters that nobody knows are the caller's own affair.
    ///
    /// # Errors
    /// 400 for a value that cannot be read.
    #[expect(clippy::unused_async, reason = "projects are looked up here")]
    pub async fn read(_: &Services, _: &TenantScope, query: &str) -> Result<Self, Problem> {
        let mut options = Self::default();
        for pair in query.split('&') {
            let (name, value) = pair.split_once('=').unwrap_or((pair, ""));
            let value = percent_decode_str(value).decode_utf8_lossy();
            if name == "system_only" {
                options.system_only = match &*value {
                    "true" | "1" | "" => true,
                    "false" | "0" => false,
                    _ => return Err(Problem::field(Code::InvalidRequest, "system_only", "must be true or false")),
                };
            }
        }
        Ok(options)
    }

    /// Whether this server's tools are asked for.
    #[must_use]
    pub const fn includes(&self, _: ServerId) -> bool {
        !self.system_only
    }
}
