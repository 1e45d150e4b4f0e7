//! Connections: so many at a time, each of which must bring the head of a request in time, until the program is asked to end.

use std::io;
use std::sync::Arc;
use std::time::Duration;

use axum::Router;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::server::graceful::GracefulShutdown;
use hyper_util::service::TowerToHyperService;
use tokio::net::TcpListener;
use tokio::sync::Semaphore;

/// The time for the head of a request, and for the next one on a connection that stays open: longer than clients keep theirs.
const HEAD: Duration = Duration::from_secs(120);
/// The time for the last replies to go out after what runs was cut off.
const LAST: Duration = Duration::from_secs(2);

/// Answer requests until the program is asked to end. Then `stopping` is called, which says how long open requests may take, and
/// after that time `cut_off`, which ends them.
///
/// # Errors
/// If signals cannot be heard.
pub async fn serve(
    listener: TcpListener,
    router: Router,
    most: usize,
    stopping: impl FnOnce() -> Duration,
    cut_off: impl FnOnce(),
) -> io::Result<()> {
    let places = Arc::new(Semaphore::new(most));
    let connections = GracefulShutdown::new();
    let mut http = http1::Builder::new();
    http.timer(TokioTimer::new()).header_read_timeout(HEAD);
    let mut signals = Signals::new()?;
    loop {
        let accepted = async {
            let place = places.clone().acquire_owned().await.ok();
            (listener.accept().await, place)
        };
        let (accepted, place) = tokio::select! {
            accepted = accepted => accepted,
            () = signals.next() => break,
        };
        let stream = match accepted {
            Ok((stream, _)) => stream,
            Err(error) => {
                // No more files may be opened, say: what is open ends in time.
                tracing::warn!("cannot accept a connection: {error}");
                tokio::time::sleep(Duration::from_millis(100)).await;
                continue;
            }
        };
        // Pieces of answers are small and wanted at once.
        let _ = stream.set_nodelay(true);
        let service = TowerToHyperService::new(router.clone());
        let connection = connections.watch(http.serve_connection(TokioIo::new(stream), service));
        tokio::spawn(async move {
            if let Err(error) = connection.await {
                tracing::debug!("a connection ended: {error}");
            }
            drop(place);
        });
    }
    drop(listener);
    let grace = stopping();
    let ended = async {
        let closed = connections.shutdown();
        tokio::pin!(closed);
        if tokio::time::timeout(grace, &mut closed).await.is_err() {
            cut_off();
            let _ = tokio::time::timeout(LAST, closed).await;
        }
    };
    tokio::select! {
        () = ended => Ok(()),
        () = signals.next() => {
            eprintln!("ended at once");
            std::process::exit(130);
        }
    }
}

/// Ctrl-C, and where there is one the signal that asks a program to end.
struct Signals {
    #[cfg(unix)]
    interrupt: tokio::signal::unix::Signal,
    #[cfg(unix)]
    terminate: tokio::signal::unix::Signal,
}

impl Signals {
    #[cfg(unix)]
    fn new() -> io::Result<Self> {
        use tokio::signal::unix::{SignalKind, signal};
        Ok(Signals {
            interrupt: signal(SignalKind::interrupt())?,
            terminate: signal(SignalKind::terminate())?,
        })
    }

    #[cfg(not(unix))]
    fn new() -> io::Result<Self> {
        Ok(Signals {})
    }

    #[cfg(unix)]
    async fn next(&mut self) {
        tokio::select! {
            _ = self.interrupt.recv() => {}
            _ = self.terminate.recv() => {}
        }
    }

    #[cfg(not(unix))]
    async fn next(&mut self) {
        if tokio::signal::ctrl_c().await.is_err() {
            std::future::pending::<()>().await;
        }
    }
}
