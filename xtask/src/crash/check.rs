//! After the last failure: everything is synced, listed, opened, and looked up at the server without our client.

use std::collections::{BTreeMap, BTreeSet};

use serde::Serialize;
use serde_json::Value;
use snaptrak_driver::{Account, Client};

use super::evidence::Acknowledged;
use super::ground::{EMAIL, PASSWORD, Site};
use crate::error::Result;
use crate::terminal;

/// Windows until everything must have been brought: one does the work, the others let delayed retries come due.
const SYNCS_MAX: usize = 10;

/// What is left of what was acknowledged.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    /// Captures whose line was printed.
    pub(super) acknowledged: u64,
    /// Of these, listed at the end.
    pub(super) present: u64,
    /// Of these, opened with the digest that was acknowledged.
    pub(super) opened: u64,
    /// Of these, verified at the server once.
    pub(super) verified_once: u64,
    /// Captures or pieces that are there more than once, on the device or at the server.
    pub(super) duplicates: u64,
    /// Acknowledged and not present, not opened or not verified.
    pub(super) lost: u64,
}

impl Tally {
    /// What every trial asks of it.
    pub(super) fn conditions(&self) -> [(bool, &'static str); 3] {
        [
            (self.lost == 0, "something acknowledged was lost"),
            (self.duplicates == 0, "something is there twice"),
            (self.acknowledged > 0, "nothing was acknowledged, so that nothing was tried"),
        ]
    }
}

/// Brings everything to the server and counts.
pub(super) fn all(site: &Site, acknowledged: &Acknowledged) -> Result<Tally> {
    terminal::progress("   no more failures: bringing everything");
    for _ in 0..SYNCS_MAX {
        let answer = site.client.ask(&["sync"])?;
        if answer.code == 0 {
            break;
        }
        terminal::progress(&format!("   sync ends with {}: {}{}", answer.code, answer.json, answer.words));
    }
    let account = Account::sign_in(&site.server.url, EMAIL, PASSWORD)?;
    let mut at_server: BTreeMap<String, u64> = BTreeMap::new();
    for capture in account.captures()? {
        *at_server.entry(capture["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    let mut tally = on_device(&site.client, acknowledged)?;
    tally.duplicates += at_server.values().map(|count| count - 1).sum::<u64>();
    for (id, sha256) in acknowledged.iter() {
        let verified = at_server.contains_key(id) && is_verified_once(&account, id, sha256)?;
        tally.verified_once += u64::from(verified);
        if !verified {
            let why = site.client.ask(&["why", id])?.json;
            terminal::progress(&format!("   {id} is not verified: {why}"));
        }
    }
    tally.lost = tally.acknowledged - tally.verified_once.min(tally.opened);
    Ok(tally)
}

/// Lists and opens what was acknowledged; `lost` counts what is not present or not opened.
pub(super) fn on_device(client: &Client, acknowledged: &Acknowledged) -> Result<Tally> {
    let listed = listed(client)?;
    let ids: BTreeSet<&str> = listed.iter().map(|(id, _)| id.as_str()).collect();
    let contents: BTreeSet<&str> = listed.iter().map(|(_, sha256)| sha256.as_str()).collect();
    let twice = (listed.len() - ids.len().min(contents.len())) as u64;
    let mut tally = Tally { acknowledged: acknowledged.len() as u64, duplicates: twice, ..Tally::default() };
    for (id, sha256) in acknowledged.iter() {
        let present = ids.contains(id);
        let opened = present && client.ask(&["view", id, "-o", &view_file(client)])?.json["sha256"] == *sha256;
        tally.present += u64::from(present);
        tally.opened += u64::from(opened);
        if !opened {
            terminal::progress(&format!("   {id}: present {present}, opened {opened}"));
        }
    }
    tally.lost = tally.acknowledged - tally.opened;
    Ok(tally)
}

fn view_file(client: &Client) -> String {
    client.scratch("viewed").to_string_lossy().into_owned()
}

/// Every capture of the device: id and digest.
pub(super) fn listed(client: &Client) -> Result<Vec<(String, String)>> {
    let mut captures = Vec::new();
    let mut after: Option<String> = None;
    let word = |capture: &Value, name: &str| capture[name].as_str().unwrap_or_default().to_owned();
    loop {
        let mut arguments = vec!["list".to_owned(), "--limit".to_owned(), "500".to_owned()];
        if let Some(after) = &after {
            arguments.extend(["--after".to_owned(), after.clone()]);
        }
        let page = client.tell(&arguments)?;
        let page_captures = page["captures"].as_array().into_iter().flatten();
        captures.extend(page_captures.map(|capture| (word(capture, "id"), word(capture, "sha256"))));
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(captures),
        }
    }
}

/// One original, verified, with this digest, and each of its pieces once.
fn is_verified_once(account: &Account, id: &str, sha256: &str) -> Result<bool> {
    let capture = account.get(&format!("/v1/captures/{id}"))?;
    let originals: Vec<&Value> =
        capture["assets"].as_array().into_iter().flatten().filter(|asset| asset["rendition"] == "original").collect();
    let [original] = originals.as_slice() else { return Ok(false) };
    let pieces: Vec<u64> =
        original["pieces"].as_array().into_iter().flatten().filter_map(|piece| piece["index"].as_u64()).collect();
    let each_once = pieces.iter().copied().eq(0..pieces.len() as u64);
    Ok(original["state"] == "verified" && original["sha256"] == sha256 && each_once && !pieces.is_empty())
}
