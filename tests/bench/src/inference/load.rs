//! Loading the detector in a process that has loaded nothing before: each round is a process of its own, on both sides, and what
//! counts is from the file to a session that is ready, the library itself being there.

use super::{DETECTOR, THREADS, open, options, peer::Place};
use crate::{
    answer::{self, Row},
    measure::{Better, Figure, pair, seconds},
};
use snaptrak_inference::{Manifest, verify};
use std::{
    error::Error,
    path::{Path, PathBuf},
    process::Command,
};

/// Ours may take a tenth more.
const TARGET: f64 = 1.0 / 1.1;

/// Milliseconds beside Python's.
pub(super) fn cold(name: &str, engine: &str, place: &Place, rounds: usize) -> Result<Row, Box<dyn Error>> {
    let model = detector(engine, place)?;
    let figure = Figure { name, unit: "ms", better: Better::Smaller, target: Some(TARGET), rounds };
    let threads = THREADS[1].to_string();
    pair(
        &figure,
        &mut || {
            let mut child = Command::new(std::env::current_exe()?);
            child.args(["load", "--only", engine, "--folder"]).arg(&place.cache);
            Ok(number(&mut child)? / 1e6)
        },
        &mut || {
            let mut python = place.python();
            python.args(["load", engine]).arg(&model).arg(&threads);
            Ok(number(&mut python)? * 1e3)
        },
        None,
    )
}

fn detector(engine: &str, place: &Place) -> Result<PathBuf, Box<dyn Error>> {
    let manifest = Manifest::load(&place.models())?;
    let model = manifest.model(DETECTOR).ok_or("there is no detector")?;
    let variant = model.variant_for(engine).ok_or("the detector has no file for this engine")?;
    Ok(verify(&place.models(), model, variant)?.path)
}

/// Child: loads the detector and tells how many nanoseconds that took.
pub(crate) fn tell(engine: &str, cache: &Path) -> Result<(), Box<dyn Error>> {
    let place = Place { cache: cache.to_owned() };
    let path = detector(engine, &place)?;
    let engine = open(engine, &place)?;
    let model = snaptrak_domain::engine::ModelFile { path, model_id: DETECTOR.to_owned() };
    let mut session = None;
    let taken = seconds(|| {
        session = Some(engine.load(&model, options(THREADS[1]))?);
        Ok(())
    })?;
    drop(session);
    answer::tell((taken * 1e9) as u64);
    Ok(())
}

/// The number that a process prints, with or without a mark before it.
fn number(command: &mut Command) -> Result<f64, Box<dyn Error>> {
    let output = command.output()?;
    if !output.status.success() {
        return Err(String::from_utf8_lossy(&output.stderr).into());
    }
    let said = String::from_utf8(output.stdout)?;
    let last = said.lines().last().ok_or("the process said nothing")?;
    Ok(last.trim_start_matches("= ").trim().parse()?)
}
