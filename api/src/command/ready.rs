//! `keyrack ready`: whether the node that listens here can serve. For health checks where nothing else can ask.

use std::io::{self, Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

use crate::code::Code;

/// How long each step may take: a probe that hangs says less than one that fails.
const PATIENCE: Duration = Duration::from_secs(2);
/// Most bytes of an answer that are read: what `/ready` answers is shorter.
const ANSWER_MAX: u64 = 16 * 1024;

/// What answers at an address.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Answered {
    /// The status, in its three digits.
    pub status: String,
    body: String,
}

impl Answered {
    /// Whether it is a node: what a ready one says, or one that is not.
    #[must_use]
    pub fn is_a_nodes(&self) -> bool {
        let body = serde_json::from_str::<serde_json::Value>(&self.body).unwrap_or_default();
        match self.status.as_str() {
            "200" => body == serde_json::json!({"status": "ok"}),
            "503" => body["error"]["code"] == Code::Unavailable.as_str(),
            _ => false,
        }
    }
}

/// Asks the node at this address.
///
/// # Errors
/// What it answered, or why it did not.
pub fn run(listen: SocketAddr) -> Result<(), String> {
    let address = reached_at(listen);
    let answered = ask(address).map_err(|error| format!("{address} does not answer: {error}"))?;
    match answered.status.as_str() {
        "200" => {
            println!("ready");
            Ok(())
        }
        other => Err(format!("{address} is not ready: it answered {other}")),
    }
}

/// Where to reach a node of this machine that listens so.
fn reached_at(listen: SocketAddr) -> SocketAddr {
    let ip = match listen.ip() {
        IpAddr::V4(ip) if ip.is_unspecified() => Ipv4Addr::LOCALHOST.into(),
        IpAddr::V6(ip) if ip.is_unspecified() => Ipv6Addr::LOCALHOST.into(),
        ip => ip,
    };
    SocketAddr::new(ip, listen.port())
}

/// Asks for `/ready` where a node of this machine would listen.
///
/// # Errors
/// When nobody answers in HTTP.
pub fn look(listen: SocketAddr) -> io::Result<Answered> {
    ask(reached_at(listen))
}

fn ask(address: SocketAddr) -> io::Result<Answered> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    // 1.0: the answer comes in one piece and ends with the connection.
    write!(socket, "GET /ready HTTP/1.0\r\nHost: {address}\r\n\r\n")?;
    let mut answer = Vec::new();
    socket.take(ANSWER_MAX).read_to_end(&mut answer)?;
    let answer = String::from_utf8_lossy(&answer);
    let status = answer.strip_prefix("HTTP/1.").and_then(|rest| rest.get(2..5));
    let status = status.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "that is no HTTP"))?;
    let body = answer.split_once("\r\n\r\n").map_or("", |(_, body)| body);
    Ok(Answered { status: status.to_owned(), body: body.to_owned() })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_node_that_listens_everywhere_is_asked_on_loopback() {
        for (listen, reached) in [
            ("0.0.0.0:8080", "127.0.0.1:8080"),
            ("[::]:8080", "[::1]:8080"),
            ("10.1.2.3:80", "10.1.2.3:80"),
            ("127.0.0.1:1", "127.0.0.1:1"),
        ] {
            let listen = listen.parse().expect("an address");
            assert_eq!(reached_at(listen).to_string(), reached);
        }
    }
}
