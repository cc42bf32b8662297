//! Tenants: whom a request speaks for. `?org_id=` and `?user_id=` only ever select inside what a key allows.

pub mod allowed;
pub mod params;
pub mod port;
pub mod registry;
pub mod resolve;

pub use allowed::{AllowedOrg, AllowedTenants, Allowing, TenantRule};
pub use params::{InvalidTenant, TenantField, TenantParams, TenantText};
pub use resolve::{Presence, Standing, Surface, Tenant, TenantClaim, TenantRefusal};
