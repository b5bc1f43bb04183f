//! Accepting connections: a bound on their number, time for TLS and for headers, and a graceful end.

use crate::http::ConnectionEnd;
use crate::linger::Lingering;
use axum::Router;
use axum::extract::Request;
use hyper::body::Incoming;
use hyper::server::conn::http1;
use hyper_util::rt::{TokioIo, TokioTimer};
use hyper_util::service::TowerToHyperService;
use rustls::ServerConfig;
use std::sync::Arc;
use std::time::Duration;
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::net::{TcpListener, TcpStream};
use tokio::sync::{Semaphore, watch};
use tokio::task::JoinSet;
use tokio_rustls::TlsAcceptor;

/// Connections side by side; a phone keeps a few. More wait in the system's backlog.
const CONNECTIONS_MAX: usize = 1_024;

/// A handshake is two round trips; a slow network's take a second each.
const HANDSHAKE_WITHIN: Duration = Duration::from_secs(10);

/// Headers arrive in one packet or two. It also ends connections on which nothing is asked.
const HEADERS_WITHIN: Duration = Duration::from_secs(60);

/// Requests under way may finish; uploads that take longer are resumed at the next start.
const STOPS_WITHIN: Duration = Duration::from_secs(5);

/// After a failure to accept (too many open files) the next try waits, or the loop would spin.
const ACCEPT_PAUSE: Duration = Duration::from_millis(100);

/// Serves until told to stop.
pub(crate) async fn serve(
    listener: TcpListener,
    tls: Option<Arc<ServerConfig>>,
    router: Router,
    mut stop: watch::Receiver<bool>,
) {
    let acceptor = tls.map(TlsAcceptor::from);
    let places = Arc::new(Semaphore::new(CONNECTIONS_MAX));
    let mut connections = JoinSet::new();
    loop {
        let accepted = tokio::select! {
            accepted = accept(&listener, &places) => accepted,
            Some(_) = connections.join_next(), if !connections.is_empty() => continue,
            () = told_to_stop(&mut stop) => break,
        };
        let Some((stream, place)) = accepted else { continue };
        let (acceptor, router, stop) = (acceptor.clone(), router.clone(), stop.clone());
        let stream = Lingering::new(stream, stop.clone());
        connections.spawn(async move {
            let _place = place;
            match acceptor {
                None => connection(stream, router, stop).await,
                Some(acceptor) => match tokio::time::timeout(HANDSHAKE_WITHIN, acceptor.accept(stream)).await {
                    Ok(Ok(stream)) => connection(stream, router, stop).await,
                    Ok(Err(_)) | Err(_) => tracing::debug!("a TLS handshake failed"),
                },
            }
        });
    }
    drop(listener);
    let finish = async { while connections.join_next().await.is_some() {} };
    if tokio::time::timeout(STOPS_WITHIN, finish).await.is_err() {
        connections.shutdown().await;
    }
}

async fn accept(
    listener: &TcpListener,
    places: &Arc<Semaphore>,
) -> Option<(TcpStream, tokio::sync::OwnedSemaphorePermit)> {
    let place = places.clone().acquire_owned().await.ok()?;
    match listener.accept().await {
        Ok((stream, _)) => {
            // Small answers must not wait for more to send.
            if stream.set_nodelay(true).is_err() {
                tracing::debug!("a connection ended before it was served");
            }
            Some((stream, place))
        }
        Err(error) => {
            tracing::warn!(%error, "cannot accept a connection");
            tokio::time::sleep(ACCEPT_PAUSE).await;
            None
        }
    }
}

async fn connection<S>(stream: S, router: Router, mut stop: watch::Receiver<bool>)
where
    S: AsyncRead + AsyncWrite + Unpin + Send + 'static,
{
    let end = ConnectionEnd::default();
    let of_request = end.clone();
    let router = router.layer(axum::middleware::map_request(move |mut request: Request| {
        request.extensions_mut().insert(of_request.clone());
        std::future::ready(request)
    }));
    let service = TowerToHyperService::new(router);
    let mut builder = http1::Builder::new();
    builder.timer(TokioTimer::new()).header_read_timeout(HEADERS_WITHIN);
    let connection = builder.serve_connection(TokioIo::new(stream), hyper_service(service));
    tokio::pin!(connection);
    tokio::select! {
        _ = connection.as_mut() => {}
        () = end.ended() => {}
        () = told_to_stop(&mut stop) => {
            connection.as_mut().graceful_shutdown();
            tokio::select! {
                _ = connection => {}
                () = end.ended() => {}
            }
        }
    }
}

/// Returns when the server is told to stop, or nobody is left who could tell it.
pub(crate) async fn told_to_stop(stop: &mut watch::Receiver<bool>) {
    // Both answers mean the same; the value itself is a lock that must not be held.
    drop(stop.wait_for(|stop| *stop).await);
}

/// Names the request's type, which nothing else here does.
fn hyper_service<S>(service: S) -> S
where
    S: hyper::service::Service<hyper::Request<Incoming>>,
{
    service
}
