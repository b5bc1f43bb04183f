//! `models`: which models are in use on this device, and how the organisation's newer ones come into use, from a folder or from
//! its server.

use super::fetch::cancelled_by_signal;
use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, progress::Bar, session};
use serde::Serialize;
use snaptrak::{
    ActivateModels, Budget, ModelInUse, ModelsActivated, ModelsReport, ModelsUpdated, ModelsVersion, PinnedTrust,
    Sha256Digest, UpdateModels, UpdateOutcome, VerifiedModels,
};
use std::{
    fs,
    path::{Path, PathBuf},
};

/// What stands for the models that came with the app.
const PACKAGED: &str = "packaged";

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    #[command(subcommand)]
    action: Action,
}

#[derive(Debug, clap::Subcommand)]
enum Action {
    /// Say which models are in use, and which versions lie on this device
    List,
    /// Check every file and every signature of the versions that may be used
    Verify(Trust),
    /// Test a signed version on this device, and use it from then on if it works
    Activate(Activate),
    /// Ask the organisation's server for newer models, and use them from then on if they work
    Update(Update),
    /// Use the version before again, or the packaged models
    Rollback,
}

#[derive(Debug, clap::Args)]
struct Activate {
    /// The signed manifest
    signed: PathBuf,
    /// Folder with the files that it names
    #[arg(long, value_name = "DIR")]
    from: PathBuf,
    #[command(flatten)]
    trust: Trust,
}

#[derive(Debug, clap::Args)]
struct Update {
    /// End cleanly after so many milliseconds; what has arrived waits for the next time
    #[arg(long, value_name = "N")]
    budget_ms: Option<u64>,
    /// Begin no download of more bytes; 0 asks only what there is
    #[arg(long, value_name = "N")]
    budget_bytes: Option<u64>,
    /// Try a version again that was refused before
    #[arg(long)]
    again: bool,
}

/// For a device that belongs to no account yet.
#[derive(Debug, clap::Args)]
struct Trust {
    /// The organisation's trust bundle; that of this device's account otherwise
    #[arg(long, value_name = "FILE", requires = "trust_root")]
    trust: Option<PathBuf>,
    /// SHA-256 of the organisation's raw root key
    #[arg(long, value_name = "SHA256", value_parser = str::parse::<Sha256Digest>, requires = "trust")]
    trust_root: Option<Sha256Digest>,
}

#[derive(Serialize)]
struct ListShape {
    /// `null` for the packaged models.
    in_use: Option<u64>,
    models: Vec<Model>,
    versions: Vec<Version>,
    newest: Option<u64>,
    refused: Option<Refused>,
}

#[derive(Serialize)]
struct Model {
    id: String,
    task: &'static str,
    version: String,
}

#[derive(Serialize)]
struct Version {
    version: u64,
    bytes: u64,
    active: bool,
    previous: bool,
}

#[derive(Serialize)]
struct Refused {
    version: u64,
    because: &'static str,
}

#[derive(Serialize)]
struct ActivateShape {
    version: u64,
    activated: bool,
    rolled_back: Option<String>,
    #[serde(flatten)]
    list: ListShape,
}

#[derive(Serialize)]
struct UpdateShape {
    outcome: &'static str,
    /// What the server has, if that is news.
    version: Option<u64>,
    files: u64,
    bytes: u64,
    left_bytes: u64,
    rolled_back: Option<String>,
    #[serde(flatten)]
    list: ListShape,
}

#[derive(Serialize)]
struct VerifyShape {
    versions: Vec<Verified>,
}

#[derive(Serialize)]
struct Verified {
    version: Option<u64>,
    ok: bool,
    signature_ok: Option<bool>,
    failure: Option<String>,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    match &arguments.action {
        Action::List => list(globals, output),
        Action::Verify(trust) => verify(trust, globals, output),
        Action::Activate(activate) => self::activate(activate, globals, output),
        Action::Update(update) => self::update(update, globals, output),
        Action::Rollback => rollback(globals, output),
    }
}

fn list(globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let report = session::with_store(globals, output, |sdk| Ok(sdk.models()?))?;
    output.result("snaptrak.models_list/1", &ListShape::from(report), words)?;
    Ok(Exit::Done)
}

fn rollback(globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let report = session::with_store(globals, output, |sdk| Ok(sdk.rollback_models()?))?;
    output.result("snaptrak.models_rollback/1", &ListShape::from(report), words)?;
    Ok(Exit::Done)
}

fn activate(arguments: &Activate, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let signed = read(&arguments.signed, "the signed manifest")?;
    let request = ActivateModels { signed, files: arguments.from.clone(), trust: pinned(&arguments.trust)? };
    let activated = session::with_store(globals, output, |sdk| Ok(sdk.activate_models(&request)?))?;
    let ModelsActivated { version, rolled_back, report } = activated;
    let shape = ActivateShape { version, activated: rolled_back.is_none(), rolled_back, list: ListShape::from(report) };
    output.result("snaptrak.models_activate/1", &shape, |shape| {
        let head = match &shape.rolled_back {
            None => format!("version {} works on this device and is in use", shape.version),
            Some(why) => format!("version {} does not work on this device and is not used: {why}", shape.version),
        };
        format!("{}\n\n{}", human::printable(&head), words(&shape.list))
    })?;
    Ok(if shape.activated { Exit::Done } else { Exit::Damaged })
}

