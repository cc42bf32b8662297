//! An open-loop load generator: calls begin at fixed times, whether or not those before them were answered, and each is
//! measured from the time when it was meant to begin. wrk, which waits for an answer before it asks again, hides the
//! calls that a stall keeps from being made; this counts them.
//!
//! One thread with one blocking connection for every `connections`-th call. It must never retry, skip or count a call
//! whose answer is not the expected one, byte for byte.
//!
//! Usage: `constant_rate < job.json`, the job being the fields of [`Job`]; prints one line of JSON, the fields of
//! [`Report`].

use std::error::Error;
use std::io::{Read as _, Write as _};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use serde::{Deserialize, Serialize};

/// How long one answer may take.
const PATIENCE: Duration = Duration::from_secs(10);
/// From now to the first call, for the threads to be there.
const LEAD: Duration = Duration::from_millis(50);

type Fault = Box<dyn Error + Send + Sync>;

#[derive(Deserialize)]
struct Job {
    /// `127.0.0.1:PORT`
    address: String,
    /// Path and query.
    target: String,
    /// Name and value, as they are sent.
    headers: Vec<(String, String)>,
    /// Of a call.
    body: String,
    /// The answer to every call.
    expected: String,
    /// Calls per second, over all connections.
    rate: u32,
    seconds: u32,
    connections: u32,
    /// Of each connection's calls, every so many-th is an `initialize` that begins a session, which its later calls are
    /// in and which nobody ends; 0 for none.
    session_every: u32,
}

#[derive(Serialize)]
struct Report {
    calls: usize,
    sessions: usize,
    seconds: f64,
    /// Microseconds from when a call was meant to begin to the end of its answer.
    p50: u32,
    p90: u32,
    p99: u32,
    p999: u32,
    max: u32,
    /// How late this program was by itself: microseconds from when a call was meant to begin to when it did, where its
    /// connection was free. It is part of the numbers above.
    late_p99: u32,
}

#[derive(Default)]
struct Seen {
    latencies: Vec<u32>,
    lateness: Vec<u32>,
    sessions: usize,
}

struct Connection<'a> {
    job: &'a Job,
    stream: TcpStream,
    session: Option<String>,
    buffer: Vec<u8>,
}

impl<'a> Connection<'a> {
    fn open(job: &'a Job) -> Result<Self, Fault> {
        let stream = TcpStream::connect(&job.address)?;
        stream.set_nodelay(true)?;
        stream.set_read_timeout(Some(PATIENCE))?;
        Ok(Self { job, stream, session: None, buffer: Vec::with_capacity(4096) })
    }

    fn message(&self, begins: bool) -> String {
        use std::fmt::Write as _;
        let job = self.job;
        let initialize = r#"{"jsonrpc":"2.0","id":1,"method":"initialize","params":{}}"#;
        let body = if begins { initialize } else { &job.body };
        let mut text = format!("POST {} HTTP/1.1\r\nhost: {}\r\n", job.target, job.address);
        for (name, value) in &job.headers {
            let _ = write!(text, "{name}: {value}\r\n");
        }
        if begins {
            text.push_str("mcp-method: initialize\r\n");
        } else if let Some(session) = &self.session {
            let _ = write!(text, "mcp-session-id: {session}\r\n");
        }
        let _ = write!(text, "content-length: {}\r\n\r\n{body}", body.len());
        text
    }

    /// Reads one answer, and remembers the session that it begins.
    fn answer(&mut self) -> Result<(), Fault> {
        self.buffer.clear();
        let head = loop {
            if let Some(end) = self.buffer.windows(4).position(|four| four == b"\r\n\r\n") {
                break end;
            }
            self.more()?;
        };
        let text = String::from_utf8_lossy(&self.buffer[..head]).into_owned();
        let length = header(&text, "content-length").and_then(|value| value.parse::<usize>().ok());
        let whole = head + 4 + length.ok_or_else(|| format!("an answer without a length: {text}"))?;
        while self.buffer.len() < whole {
            self.more()?;
        }
        let body = &self.buffer[head + 4..];
        if !text.starts_with("HTTP/1.1 200 ") || body != self.job.expected.as_bytes() {
            return Err(format!("not the expected answer: {text}\n\n{}", String::from_utf8_lossy(body)).into());
        }
        if let Some(session) = header(&text, "mcp-session-id") {
            self.session = Some(session.to_owned());
        }
        Ok(())
    }

