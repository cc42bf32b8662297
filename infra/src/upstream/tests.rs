//! The client against servers that speak HTTP by hand, and break it.

use std::sync::atomic::{AtomicUsize, Ordering};

use futures_util::TryStreamExt;
use rustls::ServerConfig;
use rustls::pki_types::PrivatePkcs8KeyDer;
use tokio::io::{AsyncRead, AsyncReadExt, AsyncWrite, AsyncWriteExt};
use tokio::net::{TcpListener, TcpStream};
use tokio::task::{LocalSet, spawn_local};
use tokio_rustls::TlsAcceptor;
use url::Url;

use super::*;

const SECOND: Duration = Duration::from_secs(1);

fn policy() -> Arc<EgressPolicy> {
    Arc::new(EgressPolicy::new(vec!["127.0.0.0/8".parse().expect("a network")]))
}

/// A server that reads one message per connection and request, and answers with what it is told.
struct Server {
    port: u16,
    connections: Arc<AtomicUsize>,
    requests: Arc<AtomicUsize>,
}

#[derive(Clone, Copy)]
struct Script {
    answer: &'static str,
    /// Whether the connection ends with the answer.
    closes: bool,
    /// Whether TLS says so.
    politely: bool,
}

const fn whole(answer: &'static str) -> Script {
    Script { answer, closes: false, politely: true }
}

const fn closing(answer: &'static str) -> Script {
    Script { answer, closes: true, politely: true }
}

const OK: &str = "HTTP/1.1 200 OK\r\ncontent-length: 2\r\n\r\nok";

async fn read_head(io: &mut (impl AsyncRead + Unpin)) -> bool {
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        match io.read_u8().await {
            Ok(byte) => head.push(byte),
            Err(_) => return false,
        }
    }
    true
}

async fn talk(mut io: impl AsyncRead + AsyncWrite + Unpin, script: Script, requests: &AtomicUsize) {
    while read_head(&mut io).await {
        requests.fetch_add(1, Ordering::SeqCst);
        let _ = io.write_all(script.answer.as_bytes()).await;
        let _ = io.flush().await;
        if script.closes {
            if script.politely {
                let _ = io.shutdown().await;
            }
            return;
        }
    }
}

async fn serve(script: Script, tls: Option<TlsAcceptor>) -> Server {
    let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
    let port = listener.local_addr().expect("an address").port();
    let server = Server { port, connections: Arc::default(), requests: Arc::default() };
    let (connections, requests) = (Arc::clone(&server.connections), Arc::clone(&server.requests));
    spawn_local(async move {
        while let Ok((tcp, _)) = listener.accept().await {
            connections.fetch_add(1, Ordering::SeqCst);
            let (tls, requests) = (tls.clone(), Arc::clone(&requests));
            spawn_local(async move {
                match tls {
                    None => talk(tcp, script, &requests).await,
                    Some(tls) => {
                        if let Ok(io) = tls.accept(tcp).await {
                            talk(io, script, &requests).await;
                        }
                    }
                }
            });
        }
    });
    server
}

impl Server {
    fn target(&self, scheme: &str) -> Target {
        let url = format!("{scheme}://localhost:{}/mcp?x=1", self.port);
        Target::of(&Url::parse(&url).expect("a url")).expect("a target")
    }

    fn counts(&self) -> (usize, usize) {
        (self.connections.load(Ordering::SeqCst), self.requests.load(Ordering::SeqCst))
    }
}

/// A certificate for `localhost`, and a client that trusts it.
fn tls(protocols: &[&[u8]]) -> (TlsAcceptor, Upstream) {
    let made = rcgen::generate_simple_self_signed(["localhost".to_owned()]).expect("a certificate");
    let mut roots = RootCertStore::empty();
    roots.add(made.cert.der().clone()).expect("a root");
    let key = PrivatePkcs8KeyDer::from(made.signing_key.serialize_der());
    let provider = Arc::new(rustls::crypto::aws_lc_rs::default_provider());
    let mut config = ServerConfig::builder_with_provider(provider)
        .with_safe_default_protocol_versions()
        .expect("versions")
        .with_no_client_auth()
        .with_single_cert(vec![made.cert.der().clone()], key.into())
        .expect("a key that fits");
    config.alpn_protocols = protocols.iter().map(|name| name.to_vec()).collect();
    (TlsAcceptor::from(Arc::new(config)), Upstream::trusting(&policy(), roots))
}

async fn get(upstream: &Upstream, target: &Target) -> Result<Answer, UpstreamFault> {
    upstream.send(target, Method::GET, HeaderMap::new(), Bytes::new(), SECOND).await
}

async fn read(answer: Answer) -> Result<String, hyper::Error> {
    let chunks: Vec<Bytes> = answer.into_body().try_collect().await?;
    Ok(String::from_utf8(chunks.concat()).expect("text"))
}

