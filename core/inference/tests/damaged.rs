//! Models with a few bytes changed, given to every library: whatever a file has become, the process that loads it lives, and so
//! does the one that runs what was loaded.
//!
//! The libraries run in children, which tell how far they came, so that one that dies is found with the change that killed it.
//! `SNAPTRAK_DAMAGED_ROUNDS` and `SNAPTRAK_DAMAGED_SEED` make it long and another.
#![cfg(unix)]
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{CPU, classic_library, engine, litert_library, manifest, model_for, wave};
use snaptrak_domain::engine::{Engine, ModelFile};
use snaptrak_inference::TfliteEngine;
use std::{
    ops::Range,
    os::unix::process::ExitStatusExt,
    path::Path,
    process::{Command, ExitStatus},
};

const TEST: &str = "no_change_to_a_file_ends_the_process_that_loads_and_runs_it";
/// Set in a child only: the library, and which changes it tries.
const CHILD: &str = "SNAPTRAK_DAMAGED_CHILD";
const ROUNDS: &str = "SNAPTRAK_DAMAGED_ROUNDS";
const SEED: &str = "SNAPTRAK_DAMAGED_SEED";
/// Changes of each model for each library in the gate; the long form has some thousands.
const ROUNDS_IN_THE_GATE: usize = 40;
/// Bytes of weights that are changed as anything else is; of more than that, most changes would be to weights.
const WEIGHTS_SMALL: usize = 64;

fn open(library: &str) -> Box<dyn Engine> {
    match library {
        "ort" => Box::new(engine()),
        "litert" => Box::new(TfliteEngine::open(&litert_library()).unwrap()),
        _ => Box::new(TfliteEngine::open(&classic_library()).unwrap()),
    }
}

/// Numbers that look like chance and are the same every time.
struct Noise(u64);

impl Noise {
    fn below(&mut self, end: usize) -> usize {
        self.0 ^= self.0 << 13;
        self.0 ^= self.0 >> 7;
        self.0 ^= self.0 << 17;
        (self.0 % end as u64) as usize
    }
}

/// The change with this number: a byte, or a word that becomes one of those at which arithmetic goes wrong.
fn change(bytes: &mut [u8], places: &[usize], seed: u64, number: usize) {
    let mut noise = Noise((seed ^ 0x9e37_79b9_7f4a_7c15).wrapping_mul(2 * number as u64 + 1) | 1);
    noise.below(1);
    let at = places[noise.below(places.len())];
    if noise.below(4) > 0 {
        bytes[at] ^= 1 + noise.below(255) as u8;
        return;
    }
    let words = [0, 1, 2, 0xff, 0xffff, 0x7fff_ffff, 0x8000_0000, u32::MAX - 1, u32::MAX];
    let at = (at & !3).min(bytes.len() - 4);
    bytes[at..at + 4].copy_from_slice(&words[noise.below(words.len())].to_le_bytes());
}

/// Everything but large weights.
fn structure(bytes: &[u8], is_onnx: bool) -> Vec<usize> {
    let weights = if is_onnx { onnx_weights(bytes) } else { tflite_weights(bytes) };
    assert!(!weights.is_empty());
    let mut places = vec![true; bytes.len()];
    for range in weights.into_iter().filter(|range| range.len() > WEIGHTS_SMALL) {
        places[range].fill(false);
    }
    (0..bytes.len()).filter(|place| places[*place]).collect()
}

fn word(bytes: &[u8], at: usize) -> usize {
    u32::from_le_bytes(bytes[at..at + 4].try_into().unwrap()) as usize
}

/// The vectors of bytes in the model's buffers (`schema.fbs`: field 4 of the model, field 0 of a buffer).
fn tflite_weights(bytes: &[u8]) -> Vec<Range<usize>> {
    let field = |table: usize, index: usize| {
        // Tables may lie before or behind their descriptions.
        let description = (table as i32 - word(bytes, table) as u32 as i32) as usize;
        let slot = description + 4 + 2 * index;
        let is_there = 4 + 2 * index < usize::from(u16::from_le_bytes([bytes[description], bytes[description + 1]]));
        let offset = is_there.then(|| usize::from(u16::from_le_bytes([bytes[slot], bytes[slot + 1]])));
        let place = table + offset.filter(|offset| *offset > 0)?;
        Some(place + word(bytes, place))
    };
    let buffers = field(word(bytes, 0), 4).unwrap();
    let places = (0..word(bytes, buffers)).map(|index| buffers + 4 + 4 * index);
    let data = places.filter_map(|place| field(place + word(bytes, place), 0));
    data.map(|data| data + 4..data + 4 + word(bytes, data)).collect()
}

