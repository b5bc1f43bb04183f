//! `cargo xtask demo`: the main job on real photos, told as it happens.
//!
//! Owns: the story (enrol, lose the network, capture, understand, try, come back, bring, prove) and its count. Everything
//! is done by the programs that a stranger would run; the proof at the end uses neither our client nor our server's word,
//! but the downloaded bytes, the organisation's key and a script on other people's libraries.

mod proof;
mod show;

use std::collections::BTreeMap;
use std::fs;
use std::path::{Path, PathBuf};
use std::time::Instant;

use serde::Serialize;
use serde_json::Value;

use crate::cache::Cache;
use crate::error::{AtPath, Error, Result};
use crate::python::Set;
use crate::{build, models, pictures, prerequisites, python, terminal};
use snaptrak_driver::{Client, Programs, Server};

/// What the demo signs up with, on a server that lives as long as the demo.
const EMAIL: &str = "field@example.org";
const PASSWORD: &str = "demo password, on loopback only";

/// Arguments of the command.
#[derive(clap::Args)]
pub(crate) struct Command {
    /// Where to write pictures and summary (default: a folder in the cache)
    #[arg(long, value_name = "DIR")]
    out: Option<PathBuf>,
    /// Keep the store and the server's data beside them
    #[arg(long)]
    keep: bool,
}

/// The last line of standard output.
#[derive(Default, Serialize)]
struct Summary {
    captured: u64,
    analysed: u64,
    verified: u64,
    parked: u64,
    lost: u64,
    findings: BTreeMap<String, u64>,
    seconds: Seconds,
    out: PathBuf,
}

#[derive(Default, Serialize)]
struct Seconds {
    capture: f64,
    analyse: f64,
    sync: f64,
    total: f64,
}

#[expect(clippy::disallowed_methods, reason = "a demo tells a person how long each part took")]
fn now() -> Instant {
    Instant::now()
}

/// Tells the story; an error unless every capture was verified and came back equal.
pub(crate) fn run(command: &Command, cache: &Cache) -> Result<()> {
    prerequisites::ensure()?;
    models::ensure(cache)?;
    pictures::ensure(cache)?;
    python::interpreter(Set::Judges, cache)?;
    let programs = build::programs()?;
    let out = command.out.clone().unwrap_or_else(|| cache.path("demo"));
    let work = out.join("work");
    for folder in [&out.join("annotated"), &work] {
        if folder.exists() {
            fs::remove_dir_all(folder).at(folder)?;
        }
        fs::create_dir_all(folder).at(folder)?;
    }
    let mut summary = Summary { out: out.clone(), ..Summary::default() };
    let started = now();
    let ids = tell(&programs, cache, &work, &out, &mut summary)?;
    summary.seconds.total = started.elapsed().as_secs_f64();
    show::write(cache, &out, &ids, &serde_json::to_value(&summary).unwrap_or_default())?;
    if !command.keep {
        fs::remove_dir_all(&work).at(&work)?;
    }
    let line = serde_json::to_string(&summary).map_err(|source| Error::Description { path: out, source })?;
    terminal::result(&line);
    if summary.captured > 0 && summary.verified == summary.captured && summary.lost == 0 {
        return Ok(());
    }
    Err(Error::Missing {
        what: format!("{} of {} captures verified, {} lost", summary.verified, summary.captured, summary.lost),
        next: "read the lines above; --keep keeps the store and the server's data".to_owned(),
    })
}