#[tokio::test]
async fn a_connection_is_kept_for_the_next_request_once_its_answer_was_read() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let (server, upstream) = (serve(whole(OK), None).await, Upstream::new(&policy()));
            let target = server.target("http");
            for _ in 0..5 {
                assert_eq!(read(get(&upstream, &target).await.expect("an answer")).await.expect("whole"), "ok");
            }
            assert_eq!(server.counts(), (1, 5));
            // One that is given up halfway is not.
            let unread = serve(whole("HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nok"), None).await;
            for _ in 0..2 {
                drop(get(&upstream, &unread.target("http")).await.expect("an answer"));
            }
            assert_eq!(unread.counts(), (2, 2));
        }))
        .await;
}

#[tokio::test]
async fn a_body_is_whole_or_an_error_however_it_ends() {
    const SIZED: &str = "HTTP/1.1 200 OK\r\ncontent-length: 9\r\n\r\nhalf";
    const CHUNKED: &str = "HTTP/1.1 200 OK\r\ntransfer-encoding: chunked\r\n\r\n4\r\nhalf\r\n";
    const CLOSED: &str = "HTTP/1.1 200 OK\r\nconnection: close\r\n\r\nwhole";
    LocalSet::new()
        .run_until(Box::pin(async {
            let (acceptor, upstream) = tls(&[b"http/1.1"]);
            for (scheme, tls) in [("http", None), ("https", Some(acceptor))] {
                for cut in [SIZED, CHUNKED] {
                    let server = serve(closing(cut), tls.clone()).await;
                    let answer = get(&upstream, &server.target(scheme)).await.expect("a head");
                    assert!(read(answer).await.is_err(), "{scheme}: {cut}");
                }
                let server = serve(closing(CLOSED), tls.clone()).await;
                let answer = get(&upstream, &server.target(scheme)).await.expect("a head");
                assert_eq!(read(answer).await.expect("the end is the connection's"), "whole");
                // Over TLS an end that was not announced may be somebody else's doing.
                let rude = serve(Script { politely: false, ..closing(CLOSED) }, tls.clone()).await;
                let answer = get(&upstream, &rude.target(scheme)).await.expect("a head");
                assert_eq!(read(answer).await.is_ok(), scheme == "http");
            }
        }))
        .await;
}

#[tokio::test]
async fn a_request_that_was_sent_is_never_sent_again() {
    LocalSet::new()
        .run_until(Box::pin(async {
            // It takes the request and hangs up.
            let (server, upstream) = (serve(closing(""), None).await, Upstream::new(&policy()));
            let fault = get(&upstream, &server.target("http")).await.err().expect("no answer");
            assert!(matches!(fault, UpstreamFault::Broken(_)), "{fault:?}");
            assert_eq!(server.counts(), (1, 1));
        }))
        .await;
}

#[tokio::test]
async fn a_request_that_a_kept_connection_took_is_never_sent_again() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let url = format!("http://{}/mcp", listener.local_addr().expect("an address"));
            let requests = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&requests);
            spawn_local(async move {
                while let Ok((mut tcp, _)) = listener.accept().await {
                    // Each connection answers once, takes another request and hangs up.
                    for answer in [OK, ""] {
                        counted.fetch_add(usize::from(read_head(&mut tcp).await), Ordering::SeqCst);
                        let _ = tcp.write_all(answer.as_bytes()).await;
                    }
                }
            });
            let (target, upstream) = (Target::of(&Url::parse(&url).expect("a url")), Upstream::new(&policy()));
            let target = target.expect("a target");
            assert_eq!(read(get(&upstream, &target).await.expect("an answer")).await.expect("whole"), "ok");
            let fault = get(&upstream, &target).await.err().expect("no answer");
            assert!(matches!(fault, UpstreamFault::Broken(_)), "{fault:?}");
            assert_eq!(requests.load(Ordering::SeqCst), 2);
        }))
        .await;
}

#[tokio::test]
async fn a_request_that_a_closed_connection_did_not_take_is_given_back_whole() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let (server, upstream) = (serve(whole(OK), None).await, Upstream::new(&policy()));
            let target = server.target("http");
            read(get(&upstream, &target).await.expect("an answer")).await.expect("whole");
            let Some(connection::Connection::H1(mut single)) = upstream.pool.take(target.endpoint()) else {
                panic!("nothing was kept")
            };
            // hyper closes a connection whose request is given up; what comes after is never written.
            drop(single.sender.send_request(Request::new(Full::default())));
            while !single.sender.is_closed() {
                tokio::task::yield_now().await;
            }
            let before = server.counts();
            let kept = connection::Connection::H1(single);
            let sent =
                kept.send(&upstream.pool, &target, Request::new(Full::new("body".into()))).await.expect("no fault");
            assert!(matches!(sent, Sent::Untouched(_, _)));
            assert_eq!(server.counts(), before);
        }))
        .await;
}

