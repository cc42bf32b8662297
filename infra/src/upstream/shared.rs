//! The client for what no worker does: background work and tasks that move between threads. An [`Upstream`] belongs to
//! the thread that made it; this one has a thread of its own and is asked through a channel. The gateway's calls do not
//! take this way.

use std::pin::Pin;
use std::sync::Arc;
use std::task::{Context, Poll};
use std::thread;
use std::time::Duration;

use bytes::Bytes;
use domain::egress::EgressPolicy;
use futures_util::{Stream, StreamExt};
use http::{HeaderMap, Method, StatusCode};
use rustls::RootCertStore;
use tokio::runtime::Builder;
use tokio::sync::{mpsc, oneshot};
use tokio::task::{JoinSet, LocalSet};

use super::{Answer, Target, Upstream, UpstreamFault, public_authorities};

/// How many pieces of an answer wait for whoever reads it. More are not read from the server.
const PIECES: usize = 8;

/// A client that any task may use.
#[derive(Debug, Clone)]
pub struct SharedUpstream {
    jobs: mpsc::UnboundedSender<Job>,
}

struct Job {
    target: Target,
    method: Method,
    headers: HeaderMap,
    body: Bytes,
    connect: Duration,
    reply: oneshot::Sender<Result<SharedAnswer, UpstreamFault>>,
}

/// The answer broke off before its end.
#[derive(Debug, thiserror::Error)]
pub enum BodyFault {
    /// The connection failed, or what came was not HTTP.
    #[error("the answer broke off")]
    Broken(#[from] hyper::Error),
    /// The client's thread is gone.
    #[error("the client has ended")]
    Ended,
}

/// An answer whose body is still to come.
#[derive(Debug)]
pub struct SharedAnswer {
    status: StatusCode,
    headers: HeaderMap,
    body: SharedBody,
}

/// A body on its way; dropping it closes the connection, which is how the server learns that nobody waits.
#[derive(Debug)]
pub struct SharedBody {
    pieces: mpsc::Receiver<Result<Bytes, BodyFault>>,
    over: bool,
}

impl SharedUpstream {
    /// Starts a client that connects where the policy allows and trusts the public certificate authorities. Its thread
    /// ends with its last clone and the last answer.
    ///
    /// # Panics
    /// When the operating system gives no thread or no event queue, which is at the start.
    #[must_use]
    pub fn start(policy: &Arc<EgressPolicy>) -> Self {
        Self::trusting(policy, public_authorities())
    }

    /// The same, trusting other authorities.
    pub(super) fn trusting(policy: &Arc<EgressPolicy>, roots: RootCertStore) -> Self {
        let (jobs, mut waiting) = mpsc::unbounded_channel::<Job>();
        let policy = Arc::clone(policy);
        let runtime = Builder::new_current_thread().enable_all().build().expect("an event queue");
        let serve = move || {
            LocalSet::new().block_on(&runtime, async move {
                let upstream = Upstream::trusting(&policy, roots);
                let mut under_way = JoinSet::new();
                loop {
                    tokio::select! {
                        job = waiting.recv() => match job {
                            Some(job) => drop(under_way.spawn_local(run(upstream.clone(), job))),
                            None => break,
                        },
                        Some(_) = under_way.join_next() => {}
                    }
                }
                // Answers that somebody still reads.
                while under_way.join_next().await.is_some() {}
            });
        };
        thread::Builder::new().name("upstream".to_owned()).spawn(serve).expect("a thread");
        Self { jobs }
    }

    /// Sends a request and returns when its answer begins, like [`Upstream::send`].
    ///
    /// # Errors
    /// [`UpstreamFault`]
    pub async fn send(
        &self,
        target: &Target,
        method: Method,
        headers: HeaderMap,
        body: Bytes,
        connect: Duration,
    ) -> Result<SharedAnswer, UpstreamFault> {
        let (reply, answer) = oneshot::channel();
        let job = Job { target: target.clone(), method, headers, body, connect, reply };
        self.jobs.send(job).map_err(|_| UpstreamFault::Ended)?;
        answer.await.map_err(|_| UpstreamFault::Ended)?
    }
}

async fn run(upstream: Upstream, job: Job) {
    let Job { target, method, headers, body, connect, mut reply } = job;
    let answer = tokio::select! {
        biased;
        // Nobody waits any more.
        () = reply.closed() => return,
        answer = upstream.send(&target, method, headers, body, connect) => answer,
    };
    match answer {
        Err(fault) => drop(reply.send(Err(fault))),
        Ok(answer) => {
            let (pieces, body) = mpsc::channel(PIECES);
            let shared = SharedAnswer {
                status: answer.status(),
                headers: answer.headers().clone(),
                body: SharedBody { pieces: body, over: false },
            };
            if reply.send(Ok(shared)).is_ok() {
                relay(answer, pieces).await;
            }
        }
    }
}

async fn relay(answer: Answer, pieces: mpsc::Sender<Result<Bytes, BodyFault>>) {
    let mut body = answer.into_body();
    loop {
        let piece = tokio::select! {
            biased;
            () = pieces.closed() => return,
            piece = body.next() => piece,
        };
        let (piece, last) = match piece {
            Some(Ok(piece)) if piece.is_empty() => continue,
            Some(Ok(piece)) => (Ok(piece), false),
            Some(Err(fault)) => (Err(fault.into()), true),
            // The end is said only when it was seen: a thread that dies in between must not look like one.
            None => (Ok(Bytes::new()), true),
        };
        if pieces.send(piece).await.is_err() || last {
            return;
        }
    }
}

impl SharedAnswer {
    /// The status.
    #[must_use]
    pub const fn status(&self) -> StatusCode {
        self.status
    }