fn update(arguments: &Update, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let budget = Budget { time_ms: arguments.budget_ms, bytes: arguments.budget_bytes };
    let what = UpdateModels { budget, again: arguments.again };
    let updated = session::with_store(globals, output, |sdk| {
        Ok(sdk.update_models_until(what, &Bar::new(output), &cancelled_by_signal()?)?)
    })?;
    let ModelsUpdated { outcome, version, files, bytes, left_bytes, rolled_back, report } = updated;
    let list = ListShape::from(report);
    let shape = UpdateShape { outcome: outcome.as_str(), version, files, bytes, left_bytes, rolled_back, list };
    output.result("snaptrak.models_update/1", &shape, |shape| {
        let head = said(outcome, shape);
        format!("{}\n\n{}", human::printable(&head), words(&shape.list))
    })?;
    Ok(match outcome {
        UpdateOutcome::UpToDate | UpdateOutcome::Activated | UpdateOutcome::NotForThisDevice => Exit::Done,
        UpdateOutcome::RolledBack | UpdateOutcome::RefusedBefore => Exit::Damaged,
        UpdateOutcome::BudgetBytes | UpdateOutcome::BudgetTime => Exit::Incomplete,
    })
}

fn said(outcome: UpdateOutcome, shape: &UpdateShape) -> String {
    let version = shape.version.map_or_else(|| "the newest version".to_owned(), |version| format!("version {version}"));
    let came = human::size(shape.bytes);
    match outcome {
        UpdateOutcome::UpToDate => "there are no newer models".to_owned(),
        UpdateOutcome::Activated => format!("{version} works on this device and is in use ({came} came)"),
        UpdateOutcome::RolledBack => {
            let why = shape.rolled_back.as_deref().unwrap_or_default();
            format!("{version} does not work on this device and is not used: {why}")
        }
        UpdateOutcome::RefusedBefore => format!("{version} was refused before; --again tries it again"),
        UpdateOutcome::NotForThisDevice => format!("{version} is not for this device yet"),
        UpdateOutcome::BudgetBytes => format!("{version} needs {} more", human::size(shape.left_bytes)),
        UpdateOutcome::BudgetTime => {
            format!("the time is over: {came} came, {} are missing", human::size(shape.left_bytes))
        }
    }
}

fn verify(trust: &Trust, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let pinned = pinned(trust)?;
    let verified = session::with_store(globals, output, |sdk| Ok(sdk.verify_models(pinned.as_ref())?))?;
    let shape = VerifyShape { versions: verified.versions.into_iter().map(Verified::from).collect() };
    output.result("snaptrak.models_verify/1", &shape, |shape| {
        let rows: Vec<[String; 3]> = shape.versions.iter().map(Verified::row).collect();
        human::table(["VERSION", "SIGNATURE", "FILES"], &rows)
    })?;
    Ok(if shape.versions.iter().all(|version| version.ok) { Exit::Done } else { Exit::Damaged })
}

fn pinned(trust: &Trust) -> Result<Option<PinnedTrust>, Error> {
    let (Some(path), Some(root)) = (&trust.trust, trust.trust_root) else { return Ok(None) };
    Ok(Some(PinnedTrust { bundle: read(path, "the trust bundle")?, root }))
}

fn read(path: &Path, what: &'static str) -> Result<Vec<u8>, Error> {
    fs::read(path).map_err(|source| Error::Read { what, source })
}

fn name(version: Option<u64>) -> String {
    version.map_or_else(|| PACKAGED.to_owned(), |version| version.to_string())
}

fn words(shape: &ListShape) -> String {
    let rows: Vec<[String; 3]> =
        shape.models.iter().map(|model| [model.id.clone(), model.task.to_owned(), model.version.clone()]).collect();
    let mut text = format!("in use: {}\n{}", name(shape.in_use), human::table(["MODEL", "TASK", "VERSION"], &rows));
    if !shape.versions.is_empty() {
        let rows: Vec<[String; 3]> = shape.versions.iter().map(Version::row).collect();
        text = format!("{text}\n\n{}", human::table(["VERSION", "SIZE", "STATE"], &rows));
    }
    if let Some(Refused { version, because }) = shape.refused {
        text = format!("{text}\n\nversion {version} was refused: {because}");
    }
    text
}

impl Version {
    fn row(&self) -> [String; 3] {
        let state = match (self.active, self.previous) {
            (true, _) => "active",
            (false, true) => "previous",
            (false, false) => "",
        };
        [self.version.to_string(), human::size(self.bytes), state.to_owned()]
    }
}

impl Verified {
    fn row(&self) -> [String; 3] {
        let signature = match self.signature_ok {
            Some(true) => "holds",
            Some(false) => "does not hold",
            None => "not checked",
        };
        let files = self.failure.clone().unwrap_or_else(|| "whole".to_owned());
        [name(self.version), signature.to_owned(), files]
    }
}

impl From<VerifiedModels> for Verified {
    fn from(verified: VerifiedModels) -> Self {
        let VerifiedModels { version, signature_ok, failure } = verified;
        Self { version, ok: failure.is_none(), signature_ok, failure }
    }
}

impl From<ModelsReport> for ListShape {
    fn from(report: ModelsReport) -> Self {
        let model = |ModelInUse { id, task, version }: ModelInUse| Model { id, task: task.as_str(), version };
        let version = |ModelsVersion { version, bytes, active, previous }: ModelsVersion| Version {
            version,
            bytes,
            active,
            previous,
        };
        Self {
            in_use: report.in_use,
            models: report.models.into_iter().map(model).collect(),
            versions: report.versions.into_iter().map(version).collect(),
            newest: report.newest,
            refused: report.refused.map(|(version, because)| Refused { version, because }),
        }
    }
}
