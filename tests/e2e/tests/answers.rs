//! Wrong key, damage, a newer version, a missing keyset, a full disk, a store in use: each its own answer, and nothing is
//! deleted in any of them.

#![allow(clippy::unwrap_used)]

use serde_json::json;
use snaptrak_driver::{Answer, Client, Station, captures, patience};
use snaptrak_e2e::{Contents, SmallDisk, contents, raise_schema_version, sha256_of};
use std::{
    fs::{self, OpenOptions},
    io::{Seek, SeekFrom, Write},
    path::Path,
    process::Stdio,
};

/// A store with a picture and a note.
fn filled() -> Station {
    let station = Station::new().unwrap();
    station.capture(&[station.cache.picture("chelsea.png").unwrap()]).unwrap();
    station.client.tell(&["note", "still here"]).unwrap();
    station
}

/// Every command that opens a store gives the same answer, and the folder is afterwards what it was.
fn each_command_answers(client: &Client, exit: i32, code: &str) {
    let before = contents(&client.store);
    let out = client.store.with_extension("out").to_string_lossy().into_owned();
    let id = "0193e6f6-0000-7000-8000-000000000000";
    let commands: [&[&str]; 8] = [
        &["status"],
        &["list"],
        &["note", "one more"],
        &["view", id, "-o", &out],
        &["analyse"],
        &["sync"],
        &["verify"],
        &["export-key", id, "-o", &out, "--yes"],
    ];
    for arguments in commands {
        let answer = client.ask(arguments).unwrap();
        assert_eq!((answer.code, &answer.json["code"]), (exit, &json!(code)), "{arguments:?}: {}", answer.json);
        assert_eq!(answer.json["schema"], "snaptrak.error/1");
        for field in ["message", "next"] {
            assert!(answer.json[field].as_str().is_some_and(|words| words.len() > 5), "{field}: {}", answer.json);
        }
    }
    assert_same(&before, &contents(&client.store));
}

fn assert_same(before: &Contents, after: &Contents) {
    let changed: Vec<_> = before.iter().filter(|(path, digest)| after.get(*path) != Some(digest)).collect();
    assert!(changed.is_empty(), "changed or gone: {changed:?}");
}

#[test]
fn a_wrong_passphrase() {
    let station = filled();
    let wrong = station.write("wrong", b"another passphrase\n").unwrap();
    each_command_answers(&station.client.clone().with_passphrase_file(&wrong), 3, "wrong_key");
    assert_eq!(station.client.tell(&["list"]).unwrap()["captures"].as_array().unwrap().len(), 2);
}

#[test]
fn a_damaged_database() {
    let station = filled();
    let database = station.client.store.join("database/store.sqlite3");
    let whole = fs::read(&database).unwrap();
    let mut file = OpenOptions::new().write(true).open(&database).unwrap();
    file.write_all(&[0x5a; 4096]).unwrap();
    each_command_answers(&station.client, 7, "damaged");

    // Another page: found when it is read, at the latest.
    fs::write(&database, &whole).unwrap();
    assert!(whole.len() > 8192, "a database has more than two pages");
    file.seek(SeekFrom::Start(4096)).unwrap();
    file.write_all(&vec![0x5a; whole.len() - 4096]).unwrap();
    each_command_answers(&station.client, 7, "damaged");

    fs::write(&database, &whole[..whole.len() / 2 / 4096 * 4096]).unwrap();
    each_command_answers(&station.client, 7, "damaged");

    fs::write(&database, &whole).unwrap();
    assert_eq!(station.client.tell(&["list"]).unwrap()["captures"].as_array().unwrap().len(), 2);
}

#[test]
fn a_missing_database_is_damage_and_never_a_new_store() {
    let station = filled();
    let database = station.client.store.join("database/store.sqlite3");
    fs::rename(&database, station.path("elsewhere")).unwrap();
    each_command_answers(&station.client, 7, "damaged");
    assert!(!database.exists());
    let again = station.client.ask(&["init"]).unwrap();
    assert_eq!(again.code, 1, "{}", again.json);
    fs::rename(station.path("elsewhere"), &database).unwrap();
    assert_eq!(station.client.tell(&["list"]).unwrap()["captures"].as_array().unwrap().len(), 2);
}