    /// The headers.
    #[must_use]
    pub const fn headers(&self) -> &HeaderMap {
        &self.headers
    }

    /// The body.
    #[must_use]
    pub fn into_body(self) -> SharedBody {
        self.body
    }
}

impl Stream for SharedBody {
    type Item = Result<Bytes, BodyFault>;

    fn poll_next(mut self: Pin<&mut Self>, cx: &mut Context<'_>) -> Poll<Option<Self::Item>> {
        if self.over {
            return Poll::Ready(None);
        }
        let piece = std::task::ready!(self.pieces.poll_recv(cx));
        Poll::Ready(match piece {
            // An empty piece is the end; servers' empty pieces are not passed on.
            Some(Ok(piece)) if piece.is_empty() => {
                self.over = true;
                None
            }
            Some(Ok(piece)) => Some(Ok(piece)),
            Some(Err(fault)) => {
                self.over = true;
                Some(Err(fault))
            }
            None => {
                self.over = true;
                Some(Err(BodyFault::Ended))
            }
        })
    }
}

#[cfg(test)]
mod tests {
    use futures_util::TryStreamExt;
    use tokio::io::{AsyncReadExt, AsyncWriteExt};
    use tokio::net::{TcpListener, TcpStream};
    use url::Url;

    use super::*;

    const SECOND: Duration = Duration::from_secs(1);

    async fn asked(answer: &str) -> (SharedAnswer, TcpStream) {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("http://127.0.0.1:{}/mcp", listener.local_addr().expect("an address").port());
        let target = Target::of(&Url::parse(&url).expect("a url")).expect("a target");
        let client =
            SharedUpstream::start(&Arc::new(EgressPolicy::new(vec!["127.0.0.0/8".parse().expect("a network")])));
        let server = async {
            let (mut io, _) = listener.accept().await.expect("a connection");
            let mut head = Vec::new();
            while !head.ends_with(b"\r\n\r\n") {
                head.push(io.read_u8().await.expect("a head"));
            }
            io.write_all(answer.as_bytes()).await.expect("room");
            io
        };
        let request = client.send(&target, Method::GET, HeaderMap::new(), Bytes::new(), SECOND);
        let (answer, io) = tokio::join!(request, server);
        (answer.expect("an answer"), io)
    }

    async fn text(answer: SharedAnswer) -> Result<String, BodyFault> {
        let pieces: Vec<Bytes> = answer.into_body().try_collect().await?;
        Ok(String::from_utf8(pieces.concat()).expect("text"))
    }

    #[tokio::test]
    async fn an_answer_crosses_threads_with_status_headers_and_body() {
        let (answer, _io) = asked("HTTP/1.1 201 Created\r\nx-it: is\r\ncontent-length: 5\r\n\r\nwhole").await;
        assert_eq!(answer.status(), StatusCode::CREATED);
        assert_eq!(answer.headers()["x-it"], "is");
        assert_eq!(text(answer).await.expect("a body"), "whole");
    }

    #[tokio::test]
    async fn a_body_that_breaks_off_is_an_error_and_not_an_end() {
        let (answer, io) = asked("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\npart").await;
        drop(io);
        assert!(matches!(text(answer).await, Err(BodyFault::Broken(_))));
    }

    #[tokio::test]
    async fn dropping_a_body_tells_the_server() {
        let (answer, mut io) = asked("HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\npart\r\n").await;
        let mut body = answer.into_body();
        assert_eq!(body.next().await.expect("a piece").expect("whole"), "part");
        drop(body);
        let end = tokio::time::timeout(SECOND, io.read_u8()).await.expect("closed in time");
        assert!(end.is_err(), "nothing more comes from the client");
    }
}
