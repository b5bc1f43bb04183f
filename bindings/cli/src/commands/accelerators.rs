//! `accelerators`: what this device's accelerators are good for, and why.

use super::analyse::Moment;
use crate::{error::Error, exit::Exit, globals::Globals, human, output::Output, session};
use serde::Serialize;
use snaptrak::{AcceleratorsReport, Note, Sha256Digest, Standing, TryAccelerators, Verdict, VerdictCode};

/// What brings every verdict to an end, whatever it is.
const ALWAYS_TRIED_ON: [&str; 4] = ["library", "device", "driver", "model"];

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Measure what has no verdict yet, or one that is over
    #[arg(long = "try", conflicts_with = "forget")]
    measure: bool,
    /// Forget every verdict, so that all is measured again when it is next asked for
    #[arg(long)]
    forget: bool,
    /// Measure only this model; every model in use otherwise
    #[arg(long, value_name = "ID", requires = "measure")]
    model: Option<String>,
    /// Measure only this engine: ort, tflite
    #[arg(long, value_name = "ENGINE", requires = "measure")]
    engine: Option<String>,
    #[command(flatten)]
    moment: Moment,
}

#[derive(Serialize)]
struct Shape {
    accelerators: Vec<Entry>,
    /// What was odd about the files of this, as codes.
    notes: Vec<&'static str>,
}

#[derive(Serialize)]
struct Entry {
    engine: String,
    accelerator: &'static str,
    model_id: String,
    place: &'static str,
    verdict: &'static str,
    code: &'static str,
    strikes: u8,
    run_ms: Option<f64>,
    cpu_ms: Option<f64>,
    difference: Option<f32>,
    since_ms: i64,
    /// When it is tried again by itself; `null` where only a change does that, or where it is in use.
    retry_at_ms: Option<i64>,
    retry_on: [&'static str; 4],
    library: String,
    device: String,
    driver: String,
    model_sha256: Sha256Digest,
}

pub(crate) fn run(arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let report = session::with_store(globals, output, |sdk| {
        Ok(match (arguments.measure, arguments.forget) {
            (true, _) => {
                let (model, engine) = (arguments.model.clone(), arguments.engine.clone());
                sdk.try_accelerators(&TryAccelerators { model, engine, conditions: arguments.moment.conditions() })?
            }
            (false, true) => sdk.forget_accelerators()?,
            (false, false) => sdk.accelerators()?,
        })
    });
    output.result("snaptrak.accelerators/1", &Shape::from(report?), words)?;
    Ok(Exit::Done)
}

fn words(shape: &Shape) -> String {
    let mut text = if shape.accelerators.is_empty() {
        "nothing was measured yet: `snaptrak accelerators --try` does it now, `snaptrak analyse` when it is needed"
            .to_owned()
    } else {
        let rows: Vec<[String; 7]> = shape.accelerators.iter().map(Entry::row).collect();
        human::table(["ENGINE", "WHERE", "MODEL", "VERDICT", "MS", "CPU MS", "BECAUSE"], &rows)
    };
    for note in &shape.notes {
        text = format!("{text}\n\n{}", of_note(note));
    }
    text
}

impl Entry {
    fn row(&self) -> [String; 7] {
        let ms = |ms: Option<f64>| ms.map(|ms| format!("{ms:.1}")).unwrap_or_default();
        let place = if self.place == "background" { " (behind)" } else { "" };
        [
            self.engine.clone(),
            format!("{}{place}", self.accelerator),
            self.model_id.clone(),
            self.verdict.to_owned(),
            ms(self.run_ms),
            ms(self.cpu_ms),
            self.because(),
        ]
    }

    fn because(&self) -> String {
        let code = VerdictCode::ALL.into_iter().find(|code| code.as_str() == self.code);
        let sentence = code.map_or(self.code, of_code);
        let again = match (code.map(VerdictCode::standing), self.retry_at_ms) {
            (Some(Standing::Usable | Standing::Untried), _) => String::new(),
            (_, Some(at)) => {
                format!("; tried again after {}, or when the driver or library changes", human::moment(at))
            }
            (_, None) => "; tried again when the driver, library or model changes".to_owned(),
        };
        let strikes = match (self.strikes, self.verdict) {
            (0, _) | (_, "condemned") => String::new(),
            (strikes, _) => format!(" (strikes: {strikes})"),
        };
        format!("{sentence}{strikes}{again}")
    }
}

fn of_code(code: VerdictCode) -> &'static str {
    match code {
        VerdictCode::Untried => "not measured yet",
        VerdictCode::Usable => "right, and quicker than the processor",
        VerdictCode::Slow => "right, and not quick enough to be worth it",
        VerdictCode::NotOffered => "the engine finds none on this device",
        VerdictCode::NotPlaced => "it does not take the model as a whole",
        VerdictCode::Failed => "it failed while it was measured",
        VerdictCode::WrongAnswer => "its answer was not the processor's",
        VerdictCode::NotANumber => "its answer held what is no number",
        VerdictCode::Hung => "it did not answer in time",
        VerdictCode::Crashed => "the process crashed in it",
        VerdictCode::Died => "processes ended while it was at work",
        VerdictCode::Failing => "it failed again and again",
    }
}

fn of_note(note: &str) -> &str {
    let all = [
        (Note::VerdictsDamaged, "what was known could not be read: everything is measured again"),
        (Note::VerdictsNewer, "newer software wrote what was known: everything is measured again"),
        (Note::MarkerDamaged, "the marker could not be read: nothing is held against anybody"),
        (Note::MarkerUnavailable, "the marker cannot be written: only the processor is used"),
        (Note::InUse, "another instance has the accelerators: only the processor is used"),
        (Note::NotSaved, "a verdict could not be written: it holds for this run only"),
    ];
    all.into_iter().find(|(known, _)| known.as_str() == note).map_or(note, |(_, sentence)| sentence)
}

impl From<AcceleratorsReport> for Shape {
    fn from(report: AcceleratorsReport) -> Self {
        let AcceleratorsReport { verdicts, notes } = report;
        Self {
            accelerators: verdicts.into_iter().map(Entry::from).collect(),
            notes: notes.into_iter().map(Note::as_str).collect(),
        }
    }
}

impl From<Verdict> for Entry {
    fn from(verdict: Verdict) -> Self {
        let retry_at_ms = verdict.retry_at_ms().map(|at| at.0);
        let Verdict { candidate, circumstances, code, strikes, run_ms, cpu_ms, difference, since_ms, .. } = verdict;
        Self {
            engine: candidate.engine,
            accelerator: candidate.accelerator.as_str(),
            model_id: candidate.model_id,
            place: candidate.place.as_str(),
            verdict: code.standing().as_str(),
            code: code.as_str(),
            strikes,
            run_ms,
            cpu_ms,
            difference,
            since_ms: since_ms.0,
            retry_at_ms,
            retry_on: ALWAYS_TRIED_ON,
            library: circumstances.library,
            device: circumstances.device,
            driver: circumstances.driver,
            model_sha256: circumstances.model_sha256,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_code_and_every_note_has_a_sentence() {
        for code in VerdictCode::ALL {
            assert!(of_code(code).contains(' '), "{}", code.as_str());
        }
        for note in
            ["verdicts_damaged", "verdicts_newer", "marker_damaged", "marker_unavailable", "in_use", "not_saved"]
        {
            assert!(of_note(note).contains(' '), "{note}");
        }
    }
}