    fn more(&mut self) -> Result<(), Fault> {
        let mut chunk = [0; 4096];
        match self.stream.read(&mut chunk)? {
            0 => Err("the connection was closed".into()),
            read => {
                self.buffer.extend_from_slice(&chunk[..read]);
                Ok(())
            }
        }
    }
}

fn header<'a>(head: &'a str, name: &str) -> Option<&'a str> {
    head.lines()
        .filter_map(|line| line.split_once(':'))
        .find(|(found, _)| found.eq_ignore_ascii_case(name))
        .map(|(_, value)| value.trim())
}

fn micros(time: Duration) -> u32 {
    u32::try_from(time.as_micros()).unwrap_or(u32::MAX)
}

/// Makes every `connections`-th call, beginning with the one of this number.
fn run(job: &Job, first: u32, start: Instant) -> Result<Seen, Fault> {
    let mut connection = Connection::open(job)?;
    let mut seen = Seen::default();
    let mut message = connection.message(false);
    let numbers = (u64::from(first)..u64::from(job.rate) * u64::from(job.seconds)).step_by(job.connections as usize);
    for (turn, number) in numbers.enumerate() {
        let meant = start + Duration::from_nanos(number * 1_000_000_000 / u64::from(job.rate));
        // Prepared before its time, so that the time is the gateway's alone.
        let begins = job.session_every > 0 && turn % job.session_every as usize == 0;
        let other = begins.then(|| connection.message(true));
        if let Some(early) = meant.checked_duration_since(Instant::now()) {
            std::thread::sleep(early);
            seen.lateness.push(micros(meant.elapsed()));
        }
        connection.stream.write_all(other.as_ref().unwrap_or(&message).as_bytes())?;
        connection.answer()?;
        seen.latencies.push(micros(meant.elapsed()));
        if begins {
            if connection.session.is_none() {
                return Err("an answer to initialize without a session".into());
            }
            seen.sessions += 1;
            message = connection.message(false);
        }
    }
    Ok(seen)
}

/// The latency that this share of all is not above; 0 of nothing.
fn quantile(sorted: &[u32], share: f64) -> u32 {
    #[expect(
        clippy::cast_precision_loss,
        clippy::cast_possible_truncation,
        clippy::cast_sign_loss,
        reason = "counts of calls are far below 2^52, and never negative"
    )]
    let place = (sorted.len() as f64 * share).ceil() as usize;
    sorted.get(place.saturating_sub(1)).copied().unwrap_or_default()
}

fn main() -> Result<(), Fault> {
    let job: Job = serde_json::from_reader(std::io::stdin())?;
    if job.rate == 0 || job.connections == 0 {
        return Err("rate and connections are at least 1".into());
    }
    let start = Instant::now() + LEAD;
    let mut all = Seen::default();
    let job = &job;
    std::thread::scope(|threads| {
        let running: Vec<_> = (0..job.connections).map(|first| threads.spawn(move || run(job, first, start))).collect();
        for thread in running {
            let seen = thread.join().map_err(|_| "a connection's thread ended badly")??;
            all.latencies.extend(seen.latencies);
            all.lateness.extend(seen.lateness);
            all.sessions += seen.sessions;
        }
        Ok::<_, Fault>(())
    })?;
    let seconds = start.elapsed().as_secs_f64();
    all.latencies.sort_unstable();
    all.lateness.sort_unstable();
    let at = |share| quantile(&all.latencies, share);
    let report = Report {
        calls: all.latencies.len(),
        sessions: all.sessions,
        seconds,
        p50: at(0.5),
        p90: at(0.9),
        p99: at(0.99),
        p999: at(0.999),
        max: at(1.0),
        late_p99: quantile(&all.lateness, 0.99),
    };
    println!("{}", serde_json::to_string(&report)?);
    Ok(())
}
