//! The address that a node listens on: it is free, or a node has it already.

use std::net::SocketAddr;

use super::super::ready;
use super::report::Report;

/// Looks at it; whether a node listens there.
pub fn check(listen: SocketAddr, report: &mut Report) -> bool {
    let Err(error) = std::net::TcpListener::bind(listen) else {
        report.good("listen", &format!("{listen} is free"));
        return false;
    };
    match ready::look(listen) {
        Ok(answered) if answered.is_a_nodes() && answered.status == "200" => {
            report.good("listen", &format!("{listen} has a node that serves"));
            true
        }
        Ok(answered) if answered.is_a_nodes() => {
            let finding = format!("{listen} has a node that is not ready: it answered {}", answered.status);
            report.bad("listen", &finding, "look at its log; what it needs is looked at below");
            true
        }
        Ok(_) | Err(_) => {
            let fix = "choose another KEYRACK_LISTEN, or stop what has the port";
            report.bad("listen", &format!("{listen}: {error}"), fix);
            false
        }
    }
}
