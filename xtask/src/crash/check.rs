//! After the last failure: everything is synced, listed, opened, and looked up at the server without our client.

use std::collections::{BTreeMap, BTreeSet};
use std::{fs, iter};

use serde::Serialize;
use serde_json::Value;
use snaptrak_driver::{Account, Client};

use super::evidence::Acknowledged;
use super::ground::{EMAIL, PASSWORD, Site};
use crate::error::{AtPath, Result};
use crate::{cache, terminal};

/// Windows until everything must have been brought: one does the work, the others let delayed retries come due.
const SYNCS_MAX: usize = 10;

/// The state of a capture whose bytes are at the server only, and the code of the answer of whoever wants to see them.
const PURGED: &str = "purged";

/// A capture as `list` shows it.
#[derive(Debug)]
pub(super) struct Listed {
    pub(super) id: String,
    pub(super) sha256: String,
    pub(super) state: String,
}

/// What is left of what was acknowledged.
#[derive(Debug, Default, Serialize)]
pub(super) struct Tally {
    /// Captures whose line was printed.
    pub(super) acknowledged: u64,
    /// Of these, listed at the end.
    pub(super) present: u64,
    /// Of these, opened with the digest that was acknowledged, here or once they were fetched back.
    pub(super) opened: u64,
    /// Of these, purged: listed as that and not opened without a fetch.
    pub(super) purged: u64,
    /// Of those that were purged, fetched back and opened with the digest that was acknowledged.
    pub(super) fetched: u64,
    /// Of what was acknowledged, verified at the server once.
    pub(super) verified_once: u64,
    /// Captures or pieces that are there more than once, on the device or at the server.
    pub(super) duplicates: u64,
    /// Acknowledged and not present, not opened or not verified.
    pub(super) lost: u64,
    /// Purges that were told and are not seen any more: captures that should be listed as purged.
    pub(super) unpurged: u64,
}

impl Tally {
    /// What every trial asks of it.
    pub(super) fn conditions(&self) -> [(bool, &'static str); 4] {
        [
            (self.lost == 0, "something acknowledged was lost"),
            (self.duplicates == 0, "something is there twice"),
            (self.unpurged == 0, "a purge was told and its capture is not purged"),
            (self.acknowledged > 0, "nothing was acknowledged, so that nothing was tried"),
        ]
    }
}

/// Brings everything to the server and back, and counts.
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
    let mut seen = look(&site.client, acknowledged)?;
    seen.fetch(&site.client, acknowledged)?;
    let mut tally = seen.tally(acknowledged);
    tally.duplicates += at_server.values().map(|count| count - 1).sum::<u64>();
    tally.lost = 0;
    for (id, sha256) in acknowledged.iter() {
        let verified = at_server.contains_key(id) && is_verified_once(&account, id, sha256)?;
        tally.verified_once += u64::from(verified);
        tally.lost += u64::from(!verified || !seen.opened.contains(id));
        if !verified {
            let why = site.client.ask(&["why", id])?.json;
            terminal::progress(&format!("   {id} is not verified: {why}"));
        }
    }
    Ok(tally)
}

/// Lists and opens what was acknowledged. `lost` counts what is not present, and what is neither opened nor purged: of the
/// latter the bytes are at the server, where [`all`] looks for them at the end.
pub(super) fn on_device(client: &Client, acknowledged: &Acknowledged) -> Result<Tally> {
    Ok(look(client, acknowledged)?.tally(acknowledged))
}

/// What a device has of what was acknowledged, by id.
#[derive(Default)]
struct Seen {
    present: BTreeSet<String>,
    opened: BTreeSet<String>,
    purged: BTreeSet<String>,
    fetched: BTreeSet<String>,
    duplicates: u64,
    /// Captures that are listed as purged, acknowledged or not.
    listed_purged: u64,
}

fn look(client: &Client, acknowledged: &Acknowledged) -> Result<Seen> {
    let listed = listed(client)?;
    let states: BTreeMap<&str, &str> = listed.iter().map(|one| (one.id.as_str(), one.state.as_str())).collect();
    let contents: BTreeSet<&str> = listed.iter().map(|one| one.sha256.as_str()).collect();
    let mut seen = Seen {
        duplicates: (listed.len() - states.len().min(contents.len())) as u64,
        listed_purged: listed.iter().filter(|one| one.state == PURGED).count() as u64,
        ..Seen::default()
    };
    for (id, sha256) in acknowledged.iter() {
        let Some(state) = states.get(id) else {
            terminal::progress(&format!("   {id} is not listed"));
            continue;
        };
        seen.present.insert(id.to_owned());
        let opened = open(client, id)?;
        let set = if opened.is(sha256) && *state != PURGED {
            &mut seen.opened
        } else if opened == Opened::Purged && *state == PURGED {
            &mut seen.purged
        } else {
            terminal::progress(&format!("   {id} is {state} and gives {opened:?}"));
            continue;
        };
        set.insert(id.to_owned());
    }
    Ok(seen)
}

