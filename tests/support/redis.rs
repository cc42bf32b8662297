//! A Redis of a test's own, which can be paused and ended.

use std::process::Stdio;
use std::time::{Duration, Instant};

use tokio::io::{AsyncReadExt, AsyncWriteExt};
use tokio::net::TcpStream;
use tokio::process::{Child, Command};

/// A running Redis. It ends with this value.
pub struct Redis {
    /// `redis://127.0.0.1:port`
    pub url: String,
    port: u16,
    process: Option<Child>,
}

impl Redis {
    /// Starts one on a free loopback port, with nothing in it and nothing kept.
    ///
    /// # Panics
    /// Where there is no `redis-server`: `tests/setup/redis` installs it.
    pub async fn start() -> Self {
        let listener = std::net::TcpListener::bind("127.0.0.1:0").expect("a free port");
        let port = listener.local_addr().expect("an address").port();
        drop(listener);
        let mut redis = Self { url: format!("redis://127.0.0.1:{port}"), port, process: None };
        redis.again().await;
        redis
    }

    /// Starts it again, empty, where it was.
    pub async fn again(&mut self) {
        let process = Command::new("redis-server")
            .args(["--bind", "127.0.0.1", "--port", &self.port.to_string(), "--save", "", "--appendonly", "no"])
            .stdout(Stdio::null())
            .stderr(Stdio::null())
            .kill_on_drop(true)
            .spawn()
            .expect("redis-server is not installed: run `tests/setup/redis`");
        self.process = Some(process);
        let begun = Instant::now();
        while !self.answers().await {
            assert!(begun.elapsed() < Duration::from_secs(20), "Redis does not answer");
            tokio::time::sleep(Duration::from_millis(20)).await;
        }
    }

    async fn answers(&self) -> bool {
        let asked = async {
            let mut socket = TcpStream::connect(("127.0.0.1", self.port)).await.ok()?;
            socket.write_all(b"PING\r\n").await.ok()?;
            let mut answer = [0; 5];
            socket.read_exact(&mut answer).await.ok()?;
            Some(&answer == b"+PONG")
        };
        tokio::time::timeout(Duration::from_secs(1), asked).await.ok().flatten() == Some(true)
    }

    /// Ends it.
    pub async fn stop(&mut self) {
        if let Some(mut process) = self.process.take() {
            process.kill().await.expect("it ends");
        }
    }

    /// It goes on to hold its connections and answers nothing more, until [`Redis::resume`].
    pub fn pause(&self) {
        self.signal("-STOP");
    }

    /// It answers again.
    pub fn resume(&self) {
        self.signal("-CONT");
    }

    fn signal(&self, signal: &str) {
        let id = self.process.as_ref().and_then(Child::id).expect("it runs").to_string();
        let sent = std::process::Command::new("kill").args([signal, &id]).status().expect("kill can be run");
        assert!(sent.success());
    }
}
