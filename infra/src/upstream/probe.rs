//! Trying whether a server can be reached, without asking it anything.

use std::sync::Arc;
use std::time::Duration;

use domain::egress::{EgressPolicy, EgressRefusal};
use url::Url;

use super::connect::Connector;
use super::{Target, UpstreamFault, public_authorities};

/// Makes connections and drops them.
pub struct Probe(Connector);

impl Probe {
    /// Connects where the policy allows. It is used inside a `LocalSet`.
    #[must_use]
    pub fn new(policy: &Arc<EgressPolicy>) -> Self {
        Self(Connector::new(Arc::clone(policy), public_authorities()))
    }

    /// Resolves the host of this URL, connects, and speaks TLS where the URL says so, all within `limit`.
    ///
    /// # Errors
    /// [`UpstreamFault`]
    pub async fn reach(&self, url: &Url, limit: Duration) -> Result<(), UpstreamFault> {
        let target = Target::of(url).map_err(|_| UpstreamFault::Egress(EgressRefusal::NotUrl))?;
        self.0.connect(target.endpoint(), limit).await.map(drop)
    }
}