impl Seen {
    /// Brings the bytes of what was purged back, in one command, and opens them.
    fn fetch(&mut self, client: &Client, acknowledged: &Acknowledged) -> Result<()> {
        if self.purged.is_empty() {
            return Ok(());
        }
        let words = iter::once("fetch").chain(self.purged.iter().map(String::as_str));
        let answer = client.ask(&words.collect::<Vec<_>>())?;
        if answer.code != 0 {
            terminal::progress(&format!("   fetch ends with {}: {}{}", answer.code, answer.json, answer.words));
        }
        for (id, sha256) in acknowledged.iter().filter(|(id, _)| self.purged.contains(*id)) {
            let opened = open(client, id)?;
            if opened.is(sha256) {
                self.fetched.insert(id.to_owned());
                self.opened.insert(id.to_owned());
            } else {
                terminal::progress(&format!("   {id} was purged and gives {opened:?}"));
            }
        }
        Ok(())
    }

    fn tally(&self, acknowledged: &Acknowledged) -> Tally {
        let held = self.opened.union(&self.purged).count() as u64;
        let acknowledged_count = acknowledged.len() as u64;
        Tally {
            acknowledged: acknowledged_count,
            present: self.present.len() as u64,
            opened: self.opened.len() as u64,
            purged: self.purged.len() as u64,
            fetched: self.fetched.len() as u64,
            verified_once: 0,
            duplicates: self.duplicates,
            lost: acknowledged_count - held,
            unpurged: acknowledged.purged().saturating_sub(self.listed_purged),
        }
    }
}

/// What `view` gives.
#[derive(Debug, PartialEq, Eq)]
enum Opened {
    /// A file with this digest.
    Bytes(String),
    /// The answer that the bytes are at the server.
    Purged,
    /// Another answer, which was told.
    Refused,
}

impl Opened {
    fn is(&self, sha256: &str) -> bool {
        matches!(self, Self::Bytes(found) if found == sha256)
    }
}

fn open(client: &Client, id: &str) -> Result<Opened> {
    let file = client.scratch("viewed");
    let answer = client.ask(&["view".as_ref(), id.as_ref(), "-o".as_ref(), file.as_os_str()])?;
    if answer.code != 0 {
        if answer.json["code"] == PURGED {
            return Ok(Opened::Purged);
        }
        terminal::progress(&format!("   view {id} ends with {}: {}{}", answer.code, answer.json, answer.words));
        return Ok(Opened::Refused);
    }
    // Of the file itself, whatever the command says of it.
    let found = cache::sha256(&file)?;
    fs::remove_file(&file).at(&file)?;
    Ok(Opened::Bytes(found))
}

/// Whether `view` gives what is listed: the bytes, or that they are at the server only.
pub(super) fn opens(client: &Client, capture: &Listed) -> Result<bool> {
    let opened = open(client, &capture.id)?;
    Ok(if capture.state == PURGED { opened == Opened::Purged } else { opened.is(&capture.sha256) })
}

/// Every capture of the device.
pub(super) fn listed(client: &Client) -> Result<Vec<Listed>> {
    let mut captures = Vec::new();
    let mut after: Option<String> = None;
    let word = |capture: &Value, name: &str| capture[name].as_str().unwrap_or_default().to_owned();
    loop {
        let mut arguments = vec!["list".to_owned(), "--limit".to_owned(), "500".to_owned()];
        if let Some(after) = &after {
            arguments.extend(["--after".to_owned(), after.clone()]);
        }
        let page = client.tell(&arguments)?;
        captures.extend(page["captures"].as_array().into_iter().flatten().map(|capture| Listed {
            id: word(capture, "id"),
            sha256: word(capture, "sha256"),
            state: word(capture, "state"),
        }));
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

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;

    fn ids(ids: &[&str]) -> BTreeSet<String> {
        ids.iter().map(|id| (*id).to_owned()).collect()
    }

    #[test]
    fn what_was_purged_is_not_lost_and_what_is_neither_here_nor_purged_is() {
        let mut acknowledged = Acknowledged::default();
        ["a", "b", "c"].iter().for_each(|id| acknowledged.hold(id, "digest"));
        acknowledged.add(r#"{"purged":2}"#);
        let mut seen = Seen {
            present: ids(&["a", "b", "c"]),
            opened: ids(&["a"]),
            purged: ids(&["b"]),
            listed_purged: 1,
            ..Seen::default()
        };
        let tally = seen.tally(&acknowledged);
        assert_eq!((tally.opened, tally.purged, tally.lost, tally.unpurged), (1, 1, 1, 1));
        assert!(tally.conditions().iter().any(|(holds, _)| !holds));
        seen.opened.extend(["b", "c"].map(str::to_owned));
        seen.listed_purged = 2;
        let tally = seen.tally(&acknowledged);
        assert_eq!((tally.opened, tally.purged, tally.lost, tally.unpurged), (3, 1, 0, 0));
        assert!(tally.conditions().iter().all(|(holds, _)| *holds));
    }
}