/// Fields of the graph's tensors that hold their bytes (`onnx.proto`: 7 of the model, 5 of the graph, 9 of a tensor).
fn onnx_weights(bytes: &[u8]) -> Vec<Range<usize>> {
    let mut found = Vec::new();
    inside(bytes, 0..bytes.len(), &[7, 5, 9], &mut found);
    found
}

fn inside(bytes: &[u8], range: Range<usize>, path: &[usize], found: &mut Vec<Range<usize>>) {
    let [first, rest @ ..] = path else { return found.push(range) };
    let mut at = range.start;
    while at < range.end {
        let key = number(bytes, &mut at);
        let length = if key & 7 == 2 { number(bytes, &mut at) } else { 0 };
        match key & 7 {
            0 => drop(number(bytes, &mut at)),
            1 => at += 8,
            5 => at += 4,
            _ if key >> 3 == *first => inside(bytes, at..at + length, rest, found),
            _ => {}
        }
        at += length;
    }
}

fn number(bytes: &[u8], at: &mut usize) -> usize {
    let mut number = 0;
    for place in 0.. {
        number |= usize::from(bytes[*at] & 0x7f) << (7 * place);
        *at += 1;
        if bytes[*at - 1] & 0x80 == 0 {
            break;
        }
    }
    number
}

/// Loads and runs what each change makes of the model, and tells before each which it is.
fn child(library: &str, model_id: &str, seed: u64, changes: Range<usize>, folder: &Path) {
    let engine = open(library);
    let manifest = manifest();
    let (model, good) = model_for(engine.as_ref(), manifest.model(model_id).unwrap());
    let good = std::fs::read(good.path).unwrap();
    let places = structure(&good, library == "ort");
    let path = folder.join(format!("{library}.model"));
    let inputs = [wave(&model)];
    for number in changes {
        let mut bytes = good.clone();
        change(&mut bytes, &places, seed, number);
        let changed = (0..bytes.len()).find(|at| bytes[*at] != good[*at]).unwrap_or(0);
        std::fs::write(folder.join("number"), format!("{number} at {changed}: {}->{}", good[changed], bytes[changed]))
            .unwrap();
        std::fs::write(&path, bytes).unwrap();
        let file = ModelFile { path: path.clone(), model_id: "damaged".into() };
        if let Ok(mut session) = engine.load(&file, CPU) {
            // Whatever it answers, it answers.
            let _ = session.run(&inputs);
        }
    }
}

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

#[test]
fn no_change_to_a_file_ends_the_process_that_loads_and_runs_it() {
    let (rounds, seed) = (setting(ROUNDS, ROUNDS_IN_THE_GATE), setting(SEED, 20_261_129) as u64);
    if let Ok(words) = std::env::var(CHILD) {
        let words: Vec<&str> = words.split(' ').collect();
        let [library, model, from, folder] = words[..] else { panic!("four words") };
        return child(library, model, seed, from.parse().unwrap()..rounds, Path::new(folder));
    }
    let mut died = Vec::new();
    for library in ["ort", "litert", "tensorflow-lite"] {
        for model in &manifest().models {
            let folder = tempfile::tempdir().unwrap();
            let mut from = 0;
            while from < rounds {
                let status = run_child(&format!("{library} {} {from} {}", model.id, folder.path().display()));
                if status.success() {
                    break;
                }
                let change = std::fs::read_to_string(folder.path().join("number")).unwrap();
                assert!(status.signal().is_some(), "{library}: change {change}: {status}");
                died.push(format!("{library} {} change {change}: {status}", model.id));
                let number: usize = change.split(' ').next().unwrap().parse().unwrap();
                from = number + 1;
            }
        }
    }
    assert!(died.is_empty(), "{died:#?}");
}

fn run_child(words: &str) -> ExitStatus {
    let mut child = Command::new(std::env::current_exe().unwrap());
    child.args([TEST, "--exact", "--nocapture"]).env(CHILD, words);
    child.output().unwrap().status
}