#[test]
fn a_newer_schema() {
    let station = filled();
    raise_schema_version(&station.client.store, "a passphrase for trials");
    each_command_answers(&station.client, 9, "newer_version");
}

#[test]
fn a_newer_folder() {
    let station = filled();
    let file = station.client.store.join("store.json");
    let text = fs::read_to_string(&file).unwrap();
    fs::write(&file, text.replace("snaptrak.store/2", "snaptrak.store/3")).unwrap();
    each_command_answers(&station.client, 9, "newer_version");
}

#[test]
fn a_missing_keyset() {
    let station = filled();
    let (keyset, elsewhere) = (station.client.store.join("keyset"), station.path("elsewhere"));
    fs::rename(&keyset, &elsewhere).unwrap();
    each_command_answers(&station.client, 10, "keyset_missing");
    fs::remove_dir(&keyset).or_else(|error| if keyset.exists() { Err(error) } else { Ok(()) }).unwrap();
    fs::rename(&elsewhere, &keyset).unwrap();
    assert_eq!(station.client.tell(&["list"]).unwrap()["captures"].as_array().unwrap().len(), 2);
}

#[test]
fn a_store_in_use() {
    let station = filled();
    let before = contents(&station.client.store);
    let mut command = station.client.command(&["record", "--kind", "audio"]);
    let mut holder = command.stdin(Stdio::piped()).stdout(Stdio::null()).spawn().unwrap();
    let busy = |answer: &Answer| answer.code == 8 && answer.json["code"] == "in_use";
    // Its folder is made under the lock. Asking the store itself would race the holder for the lock, and could win.
    let recording = || fs::read_dir(station.client.store.join("incoming")).is_ok_and(|folder| folder.count() > 0);
    assert!(patience::until(recording), "the recording began");
    for arguments in [&["status"][..], &["note", "no"], &["list"], &["sync"], &["init"]] {
        let answer = station.client.ask(arguments).unwrap();
        assert!(busy(&answer) || arguments[0] == "init", "{arguments:?}: {}", answer.json);
        assert_ne!(answer.code, 0);
    }
    holder.stdin.take().unwrap().write_all(b"what was said").unwrap();
    assert!(holder.wait().unwrap().success());
    let assets = |contents: Contents| -> Contents {
        contents.into_iter().filter(|(path, _)| path.starts_with("assets") || path.starts_with("incoming")).collect()
    };
    assert_same(&assets(before), &assets(contents(&station.client.store)));
    assert_eq!(station.client.tell(&["list"]).unwrap()["captures"].as_array().unwrap().len(), 3);
}

#[test]
fn a_folder_that_holds_something_else_is_refused() {
    let station = Station::new().unwrap();
    let folder = station.path("letters");
    fs::create_dir_all(folder.join("store")).unwrap();
    fs::write(folder.join("store/letter.txt"), "dear").unwrap();
    let client = Client::new(station.programs(), &folder).unwrap();
    let before = contents(&client.store);
    assert_eq!(client.ask(&["init"]).unwrap().json["code"], "not_empty");
    assert_ne!(client.ask(&["status"]).unwrap().code, 0);
    assert_eq!(before, contents(&client.store));
    let nowhere = station.client.clone().with_store(&station.path("nowhere"));
    assert_eq!(nowhere.ask(&["status"]).unwrap().json["code"], "no_store");
    assert!(!nowhere.store.exists(), "looking makes nothing");
}

/// Room for the store, some captures, and not for one more large file.
const DISK_BYTES: u64 = 24 * 1024 * 1024;

