//! What people wrote, and what opens it, is found nowhere in clear; nobody else has any right on what is stored.

#![allow(clippy::unwrap_used)]

use snaptrak_driver::{Client, EMAIL, Station, captures};
use snaptrak_e2e::{Canary, jpeg_with_text, open_to_others, traces};
use std::{
    ffi::OsString,
    fs,
    path::{Path, PathBuf},
    process::Command,
};

const NOTE: &str = "Goldammer-note-5d1f";
const TAG: &str = "Goldammer-tag-8c22";
const PROJECT: &str = "Goldammer-project-77ab";
const EXIF: &str = "Goldammer-exif-e01c";
const FILE_NAME: &str = "Goldammer-filename-34fd";
const CONTENT: &str = "Goldammer-content-b6e9";
const TEXT: &str = "Goldammer-writtennote-90aa";
const SPOKEN: &str = "Goldammer-recorded-1d4b";
const PERSON: &str = "Goldammer-person-c3c3";
const PASSPHRASE: &str = "Goldammer-passphrase-f00d";
const PASSWORD: &str = "Goldammer-password-beef";
/// Tenths of a millidegree: a decimal that stands nowhere by accident.
const LATITUDE: &str = "47.378134";
const LONGITUDE: &str = "8.540271";

fn canaries() -> Vec<Canary> {
    let words = [NOTE, TAG, PROJECT, EXIF, FILE_NAME, CONTENT, TEXT, SPOKEN, PERSON, PASSPHRASE, PASSWORD];
    let places = [LATITUDE, LONGITUDE];
    let text = words.iter().chain(&places).map(|word| Canary::new(word, word));
    let numbers = places.iter().map(|place| {
        let number: f64 = place.parse().unwrap();
        // As SQLite stores a REAL, and as memory holds it.
        Canary::of_bytes(place, &number.to_be_bytes())
    });
    let swapped = places.iter().map(|place| Canary::of_bytes(place, &place.parse::<f64>().unwrap().to_le_bytes()));
    text.chain(numbers).chain(swapped).collect()
}

/// Runs the command as talkative as it gets and keeps what it logged. What it tells the person at the terminal of the path
/// that this person just named is an answer and no log.
fn loud(client: &Client, logs: &Path, arguments: &[&str], exits: &[i32]) -> serde_json::Value {
    let answer = client.ask(&[&["-vvv"], arguments].concat()).unwrap();
    assert!(exits.contains(&answer.code), "{arguments:?} exits {}: {} {}", answer.code, answer.json, answer.words);
    let number = fs::read_dir(logs).unwrap().count();
    let is_log = |line: &&str| !line.starts_with("warning: not captured: ");
    let log: Vec<&str> = answer.words.lines().filter(is_log).collect();
    fs::write(logs.join(format!("{number:02}-{}.log", arguments[0])), log.join("\n")).unwrap();
    answer.json
}

