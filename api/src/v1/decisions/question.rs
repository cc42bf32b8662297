//! What both operations ask about: a tenant, a server, a permission.

use domain::access::Permission;
use domain::access::decide::Question;
use domain::access::rehearse::surface_of;
use domain::field::FieldErrors;
use domain::server::port::ServerName;
use domain::tenant::{Surface, TenantParams};

/// The parts of a question, as a body has them.
#[derive(Debug)]
pub struct Parts {
    /// The caller's own id of the tenant org.
    pub org_id: Option<String>,
    /// The caller's own id of the tenant user.
    pub user_id: Option<String>,
    /// A server's id or slug.
    pub server: Option<String>,
    /// A permission's name.
    pub permission: Option<String>,
}

/// Parts that were read. A server's name that no server can have is kept: it is decided, not refused as a field.
#[derive(Debug)]
pub struct Asking {
    parts: Parts,
    permission: Option<Permission>,
    server: Option<ServerName>,
}

impl Parts {
    /// Reads the parts.
    ///
    /// # Errors
    /// [`FieldErrors`] for a permission that no key can have.
    pub fn read(self) -> Result<Asking, FieldErrors> {
        let server = self.server.as_deref().and_then(ServerName::parse);
        let permission = match self.permission.as_deref() {
            // A server without a permission: whether a call to it would pass.
            None => self.server.is_some().then_some(Permission::McpConnect),
            Some(name) => match Permission::named(name) {
                Some(permission) if permission.of_keys().is_some() => Some(permission),
                Some(_) => return Err(FieldErrors::one("permission", "is for people alone; no key can have it")),
                None => return Err(FieldErrors::one("permission", "is no permission")),
            },
        };
        Ok(Asking { parts: self, permission, server })
    }
}

impl Asking {
    /// The question, on the surface where its permission is used.
    #[must_use]
    pub fn question(&self) -> Question<'_> {
        Question {
            surface: self.permission.map_or(Surface::Elsewhere, surface_of),
            tenant: TenantParams::of(self.parts.org_id.as_deref(), self.parts.user_id.as_deref()),
            permission: self.permission,
            server: self.parts.server.as_ref().map(|_| self.server.as_ref().into()),
        }
    }
}
