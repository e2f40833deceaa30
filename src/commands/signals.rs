//! Signals: the first SIGTERM or SIGINT asks for a clean stop, the second ends the process; SIGHUP asks for a reload.

use tokio::signal::unix::{Signal, SignalKind, signal};
use tokio::sync::mpsc;
use tokio_util::sync::CancellationToken;

/// Exit code after the second signal: what was under way is not finished.
const INTERRUPTED: i32 = 1;

/// Cancels the token at the first signal, and ends the process at the second.
///
/// # Errors
///
/// The system does not let the process listen for signals.
pub(super) fn stop_on_signal(stop: CancellationToken) -> std::io::Result<()> {
    let mut terminate = signal(SignalKind::terminate())?;
    let mut interrupt = signal(SignalKind::interrupt())?;
    tokio::spawn(async move {
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::info!("{name}: finishing what was begun; a second signal stops at once");
        stop.cancel();
        let name = next(&mut terminate, &mut interrupt).await;
        tracing::warn!("{name} again: stopping at once");
        std::process::exit(INTERRUPTED);
    });
    Ok(())
}

/// One message for each SIGHUP; those that come while one is waiting are the same as that one.
///
/// # Errors
///
/// The system does not let the process listen for signals.
pub(super) fn hangups() -> std::io::Result<mpsc::Receiver<()>> {
    let mut hangup = signal(SignalKind::hangup())?;
    let (sender, receiver) = mpsc::channel(1);
    tokio::spawn(async move {
        while hangup.recv().await.is_some() && !sender.is_closed() {
            // A full channel means that a reload is about to begin anyway.
            let _ = sender.try_send(());
        }
    });
    Ok(receiver)
}

async fn next(terminate: &mut Signal, interrupt: &mut Signal) -> &'static str {
    tokio::select! {
        _ = terminate.recv() => "SIGTERM",
        _ = interrupt.recv() => "SIGINT",
    }
}