#[test]
fn a_full_disk() {
    let station = Station::new().unwrap();
    let Some(disk) = SmallDisk::if_possible(&station.path("disk"), DISK_BYTES) else { return };
    let client = station.client.clone().with_store(&station.path("disk/store")).through(disk.launcher());
    let store = disk.folder().join("store");
    let ask = |arguments: &[&str]| client.ask(arguments).unwrap();
    let tell = |arguments: &[&str]| client.tell(arguments).unwrap();
    tell(&["init"]);
    let photo = station.cache.picture("chelsea.png").unwrap();
    let mut safe = captures(&tell(&["capture", photo.to_str().unwrap()]));
    let large = station.write_noise("large", DISK_BYTES, 1).unwrap();
    let large = large.to_string_lossy().into_owned();
    let before = assets(&store);
    let full = ask(&["capture", &large]);
    assert_eq!((full.code, &full.json["code"]), (4, &json!("storage_full")), "{}", full.json);
    assert_same(&before, &assets(&store));

    // What fits is still taken: a capture that did not fit holds up nobody, and leaves no half of itself behind.
    safe.extend(captures(&tell(&["capture", photo.to_str().unwrap()])));
    let listed = tell(&["list"]);
    assert_eq!(listed["captures"].as_array().unwrap().len(), safe.len(), "{listed}");

    // Now with several until one does not fit, and then to the last byte: whatever was acknowledged stays.
    let filler = station.write_noise("filler", 2_900_000, 2).unwrap();
    let exit = loop {
        let answer = ask(&["capture", filler.to_str().unwrap()]);
        safe.extend(captures(&answer.json));
        if answer.code != 0 {
            break answer;
        }
    };
    assert_eq!((exit.code, &exit.json["code"]), (4, &json!("storage_full")), "{}", exit.json);
    disk.fill();
    let note = ask(&["note", "no room for this"]);
    assert!([0, 4].contains(&note.code), "{}", note.json);
    safe.extend(captures(&note.json));
    disk.make_room();

    let listed = tell(&["list", "--limit", "500"]);
    let listed: Vec<&str> =
        listed["captures"].as_array().unwrap().iter().map(|capture| capture["id"].as_str().unwrap()).collect();
    for capture in &safe {
        assert!(listed.contains(&capture.id.as_str()), "{} was acknowledged", capture.id);
        let out = station.path("out");
        tell(&["view", &capture.id, "-o", out.to_str().unwrap()]);
        assert_eq!(sha256_of(&out), capture.sha256);
    }
    assert_eq!(listed.len(), safe.len(), "nothing is listed that was not acknowledged");
    let verify = tell(&["verify"]);
    assert_eq!((&verify["chain_ok"], &verify["gaps"]), (&json!(true), &json!([])), "{verify}");
}

/// What the server signed for makes room on a disk that is full to its last byte.
#[test]
fn a_purge_on_a_full_disk() {
    let mut station = Station::new().unwrap();
    let Some(disk) = SmallDisk::if_possible(&station.path("disk"), DISK_BYTES) else { return };
    station.start_server(&[]).unwrap();
    let client = station.client.clone().with_store(&station.path("disk/store")).through(disk.launcher());
    let tell = |arguments: &[&str]| client.tell(arguments).unwrap();
    tell(&["init"]);
    let password = station.password_file().to_string_lossy().into_owned();
    let account = ["--server", &station.url(), "--email", snaptrak_driver::EMAIL, "--password-file", &password];
    tell(&[&["sign-up"], &account[..]].concat());
    let videos: Vec<String> = (0..2)
        .map(|seed| {
            station.write_noise(&format!("video{seed}"), 2_900_000, seed).unwrap().to_string_lossy().into_owned()
        })
        .collect();
    let taken = captures(&tell(&["capture", &videos[0], &videos[1]]));
    assert_eq!(tell(&["sync"])["verified"], 2);
    disk.fill();

    assert_eq!(tell(&["list"])["captures"].as_array().unwrap().len(), 2, "it opens and is read");
    let purged = tell(&["purge"]);
    assert_eq!(purged["purged"], 2, "{purged}");
    assert!(purged["freed_bytes"].as_u64().unwrap() > 5_800_000, "{purged}");
    disk.make_room();
    let why = tell(&["why", &taken[0].id]);
    assert_eq!(why["state"], "purged", "{why}");
    tell(&["capture", &videos[0]]);
    tell(&["fetch", &taken[1].id]);
    let out = station.path("out");
    tell(&["view", &taken[1].id, "-o", out.to_str().unwrap()]);
    assert_eq!(sha256_of(&out), taken[1].sha256);
    assert_eq!(tell(&["verify"])["failures"], json!([]));
}

/// What lies in the store beside the database, which may change as the disk fills.
fn assets(store: &Path) -> Contents {
    let changes =
        |path: &Path| ["database", "journal", "session.json", "ballast"].iter().any(|name| path.starts_with(name));
    contents(store).into_iter().filter(|(path, _)| !changes(path)).collect()
}
