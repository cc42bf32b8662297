//! What callers are told of upstream servers.

use domain::redact;
use infra::mcp_client::{ClientFault, HttpFault};
use infra::upstream::UpstreamFault;
use infra::upstream::health::LeftAlone;

use super::Problem;
use crate::code::Code;

/// How much of an upstream server's own message is passed on, in characters.
const SAID_MAX: usize = 200;

impl From<LeftAlone> for Problem {
    fn from(left: LeftAlone) -> Self {
        Self::because(Code::UpstreamError, &left).after(left.wait)
    }
}

impl From<ClientFault> for Problem {
    fn from(fault: ClientFault) -> Self {
        match fault {
            ClientFault::Unreachable(HttpFault::Upstream(fault)) => fault.into(),
            ClientFault::Unreachable(_) => {
                Self::because(Code::UpstreamError, "the server closed the connection before its answer was complete")
            }
            ClientFault::TimedOut => Self::because(Code::UpstreamTimeout, fault),
            ClientFault::Refused(_) => Self::because(Code::UpstreamError, format!("{fault}; check its auth")),
            ClientFault::Server(ref error) => {
                // Its own words, and not many of them; they must not bring a secret back.
                let said: String = error.message.chars().take(SAID_MAX).filter(|letter| !letter.is_control()).collect();
                Self::because(Code::UpstreamError, format!("{fault}: {}", redact::text(&said)))
            }
            ClientFault::Status { .. }
            | ClientFault::Redirected
            | ClientFault::Protocol(_)
            | ClientFault::Cancelled => Self::because(Code::UpstreamError, fault),
            ClientFault::Headers(_) => Self::caused(Code::Internal, fault),
        }
    }
}

impl From<UpstreamFault> for Problem {
    fn from(fault: UpstreamFault) -> Self {
        match fault {
            UpstreamFault::Egress(refusal) => {
                Self::because(Code::UpstreamError, format!("the server's address is not allowed: {refusal}"))
            }
            UpstreamFault::Unreachable(_) => {
                Self::because(Code::UpstreamError, "cannot connect to the server; check its URL and that it runs")
            }
            UpstreamFault::ConnectTimeout => {
                Self::because(Code::UpstreamTimeout, "connecting to the server took too long")
            }
            UpstreamFault::Tls(_) => Self::because(
                Code::UpstreamError,
                "TLS with the server failed; check that its certificate is good for its name and publicly trusted",
            ),
            UpstreamFault::Broken(_) | UpstreamFault::Switched | UpstreamFault::Ended => {
                Self::because(Code::UpstreamError, "the server closed the connection or did not answer in HTTP")
            }
        }
    }
}