#[test]
fn a_canary_is_found_nowhere_and_nobody_else_has_rights() {
    let mut station = Station::new().unwrap();
    let [temporary, home, logs, device, sources] = ["tmp", "home", "logs", "device", "sources"].map(|name| {
        let path = station.path(name);
        fs::create_dir(&path).unwrap();
        path
    });
    // Temporary files of a library would appear in the first two.
    let places: Vec<(&str, OsString)> = vec![
        ("TMPDIR", temporary.clone().into()),
        ("SQLITE_TMPDIR", temporary.clone().into()),
        ("HOME", home.clone().into()),
    ];

    // The folder's umask would hide nothing: whatever is not for its owner alone was made so by the programs.
    let data = station.server_data();
    station.start_server_on(&data, &["--log", "trace"], &places).unwrap();

    let password = station.write("password-canary", PASSWORD.as_bytes()).unwrap().to_string_lossy().into_owned();
    let passphrase = station.write("passphrase-canary", PASSPHRASE.as_bytes()).unwrap();
    let mut client = Client::new(station.programs(), &device).unwrap().with_passphrase_file(&passphrase);
    client = client.with_environment("SNAPTRAK_CACHE", station.cache.folder());
    for (name, value) in places.clone() {
        client = client.with_environment(name, value);
    }
    // Every library as well, not only ours.
    let client = client.with_environment("SNAPTRAK_LOG", "trace");
    let say = |arguments: &[&str], exits: &[i32]| loud(&client, &logs, arguments, exits);

    let photo = fs::read(station.cache.picture("coffee_turned.jpg").unwrap()).unwrap();
    let in_sources = |name: &str, bytes: &[u8]| {
        let path = sources.join(name);
        fs::write(&path, bytes).unwrap();
        path.to_string_lossy().into_owned()
    };
    let picture = in_sources(&format!("{FILE_NAME}.jpg"), &jpeg_with_text(&photo, EXIF));
    let text = in_sources(&format!("{FILE_NAME}.txt"), format!("words before {CONTENT} words after").as_bytes());
    let broken = in_sources(&format!("{FILE_NAME}-half.jpg"), &jpeg_with_text(&photo, EXIF)[..9_000]);
    let missing = sources.join(format!("{FILE_NAME}-missing")).to_string_lossy().into_owned();
    let place = format!("{LATITUDE},{LONGITUDE},12");
    let labels = ["--note", NOTE, "--tag", TAG, "--project", PROJECT, "--location", &place];

    say(&["init"], &[0]);
    let account = ["--server", &station.url(), "--email", EMAIL, "--password-file", &password, "--name", PERSON];
    say(&[&["sign-up"], &account[..]].concat(), &[0]);
    let taken = say(&[&["capture", &picture, &text, &broken, &missing, "/dev/null"], &labels[..]].concat(), &[1]);
    let taken = captures(&taken);
    assert_eq!(taken.len(), 3);
    say(&["note", TEXT, "--tag", TAG, "--project", PROJECT], &[0]);
    record(&client, &logs);
    say(&["analyse"], &[6]);
    station.stop_server();
    say(&["sync"], &[5]);
    station.start_server_on(&data, &["--log", "trace"], &places).unwrap();
    say(&["sync"], &[0]);
    for arguments in [&["list"][..], &["status"], &["verify"], &["show", &taken[0].id], &["why", &taken[0].id]] {
        say(arguments, &[0]);
    }
    let out = station.path("out").to_string_lossy().into_owned();
    say(&["view", &taken[0].id, "-o", &out], &[0]);
    say(&["annotate", &taken[0].id, "-o", &station.path("out.png").to_string_lossy()], &[0]);
    let wrong_passphrase = station.write("wrong-passphrase", format!("{PASSPHRASE}x").as_bytes()).unwrap();
    loud(&client.clone().with_passphrase_file(&wrong_passphrase), &logs, &["status"], &[3]);
    let wrong_password = station.write("wrong-password", format!("{PASSWORD}x").as_bytes()).unwrap();
    let wrong_password = wrong_password.to_string_lossy().into_owned();
    say(&["sign-in", "--server", &station.url(), "--email", EMAIL, "--password-file", &wrong_password], &[1]);

    the_search_would_find_them(&station, &sources);
    let mut found = Vec::new();
    let watched = [&client.store, &temporary, &home, &logs, &data, &data.with_extension("log")];
    for path in watched {
        assert!(path.exists(), "{}", path.display());
        found.extend(traces(path, &canaries()));
    }
    assert_eq!(found, Vec::<String>::new());
    let server_log = fs::read_to_string(data.with_extension("log")).unwrap();
    assert!(server_log.contains("DEBUG") && server_log.contains("/v1/records"), "the server logged what it did");
    let logs = fs::read_dir(&logs).unwrap().map(|entry| fs::read_to_string(entry.unwrap().path()).unwrap());
    let client_log: String = logs.collect();
    assert!(client_log.contains("TRACE"), "the client and its libraries logged everything");
    assert!(!client_log.contains("Bearer ") && !server_log.contains("Bearer "), "a token is no matter for a log");
    assert_eq!(open_to_others(&client.store), Vec::<PathBuf>::new());
    assert_eq!(open_to_others(&data), Vec::<PathBuf>::new());
    let left = |folder: &Path| fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path()).collect::<Vec<_>>();
    assert_eq!((left(&temporary), left(&home)), (vec![], vec![]), "nothing is left in temporary and home folders");
}

fn record(client: &Client, logs: &Path) {
    let mut command = client.command(&["-vvv", "record", "--kind", "audio", "--note", NOTE]);
    let mut child = command.stdin(std::process::Stdio::piped()).spawn().unwrap();
    std::io::Write::write_all(&mut child.stdin.take().unwrap(), SPOKEN.repeat(10_000).as_bytes()).unwrap();
    let output = child.wait_with_output().unwrap();
    assert!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr));
    fs::write(logs.join("record.log"), output.stderr).unwrap();
}

/// A search that finds nothing anywhere proves nothing.
fn the_search_would_find_them(station: &Station, sources: &Path) {
    let found = traces(sources, &canaries()).join("\n");
    for word in [EXIF, FILE_NAME, CONTENT] {
        assert!(found.contains(word), "{word} is in the files that were captured");
    }
    assert!(!traces(&station.path("passphrase-canary"), &canaries()).is_empty());
}

/// With the umask that leaves everything open, the programs' own files are still their owner's alone.
#[test]
fn a_careless_umask_opens_nothing() {
    let mut station = Station::new().unwrap();
    station.start_server(&[]).unwrap();
    let folder = station.path("careless");
    fs::create_dir(&folder).unwrap();
    let client = Client::new(station.programs(), &folder).unwrap();
    let photo = station.cache.picture("coffee_turned.jpg").unwrap();
    let (url, password) = (station.url(), station.password_file());
    let careless = |arguments: &[&str]| {
        let command = client.command(arguments);
        let mut shell = Command::new("sh");
        shell.args(["-c", "umask 000; exec \"$0\" \"$@\""]).arg(command.get_program()).args(command.get_args());
        let output = shell.output().unwrap();
        assert!(
            output.status.success(),
            "{}{}",
            String::from_utf8_lossy(&output.stdout),
            String::from_utf8_lossy(&output.stderr)
        );
    };
    careless(&["init"]);
    careless(&["sign-up", "--server", &url, "--email", EMAIL, "--password-file", password.to_str().unwrap()]);
    careless(&["capture", photo.to_str().unwrap()]);
    careless(&["note", "open to nobody"]);
    careless(&["sync"]);
    let out = station.path("careless-view");
    careless(&["view", &captured_id(&client), "-o", out.to_str().unwrap()]);
    assert_eq!(open_to_others(&client.store), Vec::<PathBuf>::new());
    assert_eq!(open_to_others(&out), Vec::<PathBuf>::new(), "what leaves the store is its owner's too");
}

fn captured_id(client: &Client) -> String {
    client.tell(&["list"]).unwrap()["captures"][0]["id"].as_str().unwrap().to_owned()
}
