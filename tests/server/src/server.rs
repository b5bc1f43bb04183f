//! Starting and stopping a server.

use crate::app::App;
use crate::config::{Encryption, ServerConfig};
use crate::error::Error;
use crate::{finish_upload, http, listener, tls, verifier};
use snaptrak_domain::{OrganisationId, Sha256Digest};
use std::net::SocketAddr;
use std::path::PathBuf;
use std::sync::Arc;
use std::sync::mpsc::{SyncSender, sync_channel};
use std::thread::JoinHandle;
use std::time::Duration;
use tokio::net::TcpListener;
use tokio::sync::watch;

/// How often expired uploads are swept: they last days, so an hour more does not matter.
const SWEEP_EVERY: Duration = Duration::from_secs(60 * 60);

/// The reference API.
pub struct Server;

/// A server that listens. Dropping it stops it.
pub struct RunningServer {
    /// Where it listens.
    pub addr: SocketAddr,
    /// The same as an address for clients, `http://` or `https://`.
    pub url: String,
    /// The organisation that it stands for.
    pub organisation_id: OrganisationId,
    /// What `--trust-root` of a client pins.
    pub root_fingerprint: Sha256Digest,
    /// The certificate that `--trusted-root` of a client wants, if the server made its own.
    pub made_root: Option<PathBuf>,
    stop: watch::Sender<bool>,
    thread: Option<JoinHandle<()>>,
}

impl Server {
    /// Starts a server on threads of its own and returns when it listens. Works with and without a runtime around it.
    pub fn start(config: ServerConfig) -> Result<RunningServer, Error> {
        let encrypted = config.encryption != Encryption::Plain;
        if !encrypted && !config.listen.ip().is_loopback() {
            return Err(Error::PlainHttp { address: config.listen });
        }
        let (stop, stopped) = watch::channel(false);
        let (tell, told) = sync_channel(1);
        let thread = std::thread::Builder::new()
            .name("snaptrak-server".to_owned())
            .spawn(move || run(config, stopped, tell))
            .map_err(|_| Error::ThreadEnded)?;
        // Answered once the server listens or has failed to, dropped if the thread panics.
        let started = told.recv().map_err(|_| Error::ThreadEnded)??;
        let scheme = if encrypted { "https" } else { "http" };
        Ok(RunningServer {
            addr: started.addr,
            url: format!("{scheme}://{}", started.addr),
            organisation_id: started.organisation_id,
            root_fingerprint: started.root_fingerprint,
            made_root: started.made_root,
            stop,
            thread: Some(thread),
        })
    }
}

impl RunningServer {
    /// Stops: no new connections, requests under way may finish for a few seconds, the database is closed.
    pub fn stop(mut self) {
        self.end();
    }

    fn end(&mut self) {
        self.stop.send_replace(true);
        if let Some(thread) = self.thread.take()
            && thread.join().is_err()
        {
            tracing::error!("the server's thread ended with a panic");
        }
    }
}

impl Drop for RunningServer {
    fn drop(&mut self) {
        self.end();
    }
}

struct Started {
    addr: SocketAddr,
    organisation_id: OrganisationId,
    root_fingerprint: Sha256Digest,
    made_root: Option<PathBuf>,
}

type Tell = SyncSender<Result<Started, Error>>;

fn run(config: ServerConfig, stop: watch::Receiver<bool>, tell: Tell) {
    let runtime = tokio::runtime::Builder::new_multi_thread().enable_all().thread_name("snaptrak-server").build();
    let runtime = match runtime {
        Ok(runtime) => runtime,
        Err(source) => return say(&tell, Err(Error::Listen { address: config.listen, source })),
    };
    runtime.block_on(async {
        match open(config).await {
            Ok(opened) => {
                say(&tell, Ok(opened.started));
                serve(opened.app, opened.listener, opened.tls, stop).await;
            }
            Err(error) => say(&tell, Err(error)),
        }
    });
}

/// Tells the starter, who may have gone.
fn say(tell: &Tell, what: Result<Started, Error>) {
    if tell.send(what).is_err() {
        tracing::debug!("nobody waits for the server's start");
    }
}

struct Opened {
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    started: Started,
}

async fn open(config: ServerConfig) -> Result<Opened, Error> {
    let (address, encryption) = (config.listen, config.encryption.clone());
    let app = Arc::new(App::open(config)?);
    let tls = tls::load(&encryption, &app.folder, &app.at_rest, address.ip())?;
    finish_upload::recover(&app)?;
    let listener = TcpListener::bind(address).await.map_err(|source| Error::Listen { address, source })?;
    let started = Started {
        addr: listener.local_addr().map_err(|source| Error::Listen { address, source })?,
        organisation_id: app.organisation.id,
        root_fingerprint: app.organisation.root_fingerprint,
        made_root: tls.as_ref().and_then(|tls| tls.made_root.clone()),
    };
    Ok(Opened { app, listener, tls: tls.map(|tls| tls.config), started })
}

async fn serve(
    app: Arc<App>,
    listener: TcpListener,
    tls: Option<Arc<rustls::ServerConfig>>,
    stop: watch::Receiver<bool>,
) {
    let verifier = tokio::spawn(verifier::run(app.clone(), stop.clone()));
    let sweeper = tokio::spawn(sweep(app.clone(), stop.clone()));
    let told_to_stop = {
        let app = app.clone();
        let mut stop = stop.clone();
        tokio::spawn(async move {
            listener::told_to_stop(&mut stop).await;
            app.begin_stopping();
        })
    };
    listener::serve(listener, tls, http::router(app), stop).await;
    for task in [verifier, sweeper, told_to_stop] {
        if task.await.is_err() {
            tracing::error!("a task of the server ended with a panic");
        }
    }
}

async fn sweep(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    loop {
        tokio::select! {
            () = tokio::time::sleep(SWEEP_EVERY) => {}
            () = listener::told_to_stop(&mut stop) => return,
        }
        let app = app.clone();
        match tokio::task::spawn_blocking(move || finish_upload::expire(&app)).await {
            Ok(Ok(())) => {}
            Ok(Err(error)) => tracing::error!(%error, "cannot sweep expired uploads"),
            Err(_) => tracing::error!("sweeping ended with a panic"),
        }
    }
}
