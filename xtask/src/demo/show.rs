//! What the demo shows: findings in words and pictures, what waits, the contact sheet and the summary.

use std::collections::BTreeMap;
use std::fs;
use std::path::Path;
use std::process::Command;

use serde_json::Value;
use snaptrak_driver::Client;

use crate::cache::Cache;
use crate::error::{AtPath, Result};
use crate::python::{self, Set};
use crate::{process, terminal};

/// Makes one picture of all annotated ones; Pillow does it, since nothing of the SDK is linked here.
const CONTACT_SHEET: &str = include_str!("contact_sheet.py");

/// Everything that is known of each capture, asked once: each question opens the store anew, with its passphrase.
pub(super) fn all(client: &Client, ids: &[String]) -> Result<Vec<Value>> {
    Ok(ids.iter().map(|id| client.tell(&["show", id])).collect::<std::result::Result<_, _>>()?)
}

/// The id of a capture that was shown.
pub(super) fn id(shown: &Value) -> &str {
    shown["id"].as_str().unwrap_or_default()
}

/// Prints what was found and counts it by task.
pub(super) fn findings(shown: &[Value], counts: &mut BTreeMap<String, u64>) {
    for shown in shown {
        let found = shown["findings"].as_array().cloned().unwrap_or_default();
        let mut words = Vec::new();
        for finding in &found {
            let boxes = finding["boxes"].as_array().cloned().unwrap_or_default();
            *counts.entry(finding["task"].as_str().unwrap_or_default().to_owned()).or_default() += boxes.len() as u64;
            for seen in &boxes {
                words.push(format!(
                    "{} {:.2}",
                    seen["label"].as_str().unwrap_or_default(),
                    seen["score"].as_f64().unwrap_or(0.0)
                ));
            }
        }
        let steps = shown["steps"].as_array().cloned().unwrap_or_default();
        let parked = steps.iter().find(|step| step["step"] == "analyse" && step["state"] == "parked");
        let line = match parked {
            Some(step) => format!("set aside: {}", step["code"].as_str().unwrap_or_default()),
            None if found.is_empty() => continue,
            None if words.is_empty() => "nothing that these models know".to_owned(),
            None => words.join(", "),
        };
        terminal::progress(&format!("   {}  {line}", id(shown)));
    }
}

/// Writes the pictures with what was found drawn on them.
pub(super) fn annotated(client: &Client, shown: &[Value], folder: &Path) -> Result<()> {
    for shown in shown.iter().filter(|shown| shown["findings"].as_array().is_some_and(|found| !found.is_empty())) {
        let file = folder.join(format!("{}.jpg", id(shown)));
        client.tell(&["annotate", id(shown), "-o", &file.to_string_lossy()])?;
    }
    Ok(())
}

/// Prints how much waits and one answer to "why?".
pub(super) fn waiting(client: &Client, ids: &[String]) -> Result<()> {
    let status = client.tell(&["status"])?;
    terminal::progress(&format!("   {} captures wait, {} sealed bytes", status["waiting"], status["waiting_bytes"]));
    if let Some(first) = ids.first() {
        let why = client.tell(&["why", first])?;
        terminal::progress(&format!(
            "   {first} is {} because {}, unblocked by {}",
            why["state"].as_str().unwrap_or_default(),
            why["code"].as_str().unwrap_or_default(),
            why["unblocked_by"].as_str().unwrap_or_default()
        ));
    }
    Ok(())
}

/// Writes the contact sheet and the summary.
pub(super) fn write(cache: &Cache, out: &Path, ids: &[String], summary: &Value) -> Result<()> {
    let sheet = out.join("contact-sheet.jpg");
    let mut pillow = Command::new(python::interpreter(Set::Tools, cache)?);
    pillow.args(["-c", CONTACT_SHEET]).arg(out.join("annotated")).arg(&sheet);
    process::run(&mut pillow)?;
    let mut text = String::from("# Demo\n\n");
    for key in ["captured", "analysed", "verified", "parked", "lost"] {
        text.push_str(&format!("- {key}: {}\n", summary[key]));
    }
    text.push_str(&format!("- findings: {}\n- seconds: {}\n\n", summary["findings"], summary["seconds"]));
    text.push_str("![contact sheet](contact-sheet.jpg)\n\nCaptures:\n\n");
    for id in ids {
        text.push_str(&format!("- `{id}`\n"));
    }
    let file = out.join("summary.md");
    fs::write(&file, text).at(&file)
}
