//! After the last kill: everything is synced, listed, opened, and looked up at the server without our client.

use std::collections::{BTreeMap, BTreeSet};

use serde_json::Value;
use snaptrak_driver::{Account, Client, Server};

use super::Outcome;
use super::evidence::Acknowledged;
use crate::error::Result;
use crate::terminal;

/// Windows until everything must have been brought: one does the work, the others let delayed retries come due.
const SYNCS_MAX: usize = 10;

pub(super) fn all(
    client: &Client,
    server: &Server,
    (email, password): (&str, &str),
    acknowledged: &Acknowledged,
    outcome: &mut Outcome,
) -> Result<()> {
    terminal::progress("   no more kills: bringing everything");
    for _ in 0..SYNCS_MAX {
        let answer = client.ask(&["sync"])?;
        if answer.code == 0 {
            break;
        }
        terminal::progress(&format!("   sync ends with {}: {}", answer.code, answer.json));
    }
    let listed = listed(client)?;
    let account = Account::sign_in(&server.url, email, password)?;
    let mut at_server: BTreeMap<String, u64> = BTreeMap::new();
    for capture in account.captures()? {
        *at_server.entry(capture["id"].as_str().unwrap_or_default().to_owned()).or_default() += 1;
    }
    outcome.duplicates = at_server.values().map(|count| count - 1).sum();
    outcome.acknowledged = acknowledged.len() as u64;
    for (id, sha256) in acknowledged.iter() {
        let present = listed.contains(id);
        let opened = present && client.ask(&["view", id, "-o", &view_file(client)])?.json["sha256"] == *sha256;
        let verified = at_server.contains_key(id) && is_verified_once(&account, id, sha256)?;
        outcome.present += u64::from(present);
        outcome.opened += u64::from(opened);
        outcome.verified_once += u64::from(verified);
        outcome.lost += u64::from(!(present && opened && verified));
        if !(present && opened && verified) {
            terminal::progress(&format!("   {id}: present {present}, opened {opened}, verified {verified}"));
        }
    }
    Ok(())
}

fn view_file(client: &Client) -> String {
    client.store.with_extension("viewed").to_string_lossy().into_owned()
}

fn listed(client: &Client) -> Result<BTreeSet<String>> {
    let mut ids = BTreeSet::new();
    let mut after: Option<String> = None;
    loop {
        let mut arguments = vec!["list".to_owned(), "--limit".to_owned(), "500".to_owned()];
        if let Some(after) = &after {
            arguments.extend(["--after".to_owned(), after.clone()]);
        }
        let page = client.tell(&arguments)?;
        ids.extend(
            page["captures"].as_array().into_iter().flatten().filter_map(|c| c["id"].as_str().map(str::to_owned)),
        );
        match page["next"].as_str() {
            Some(next) => after = Some(next.to_owned()),
            None => return Ok(ids),
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