fn tell(programs: &Programs, cache: &Cache, work: &Path, out: &Path, summary: &mut Summary) -> Result<Vec<String>> {
    let password_file = work.join("password");
    fs::write(&password_file, PASSWORD).at(&password_file)?;
    let client = Client::new(programs, work).at(work)?;
    let client = client.with_cache(&cache.path(""), &models::runtime_library(cache)?);
    let data = work.join("server");

    terminal::progress("\n1. In the office: a store is made and the device enrols.");
    let server = Server::start(programs, &data, "127.0.0.1:0", &[])?;
    let (url, address) = (server.url.clone(), server.address().to_owned());
    client.tell(&["init"])?;
    let password = password_file.to_string_lossy().into_owned();
    client.tell(&["sign-up", "--server", &url, "--email", EMAIL, "--password-file", &password])?;

    terminal::progress("\n2. In the basement: no network. Photos, a note and a video are captured and sealed.");
    drop(server);
    let part = now();
    let files = pictures::files(cache)?;
    let ids = capture(&client, &files, summary)?;
    summary.seconds.capture = part.elapsed().as_secs_f64();

    terminal::progress("\n3. Understood on the spot.");
    let part = now();
    let answer = client.ask(&["analyse"])?;
    summary.analysed = answer.json["analysed"].as_u64().unwrap_or(0);
    summary.seconds.analyse = part.elapsed().as_secs_f64();
    let shown = show::all(&client, &ids)?;
    show::findings(&shown, &mut summary.findings);
    show::annotated(&client, &shown, &out.join("annotated"))?;

    terminal::progress("\n4. Still no network: what waits, and why?");
    let offline = client.ask(&["sync", "--budget-ms", "3000"])?;
    terminal::progress(&format!("   sync answers {} and exits {}", offline.json["stopped_because"], offline.code));
    show::waiting(&client, &ids)?;

    terminal::progress("\n5. Back upstairs: the network is there.");
    let part = now();
    let server = Server::start(programs, &data, &address, &[])?;
    let report = client.ask(&["sync"])?.json;
    summary.seconds.sync = part.elapsed().as_secs_f64();
    terminal::progress(&format!(
        "   {} requests, {} bytes sent, {} captures verified by the server's signature",
        report["requests"], report["bytes_sent"], report["verified"]
    ));
    count_states(&client, &ids, summary)?;
    let verify = client.ask(&["verify"])?.json;
    terminal::progress(&format!(
        "   receipts {}, signed {}, countersigned {}, chain {}",
        verify["receipts"], verify["signed"], verify["countersigned"], verify["chain_ok"]
    ));

    terminal::progress(
        "\n6. Proof without our client: every sealed piece is downloaded and opened with the organisation's key.",
    );
    summary.lost = proof::lost(cache, programs, &server, work, EMAIL, &shown)?;
    terminal::progress(&format!("   {} of {} originals came back equal", ids.len() as u64 - summary.lost, ids.len()));
    Ok(ids)
}

/// Captures everything and returns the ids.
fn capture(client: &Client, files: &[PathBuf], summary: &mut Summary) -> Result<Vec<String>> {
    let mut arguments: Vec<std::ffi::OsString> = vec!["capture".into()];
    arguments.extend(files.iter().map(|file| file.clone().into_os_string()));
    arguments.extend(["--project".into(), "demo".into(), "--tag".into(), "first light".into()]);
    let photos = client.tell(&arguments)?;
    let note = client.tell(&["note", "Water stain below the third window, about two metres wide."])?;
    let captures = |answer: &Value| answer["captures"].as_array().cloned().unwrap_or_default();
    let mut ids = Vec::new();
    for capture in captures(&photos).iter().chain(captures(&note).iter()) {
        terminal::progress(&format!(
            "   {} {:<6} {:>9} bytes  {}",
            capture["id"].as_str().unwrap_or_default(),
            capture["kind"].as_str().unwrap_or_default(),
            capture["bytes"],
            capture["state"].as_str().unwrap_or_default(),
        ));
        ids.extend(capture["id"].as_str().map(str::to_owned));
    }
    summary.captured = ids.len() as u64;
    Ok(ids)
}

fn count_states(client: &Client, ids: &[String], summary: &mut Summary) -> Result<()> {
    let listed = client.tell(&["list", "--limit", "1000"])?;
    let ours = |capture: &&Value| capture["id"].as_str().is_some_and(|id| ids.iter().any(|ours| ours == id));
    let captures = listed["captures"].as_array().cloned().unwrap_or_default();
    summary.verified = captures.iter().filter(ours).filter(|capture| capture["state"] == "verified").count() as u64;
    // What was set aside on the device (a picture without a decoder) is parked, and its original is verified all the same.
    let status = client.tell(&["status"])?;
    summary.parked = status["parked"].as_array().map_or(0, |parked| parked.len() as u64);
    Ok(())
}
