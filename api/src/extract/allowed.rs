//! Callers in signatures. `Caller` is anybody proven; `Allowed<P>` is somebody with permission `P`, and
//! `Allowed<P, OnTenant>` somebody who speaks for one tenant and nobody else.

use std::marker::PhantomData;
use std::ops::Deref;

use actix_web::dev::Payload;
use actix_web::web::Data;
use actix_web::{FromRequest, HttpRequest};
use domain::access::{Grant, PermissionKind, TenantScope};
use domain::audit::{AuditEvent, AuditTarget};
use domain::tenant::Surface;
use domain::time::{Clock, SystemClock};
use futures_util::future::LocalBoxFuture;

use crate::authenticate::{Ask, by_key_or_session, ended, record, request_id};
use crate::compose::Services;
use crate::problem::Problem;

/// Anybody proven: a key or a person. The decision was recorded.
pub struct Caller(pub TenantScope);

/// Which surface a route is on (design: tenancy).
pub trait On: 'static {
    /// It.
    const SURFACE: Surface;
}

/// The two parameters are optional filters.
pub struct Elsewhere;

/// The request must name its tenant.
pub struct OnTenant;

impl On for Elsewhere {
    const SURFACE: Surface = Surface::Elsewhere;
}

impl On for OnTenant {
    const SURFACE: Surface = Surface::Tenant;
}

/// Somebody with permission `P`. The decision was recorded, either way.
pub struct Allowed<P, S = Elsewhere> {
    grant: Grant<P>,
    request_id: Option<uuid::Uuid>,
    permission: PhantomData<fn() -> (P, S)>,
}

impl<P: PermissionKind, S: On> Allowed<P, S> {
    /// The request's id as audit rows have it.
    #[must_use]
    pub const fn request_id(&self) -> Option<uuid::Uuid> {
        self.request_id
    }

    /// An event about what is done under this permission.
    #[must_use]
    pub fn event(&self, action: &'static str, target: AuditTarget) -> AuditEvent {
        let mut event = AuditEvent::allowed(&self.grant, action, target, SystemClock.now());
        event.request_id = self.request_id;
        event
    }

    /// Passes a result on, and records it when it refuses what the permission alone would have allowed: the thing is
    /// somebody else's, or outside the key.
    ///
    /// # Errors
    /// The result's own, or 503 when the log does not keep up.
    pub async fn noted<T>(
        &self,
        services: &Services,
        target: AuditTarget,
        result: Result<T, impl Into<Problem>>,
    ) -> Result<T, Problem> {
        let problem = match result {
            Ok(value) => return Ok(value),
            Err(error) => error.into(),
        };
        if problem.code().status().is_client_error() {
            let mut event = self.event(P::PERMISSION.as_str(), target);
            ended(&mut event, &problem);
            record(services, event).await?;
        }
        Err(problem)
    }
}

impl<P, S> Deref for Allowed<P, S> {
    type Target = Grant<P>;

    fn deref(&self) -> &Grant<P> {
        &self.grant
    }
}

fn services(request: &HttpRequest) -> Data<Services> {
    request.app_data::<Data<Services>>().expect("the app has its services").clone()
}

impl FromRequest for Caller {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (services, request) = (services(request), request.clone());
        Box::pin(async move {
            let ask = Ask { surface: Surface::Elsewhere, permission: None, server: None, action: "identity:read" };
            Ok(Self(by_key_or_session(&services, &request, ask).await?.scope))
        })
    }
}

impl<P: PermissionKind, S: On> FromRequest for Allowed<P, S> {
    type Error = Problem;
    type Future = LocalBoxFuture<'static, Result<Self, Problem>>;

    fn from_request(request: &HttpRequest, _: &mut Payload) -> Self::Future {
        let (services, request) = (services(request), request.clone());
        Box::pin(async move {
            let permission = P::PERMISSION;
            let surface = S::SURFACE;
            let ask = Ask { surface, permission: Some(permission), server: None, action: permission.as_str() };
            let proven = by_key_or_session(&services, &request, ask).await?;
            Ok(Self { grant: proven.scope.grant::<P>()?, request_id: request_id(&request), permission: PhantomData })
        })
    }
}
