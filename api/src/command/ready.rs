//! `keyrack ready`: whether the node that listens here can serve. For health checks where nothing else can ask.

use std::io::{Read, Write};
use std::net::{IpAddr, Ipv4Addr, Ipv6Addr, SocketAddr, TcpStream};
use std::time::Duration;

/// How long each step may take: a probe that hangs says less than one that fails.
const PATIENCE: Duration = Duration::from_secs(2);

/// Asks the node at this address.
///
/// # Errors
/// What it answered, or why it did not.
pub fn run(listen: SocketAddr) -> Result<(), String> {
    let address = reached_at(listen);
    let status = ask(address).map_err(|error| format!("{address} does not answer: {error}"))?;
    match status.as_str() {
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

/// The status, in its three digits.
fn ask(address: SocketAddr) -> std::io::Result<String> {
    let mut socket = TcpStream::connect_timeout(&address, PATIENCE)?;
    socket.set_read_timeout(Some(PATIENCE))?;
    socket.set_write_timeout(Some(PATIENCE))?;
    write!(socket, "GET /ready HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n\r\n")?;
    let mut head = [0; "HTTP/1.1 200".len()];
    socket.read_exact(&mut head)?;
    Ok(String::from_utf8_lossy(&head[head.len() - 3..]).into_owned())
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
