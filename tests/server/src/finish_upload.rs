//! The end of an upload: checking the whole sealed piece, bringing it to its place, and picking up after a kill.
//!
//! Order: the file is synced, its digest checked, renamed into its place and the folders synced; only then the row says
//! `stored`. A kill between the rename and the row leaves a piece without an unfinished file, which [`recover`] recognises.

use crate::app::App;
use crate::database::{UploadRow, UploadState, uploads};
use crate::error::Error;
use crate::folder::{Folder, private_options, remove_file};
use ring::digest;
use snaptrak_domain::Sha256Digest;
use std::collections::HashSet;
use std::fs::File;
use std::io::{ErrorKind, Read as _};
use std::path::Path;

/// Read at a time while a digest is made: one segment of a piece.
const READ_BYTES: usize = 64 * 1024;

/// Checks a file of the right length that was synced, and stores it; whether it is the piece that was announced. If not,
/// its bytes are gone and the upload begins again at 0. The caller has the upload's turn.
pub(crate) async fn finish(app: &App, upload: &mut UploadRow) -> Result<bool, Error> {
    let work = { Work { folder: app.folder.clone(), upload: upload.clone() } };
    let whole = tokio::task::spawn_blocking(move || work.check_and_place()).await.map_err(|_| Error::ThreadEnded)??;
    let (row, now) = (upload.clone(), app.now());
    if !whole {
        app.database.write(move |transaction| uploads::set_offset(transaction, row.id, 0)).await?;
        upload.offset_bytes = 0;
        return Ok(false);
    }
    let ready = app.database.write(move |transaction| uploads::set_stored(transaction, &row, now)).await?;
    upload.offset_bytes = upload.sealed_bytes;
    upload.state = UploadState::Stored;
    if ready {
        app.ready.notify_one();
    }
    Ok(true)
}

struct Work {
    folder: Folder,
    upload: UploadRow,
}

impl Work {
    fn check_and_place(&self) -> Result<bool, Error> {
        let path = self.folder.upload(self.upload.id);
        if sha256_of_file(&path)? == Some(self.upload.sealed_sha256) {
            self.folder.place_piece(self.upload.id, self.upload.asset_id, self.upload.piece_index)?;
            return Ok(true);
        }
        let file = private_options().open(&path).map_err(Error::file("open", &path))?;
        file.set_len(0).map_err(Error::file("cut", &path))?;
        Ok(false)
    }
}

/// Puts uploads right that a kill interrupted, ends those that have expired, and deletes files that no row knows. Runs
/// before the server listens.
pub(crate) fn recover(app: &App) -> Result<(), Error> {
    expire(app)?;
    let under_way = app.database.read_now(uploads::receiving)?;
    for upload in &under_way {
        recover_one(app, upload)?;
    }
    let known: HashSet<_> = under_way.iter().map(|upload| app.folder.upload(upload.id)).collect();
    let uploads = app.folder.uploads();
    for entry in std::fs::read_dir(&uploads).map_err(Error::file("list", &uploads))? {
        let path = entry.map_err(Error::file("list", &uploads))?.path();
        if !known.contains(&path) {
            remove_file(&path)?;
        }
    }
    Ok(())
}

/// Ends unfinished uploads whose time is over.
pub(crate) fn expire(app: &App) -> Result<(), Error> {
    let now = app.now();
    let under_way = app.database.read_now(uploads::receiving)?;
    for upload in under_way.iter().filter(|upload| upload.expires_ms <= now) {
        app.database.write_now(|transaction| uploads::delete(transaction, upload.id))?;
        remove_file(&app.folder.upload(upload.id))?;
    }
    Ok(())
}

fn recover_one(app: &App, upload: &UploadRow) -> Result<(), Error> {
    let path = app.folder.upload(upload.id);
    let here = match std::fs::metadata(&path) {
        Ok(metadata) => metadata.len(),
        Err(error) if error.kind() == ErrorKind::NotFound => {
            let piece = app.folder.piece(upload.asset_id, upload.piece_index);
            if sha256_of_file(&piece)? == Some(upload.sealed_sha256) {
                app.database.write_now(|transaction| uploads::set_stored(transaction, upload, app.now()))?;
                return Ok(());
            }
            0
        }
        Err(source) => return Err(Error::File { action: "look at", path, source }),
    };
    if here < upload.offset_bytes {
        app.database.write_now(|transaction| uploads::set_offset(transaction, upload.id, here))?;
    }
    Ok(())
}

/// The digest of a file; `None` where there is none.
pub(crate) fn sha256_of_file(path: &Path) -> Result<Option<Sha256Digest>, Error> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == ErrorKind::NotFound => return Ok(None),
        Err(source) => return Err(Error::File { action: "open", path: path.to_owned(), source }),
    };
    let mut context = digest::Context::new(&digest::SHA256);
    let mut buffer = vec![0; READ_BYTES];
    loop {
        match file.read(&mut buffer).map_err(Error::file("read", path))? {
            0 => break,
            count => context.update(&buffer[..count]),
        }
    }
    let mut sha256 = [0; 32];
    sha256.copy_from_slice(context.finish().as_ref());
    Ok(Some(Sha256Digest(sha256)))
}
