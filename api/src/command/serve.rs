//! `keyrack serve`

use secrecy::ExposeSecret;

use super::chain;
use crate::server::{Recording, Running, start_recording};
use crate::settings::Settings;

/// Runs until a signal comes, then drains.
///
/// # Errors
/// What kept the server from starting, or ended it.
pub async fn run(settings: Settings, recording: Recording) -> Result<(), String> {
    let mut running = start_recording(settings, recording).await.map_err(|fault| chain(&fault))?;
    announce(&running);
    tokio::select! {
        ended = running.ended() => return Err(match ended {
            Ok(()) => "the server ended by itself".to_owned(),
            Err(error) => format!("the server failed: {error}"),
        }),
        signal = stop_signal() => tracing::info!(signal, "stopping: waiting for requests under way"),
    }
    running.stop().await;
    tracing::info!("stopped");
    Ok(())
}

fn announce(running: &Running) {
    if let Some(token) = &running.bootstrap_token {
        // On standard error, beside the log and never in it: it is a secret, though one that works once.
        eprintln!(
            "This installation is fresh. Sign up once with this bootstrap token:\n\n    {}\n\n\
             or create the owner with `keyrack admin create-owner`.\n",
            token.expose_secret()
        );
    }
    println!("keyrack listens on http://{}", running.address);
    tracing::info!(address = %running.address, public_url = %running.public_url, "ready");
}

/// Waits for SIGINT or SIGTERM; which it was.
///
/// # Panics
/// When the operating system does not let signals be listened to.
pub async fn stop_signal() -> &'static str {
    use tokio::signal::unix::{SignalKind, signal};
    let mut terminate = signal(SignalKind::terminate()).expect("SIGTERM can be listened to");
    let mut interrupt = signal(SignalKind::interrupt()).expect("SIGINT can be listened to");
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
