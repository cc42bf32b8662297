//! A mail server that keeps every letter it is given: enough of SMTP (RFC 5321) for a client to hand one over.

use std::sync::{Arc, Mutex, PoisonError};

use tokio::io::{AsyncBufReadExt, AsyncWriteExt, BufReader};
use tokio::net::{TcpListener, TcpStream};

/// A letter as it was handed over.
#[derive(Debug, Clone, Default)]
pub struct Letter {
    /// `MAIL FROM`
    pub from: String,
    /// `RCPT TO`
    pub to: String,
    /// Headers and text; quoted-printable is undone.
    pub text: String,
}

/// A mail server.
pub struct MailSink {
    /// Its address, for `KEYRACK_SMTP_URL`.
    pub url: String,
    letters: Arc<Mutex<Vec<Letter>>>,
}

impl MailSink {
    /// Starts one on a free port. It refuses every recipient at `refused.example.com`.
    pub async fn start() -> Self {
        let listener = TcpListener::bind("127.0.0.1:0").await.expect("a free port");
        let url = format!("smtp://{}", listener.local_addr().expect("an address"));
        let letters = Arc::<Mutex<Vec<Letter>>>::default();
        let kept = Arc::clone(&letters);
        tokio::spawn(async move {
            while let Ok((stream, _)) = listener.accept().await {
                let kept = Arc::clone(&kept);
                tokio::spawn(async move {
                    let _ = converse(stream, &kept).await;
                });
            }
        });
        Self { url, letters }
    }

    /// What was handed over so far.
    pub fn letters(&self) -> Vec<Letter> {
        self.letters.lock().unwrap_or_else(PoisonError::into_inner).clone()
    }
}

async fn converse(stream: TcpStream, kept: &Mutex<Vec<Letter>>) -> std::io::Result<()> {
    let (read, mut write) = stream.into_split();
    let mut lines = BufReader::new(read).lines();
    let mut letter = Letter::default();
    write.write_all(b"220 sink\r\n").await?;
    while let Some(line) = lines.next_line().await? {
        let address = || line.split(['<', '>']).nth(1).unwrap_or_default().to_owned();
        let answer = match line.get(..4).unwrap_or_default().to_ascii_uppercase().as_str() {
            "MAIL" => {
                letter.from = address();
                "250 OK"
            }
            "RCPT" if line.contains("@refused.example.com") => "550 nobody here",
            "RCPT" => {
                letter.to = address();
                "250 OK"
            }
            "DATA" => {
                write.write_all(b"354 go on\r\n").await?;
                let mut text = String::new();
                while let Some(line) = lines.next_line().await?.filter(|line| line != ".") {
                    text.push_str(&line);
                    text.push('\n');
                }
                letter.text = text.replace("=\n", "").replace("=3D", "=");
                kept.lock().unwrap_or_else(PoisonError::into_inner).push(std::mem::take(&mut letter));
                "250 taken"
            }
            "QUIT" => {
                write.write_all(b"221 bye\r\n").await?;
                return Ok(());
            }
            _ => "250 OK",
        };
        write.write_all(format!("{answer}\r\n").as_bytes()).await?;
    }
    Ok(())
}
