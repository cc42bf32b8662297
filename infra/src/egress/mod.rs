//! Name resolution for upstream connections: every address that a name has now is checked right before the connection
//! is made to exactly that address, so that a name cannot be vetted and then moved.

use std::net::{IpAddr, SocketAddr};
use std::sync::Arc;

use domain::egress::{EgressPolicy, EgressRefusal};

/// Why a host got no connection.
#[derive(Debug, thiserror::Error)]
pub enum ResolveFault {
    /// The policy does not let the address through.
    #[error(transparent)]
    Refused(#[from] EgressRefusal),
    /// The name could not be resolved.
    #[error("the host name does not resolve")]
    Lookup(#[from] std::io::Error),
}

/// Resolves names to addresses that the policy lets through.
#[derive(Debug, Clone)]
pub struct VettingResolver {
    policy: Arc<EgressPolicy>,
}

impl VettingResolver {
    /// A resolver under this policy.
    #[must_use]
    pub const fn new(policy: Arc<EgressPolicy>) -> Self {
        Self { policy }
    }

    /// The addresses of a host (a name, an IPv4 address, or an IPv6 address in brackets) that the policy lets through.
    /// Only these are connected to, so that it does not matter what else the name says.
    ///
    /// # Errors
    /// [`ResolveFault`]
    pub async fn resolve(&self, host: &str, port: u16) -> Result<Vec<SocketAddr>, ResolveFault> {
        let bare = host.trim_start_matches('[').trim_end_matches(']');
        let addresses: Vec<SocketAddr> = match bare.parse::<IpAddr>() {
            Ok(address) => vec![SocketAddr::new(address, port)],
            Err(_) => tokio::net::lookup_host((bare, port)).await?.collect(),
        };
        let mut refusal = EgressRefusal::NoAddress;
        let mut permitted = Vec::with_capacity(addresses.len());
        for address in addresses {
            match self.policy.permit(address.ip()) {
                Ok(()) => permitted.push(address),
                Err(refused) => refusal = refused,
            }
        }
        if permitted.is_empty() { Err(refusal.into()) } else { Ok(permitted) }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn resolver(networks: &[&str]) -> VettingResolver {
        let networks = networks.iter().map(|network| network.parse().expect("a network")).collect();
        VettingResolver::new(Arc::new(EgressPolicy::new(networks)))
    }

    #[tokio::test]
    async fn a_name_that_resolves_to_a_private_address_is_refused() {
        // `localhost` stands for any public name whose record was changed after registration.
        let refused = resolver(&[]).resolve("localhost", 80).await;
        assert!(matches!(refused, Err(ResolveFault::Refused(EgressRefusal::Address(_)))), "{refused:?}");
        let permitted =
            resolver(&["127.0.0.0/8"]).resolve("localhost", 80).await.expect("127.0.0.1 is among its addresses");
        assert!(permitted.iter().all(SocketAddr::is_ipv4));
    }

    #[tokio::test]
    async fn addresses_in_every_notation_are_checked() {
        for host in ["127.0.0.1", "[::1]", "[::ffff:127.0.0.1]", "169.254.169.254"] {
            assert!(matches!(resolver(&[]).resolve(host, 80).await, Err(ResolveFault::Refused(_))), "{host}");
        }
    }
}
