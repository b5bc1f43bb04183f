//! Runs verifications beside the requests: a few at a time, the longest-waiting first, picked up again after a restart.
//!
//! What waits is the column `state = 'ready'`, so nothing is lost with the process. An asset that fails by the server's own
//! fault rests for a while and does not hold up the others.

use crate::app::App;
use crate::database::{Database, verification};
use crate::error::Error;
use crate::folder::remove_file;
use crate::verify::{Verdict, verify};
use snaptrak_domain::AssetId;
use std::collections::HashSet;
use std::sync::Arc;
use std::time::Duration;
use tokio::sync::watch;
use tokio::task::JoinSet;

/// Verifications side by side: opening runs at gigabytes a second, and cores are left for uploads.
const SIDE_BY_SIDE_MAX: usize = 2;

/// How long an asset rests after the server's own failure.
const REST: Duration = Duration::from_secs(30);

/// Verifies whatever is ready until the server stops.
pub(crate) async fn run(app: Arc<App>, mut stop: watch::Receiver<bool>) {
    let mut running = JoinSet::new();
    let mut claimed = HashSet::new();
    let mut resting = HashSet::new();
    while !*stop.borrow() {
        if let Err(error) = start(&app, &mut running, &mut claimed, &resting).await {
            tracing::error!(%error, "cannot look for assets to verify");
        }
        tokio::select! {
            () = app.ready.notified() => {}
            Some(ended) = running.join_next(), if !running.is_empty() => match ended {
                Ok((asset_id, Ok(()))) => {
                    claimed.remove(&asset_id);
                }
                Ok((asset_id, Err(error))) => {
                    tracing::error!(asset = %asset_id, %error, "verification failed by our own fault; it is tried again");
                    claimed.remove(&asset_id);
                    resting.insert(asset_id);
                }
                // A panic: which asset it was is lost with it, so it stays claimed until the next start.
                Err(error) => tracing::error!(%error, "a verification ended without an answer"),
            },
            () = tokio::time::sleep(REST), if !resting.is_empty() => resting.clear(),
            _ = stop.changed() => {}
        }
    }
    while running.join_next().await.is_some() {}
}

async fn start(
    app: &Arc<App>,
    running: &mut JoinSet<(AssetId, Result<(), Error>)>,
    claimed: &mut HashSet<AssetId>,
    resting: &HashSet<AssetId>,
) -> Result<(), Error> {
    if running.len() >= SIDE_BY_SIDE_MAX {
        return Ok(());
    }
    let limit = u32::try_from(SIDE_BY_SIDE_MAX + claimed.len() + resting.len()).unwrap_or(u32::MAX);
    let ready = app.database.read(move |transaction| verification::ready(transaction, limit)).await?;
    for asset_id in ready {
        if running.len() < SIDE_BY_SIDE_MAX && !resting.contains(&asset_id) && claimed.insert(asset_id) {
            let app = app.clone();
            running.spawn_blocking(move || (asset_id, one(&app, asset_id)));
        }
    }
    Ok(())
}

fn one(app: &App, asset_id: AssetId) -> Result<(), Error> {
    let Some(job) = app.database.read_now(|transaction| verification::job(transaction, asset_id))? else {
        return Ok(());
    };
    let database: &Database = &app.database;
    match verify(app, &job)? {
        Verdict::Verified(countersigned) => {
            let now = app.now();
            let stored =
                database.write_now(|transaction| verification::set_verified(transaction, &job, &countersigned, now))?;
            if stored {
                tracing::info!(asset = %asset_id, "verified and countersigned");
            }
        }
        Verdict::Failed(failure) => {
            tracing::warn!(asset = %asset_id, code = failure.code.as_str(), piece = failure.piece, "verification failed");
            // The file goes before the row, under the write lock: afterwards the right piece may arrive in its place. A kill in
            // between leaves a row without a file, which the next look finds and treats alike.
            database.write_now(|transaction| match failure.piece {
                Some(index) if verification::set_failed(transaction, &job, failure)? => {
                    remove_file(&app.folder.piece(asset_id, index))
                }
                Some(_) => Ok(()),
                None => verification::set_failed(transaction, &job, failure).map(drop),
            })?;
        }
        Verdict::Interrupted => {}
    }
    Ok(())
}