#[tokio::test]
async fn a_server_that_closes_idle_connections_loses_no_call_and_gets_none_twice() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let (server, upstream) = (serve(closing(OK), None).await, Upstream::new(&policy()));
            let target = server.target("http");
            for _ in 0..20 {
                let answer = get(&upstream, &target).await.expect("an answer");
                assert_eq!(read(answer).await.expect("whole"), "ok");
                // What was kept is given back until its end is noticed.
                while let Some(connection::Connection::H1(kept)) = upstream.pool.take(target.endpoint()) {
                    Rc::clone(&upstream.pool).keep(Arc::clone(target.endpoint()), kept);
                    tokio::task::yield_now().await;
                }
            }
            assert_eq!(server.counts(), (20, 20));
        }))
        .await;
}

#[tokio::test]
async fn plain_and_tls_never_share_a_connection() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let (server, upstream) = (serve(whole(OK), None).await, Upstream::new(&policy()));
            read(get(&upstream, &server.target("http")).await.expect("an answer")).await.expect("whole");
            let fault = get(&upstream, &server.target("https")).await.err().expect("it speaks no TLS");
            assert!(matches!(fault, UpstreamFault::Tls(_) | UpstreamFault::ConnectTimeout), "{fault:?}");
            assert_eq!(server.counts().1, 1, "a request for TLS went out in the clear");
        }))
        .await;
}

#[tokio::test]
async fn a_certificate_that_nobody_vouches_for_is_refused() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let (acceptor, _) = tls(&[]);
            let server = serve(whole(OK), Some(acceptor)).await;
            let fault = get(&Upstream::new(&policy()), &server.target("https")).await.err().expect("no trust");
            assert!(matches!(fault, UpstreamFault::Tls(_)), "{fault:?}");
            assert_eq!(server.counts().1, 0);
        }))
        .await;
}

#[tokio::test]
async fn nothing_is_connected_to_where_the_policy_forbids_it() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let server = serve(whole(OK), None).await;
            let strict = Upstream::new(&Arc::new(EgressPolicy::default()));
            let fault = get(&strict, &server.target("http")).await.err().expect("refused");
            assert!(matches!(fault, UpstreamFault::Egress(_)), "{fault:?}");
            assert_eq!(server.counts(), (0, 0));
        }))
        .await;
}

#[tokio::test]
async fn connecting_ends_with_its_time() {
    LocalSet::new()
        .run_until(Box::pin(async {
            // It accepts, and never answers the TLS greeting.
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let port = listener.local_addr().expect("an address").port();
            let url = Url::parse(&format!("https://localhost:{port}/")).expect("a url");
            let (target, upstream) = (Target::of(&url).expect("a target"), Upstream::new(&policy()));
            let began = std::time::Instant::now();
            let limit = Duration::from_millis(150);
            let sent = upstream.send(&target, Method::GET, HeaderMap::new(), Bytes::new(), limit).await;
            assert!(matches!(sent.err(), Some(UpstreamFault::ConnectTimeout)));
            assert!((limit..SECOND).contains(&began.elapsed()), "{:?}", began.elapsed());
            drop(listener);
        }))
        .await;
}

#[tokio::test]
async fn a_switch_of_protocols_is_no_answer() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let answer = "HTTP/1.1 101 Switching Protocols\r\nconnection: upgrade\r\nupgrade: x\r\n\r\n";
            let (server, upstream) = (serve(whole(answer), None).await, Upstream::new(&policy()));
            let fault = get(&upstream, &server.target("http")).await.err().expect("no answer");
            assert!(matches!(fault, UpstreamFault::Switched | UpstreamFault::Broken(_)), "{fault:?}");
        }))
        .await;
}

#[tokio::test]
async fn requests_over_http_2_share_a_connection_and_name_their_host_once() {
    LocalSet::new()
        .run_until(Box::pin(async {
            let (acceptor, upstream) = tls(&[b"h2"]);
            let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
            let port = listener.local_addr().expect("an address").port();
            let connections = Arc::new(AtomicUsize::new(0));
            let counted = Arc::clone(&connections);
            spawn_local(async move {
                while let Ok((tcp, _)) = listener.accept().await {
                    counted.fetch_add(1, Ordering::SeqCst);
                    let io = acceptor.accept(tcp).await.expect("TLS");
                    spawn_local(answer_h2(io));
                }
            });
            let url = Url::parse(&format!("https://localhost:{port}/mcp?x=1")).expect("a url");
            let target = Target::of(&url).expect("a target");
            for _ in 0..2 {
                let first = get(&upstream, &target).await.expect("an answer");
                let second = get(&upstream, &target).await.expect("an answer beside it");
                for answer in [first, second] {
                    assert_eq!(read(answer).await.expect("whole"), format!("{url} 0"));
                }
            }
            assert_eq!(connections.load(Ordering::SeqCst), 1);
        }))
        .await;
}

/// Answers every request with its URL and the number of its `Host` headers.
async fn answer_h2(io: tokio_rustls::server::TlsStream<TcpStream>) {
    let mut connection = h2::server::handshake(io).await.expect("HTTP/2");
    while let Some(Ok((request, mut respond))) = connection.accept().await {
        let text = format!("{} {}", request.uri(), request.headers().get_all("host").iter().count());
        let mut body = respond.send_response(http::Response::new(()), false).expect("a head");
        body.send_data(text.into(), true).expect("a body");
    }
}
