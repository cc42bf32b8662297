//! A way to an MCP server on which lies are told: answers that are not what was asked for, or not what they say they are.

use std::net::SocketAddr;
use std::sync::Arc;

use tokio::io::{AsyncReadExt, AsyncWriteExt, copy_bidirectional};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::watch;

/// A lie.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Lie {
    /// A page for people, with status 200.
    Page,
    /// JSON that ends in the middle.
    HalfJson,
    /// JSON that is no message of the protocol.
    NoMessage,
    /// A good answer to another request.
    AnotherId,
    /// Fewer bytes than the head promises.
    Short,
    /// An answer without an end.
    Endless,
    /// A head that is no HTTP.
    NoHttp,
}

impl Lie {
    /// All of them.
    pub const ALL: [Self; 7] =
        [Self::Page, Self::HalfJson, Self::NoMessage, Self::AnotherId, Self::Short, Self::Endless, Self::NoHttp];

    /// What is answered, to its end where it has one; none when no answer can be told from it.
    #[must_use]
    pub const fn body(self) -> Option<&'static str> {
        match self {
            Self::Page => Some("<html>Please log in</html>"),
            Self::HalfJson => Some("{\"jsonrpc\":\"2.0\",\"id\":"),
            Self::NoMessage => Some("[[[\"jsonrpc\"]]]"),
            Self::AnotherId => Some("{\"jsonrpc\":\"2.0\",\"id\":987654321,\"result\":{\"content\":[]}}"),
            Self::Short | Self::Endless | Self::NoHttp => None,
        }
    }

    fn head(self) -> String {
        let of = |kind: &str, length: usize| {
            format!("HTTP/1.1 200 OK\r\ncontent-type: {kind}\r\ncontent-length: {length}\r\nconnection: close\r\n\r\n")
        };
        match (self, self.body()) {
            (Self::Page, Some(body)) => of("text/html", body.len()),
            (_, Some(body)) => of("application/json", body.len()),
            (Self::NoHttp, None) => "SSH-2.0-OpenSSH_9.9\r\n\r\n".to_owned(),
            (Self::Endless, None) => "HTTP/1.1 200 OK\r\ncontent-type: application/json\r\n\r\n".to_owned(),
            (_, None) => of("application/json", 5_000),
        }
    }
}

/// The way.
pub struct Liar {
    /// Where it begins.
    pub address: SocketAddr,
    lie: Arc<watch::Sender<Option<Lie>>>,
}

impl Liar {
    /// One that ends at `to` and is honest at first, for as long as the test runs.
    pub async fn before(to: SocketAddr) -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let address = listener.local_addr().expect("an address");
        let (lie, seen) = watch::channel(None);
        tokio::spawn(async move {
            while let Ok((near, _)) = listener.accept().await {
                tokio::spawn(connection(near, to, seen.clone()));
            }
        });
        Self { address, lie: Arc::new(lie) }
    }

    /// From now on this lie is told, on new connections alone; with none the server is heard again.
    pub fn tell(&self, lie: Option<Lie>) {
        self.lie.send_replace(lie);
    }
}

async fn connection(mut near: TcpStream, to: SocketAddr, mut lie: watch::Receiver<Option<Lie>>) {
    let told = *lie.borrow_and_update();
    let Some(told) = told else {
        let Ok(mut far) = TcpStream::connect(to).await else { return };
        let _ = (near.set_nodelay(true), far.set_nodelay(true));
        tokio::select! {
            _ = copy_bidirectional(&mut near, &mut far) => {}
            _ = lie.changed() => {}
        }
        return;
    };
    // Small requests, which come whole.
    let _ = near.read(&mut vec![0; 64 * 1024]).await;
    let _ = near.write_all(told.head().as_bytes()).await;
    match (told, told.body()) {
        (_, Some(body)) => drop(near.write_all(body.as_bytes()).await),
        (Lie::Endless, None) => {
            let spaces = [b' '; 16 * 1024];
            while near.write_all(&spaces).await.is_ok() {}
        }
        (_, None) => drop(near.write_all(b"{\"jsonrpc\":").await),
    }
    let _ = near.shutdown().await;
}
