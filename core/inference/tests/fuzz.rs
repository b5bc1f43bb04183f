//! Manifests and tensors that chance has changed: whatever arrives, the answer is a value or a typed error, and what is taken
//! keeps the promises that later code relies on.
//!
//! The same changes every time; `SNAPTRAK_FUZZ_ROUNDS` and `SNAPTRAK_FUZZ_SEED` make it long and another. It runs on the pinned
//! tool-chain as any test does, which a coverage-guided fuzzer would not.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::models;
use serde_json::{Value, json};
use snaptrak_domain::{Random as _, engine::Tensor};
use snaptrak_inference::{Manifest, ModelEntry, check_outputs};
use snaptrak_testkit::SeededRandom;

const ROUNDS_IN_THE_GATE: usize = 3_000;

struct Chance(SeededRandom);

impl Chance {
    fn new() -> Self {
        Self(SeededRandom::new(setting("SNAPTRAK_FUZZ_SEED", 20_261_129) as u64))
    }

    fn below(&mut self, end: usize) -> usize {
        let mut bytes = [0; 8];
        self.0.fill(&mut bytes).unwrap();
        (u64::from_le_bytes(bytes) % end as u64) as usize
    }

    fn of<'a, T>(&mut self, things: &'a [T]) -> &'a T {
        &things[self.below(things.len())]
    }
}

fn setting(name: &str, otherwise: usize) -> usize {
    std::env::var(name).ok().and_then(|value| value.parse().ok()).unwrap_or(otherwise)
}

fn rounds() -> usize {
    setting("SNAPTRAK_FUZZ_ROUNDS", ROUNDS_IN_THE_GATE)
}

/// Every place of a document.
fn places(value: &Value, at: &str, found: &mut Vec<String>) {
    found.push(at.to_owned());
    match value {
        Value::Object(fields) => fields.iter().for_each(|(name, value)| places(value, &format!("{at}/{name}"), found)),
        Value::Array(items) => {
            items.iter().enumerate().for_each(|(index, value)| places(value, &format!("{at}/{index}"), found));
        }
        Value::Null | Value::Bool(_) | Value::Number(_) | Value::String(_) => {}
    }
}

/// A value as nobody would write it, or one from elsewhere in the document.
fn other(chance: &mut Chance, document: &Value, pointers: &[String]) -> Value {
    let absurd = [
        json!(null),
        json!(0),
        json!(-1),
        json!(1e308),
        json!(u64::MAX),
        json!(0.5),
        json!(""),
        json!("../../etc/passwd"),
        json!("/etc/passwd"),
        json!("a\u{0}b"),
        json!([]),
        json!({}),
        json!([1, 1_000_000, 1_000_000, 1_000_000]),
        json!(["x", "x"]),
    ];
    if chance.below(3) == 0 {
        document.pointer(chance.of(pointers).as_str()).unwrap().clone()
    } else {
        chance.of(&absurd).clone()
    }
}

#[test]
fn no_manifest_makes_the_parser_panic_and_what_it_takes_can_be_relied_on() {
    let shipped = std::fs::read(models().join("manifest.json")).unwrap();
    let document: Value = serde_json::from_slice(&shipped).unwrap();
    let mut pointers = Vec::new();
    places(&document, "", &mut pointers);
    let mut chance = Chance::new();
    let mut taken = 0;
    for _ in 0..rounds() {
        let bytes = if chance.below(3) == 0 {
            let mut bytes = shipped.clone();
            for _ in 0..=chance.below(3) {
                let at = chance.below(bytes.len());
                bytes[at] = chance.below(256) as u8;
            }
            bytes.truncate(bytes.len() - if chance.below(4) == 0 { chance.below(bytes.len()) } else { 0 });
            bytes
        } else {
            let mut changed = document.clone();
            for _ in 0..=chance.below(2) {
                let value = other(&mut chance, &document, &pointers);
                let pointer = chance.of(&pointers).as_str();
                // A change may have taken the place of another away.
                if let Some(place) = changed.pointer_mut(pointer) {
                    *place = value;
                }
            }
            serde_json::to_vec(&changed).unwrap()
        };
        if let Ok(manifest) = Manifest::parse(&bytes) {
            taken += 1;
            manifest.models.iter().for_each(check_promises);
        }
    }
    assert!(taken > 0, "some changes are harmless");
}

/// What later code indexes, multiplies and joins to folders.
fn check_promises(model: &ModelEntry) {
    for shape in model.inputs.iter().map(|input| &input.shape).chain(model.outputs.iter().map(|output| &output.shape)) {
        assert!((1..=1 << 24).contains(&shape.iter().product::<usize>()), "{shape:?}");
    }
    for variant in &model.variants {
        let name = &variant.file;
        assert!(!name.is_empty() && !name.contains(['/', '\\', '\0']) && !name.starts_with('.'), "{name:?}");
        let as_in = model.as_in(variant);
        assert_eq!(as_in.inputs[0].shape, model.inputs[0].shape);
    }
    assert!(model.boxes_max >= 1 && !model.labels.is_empty());
}

#[test]
fn tensors_pass_their_contract_only_if_they_are_what_it_says() {
    let manifest = Manifest::load(&models()).unwrap();
    let mut chance = Chance::new();
    let mut passed = 0;
    for _ in 0..rounds() {
        let mut model = chance.of(&manifest.models).clone();
        // Small sizes, so that values are met.
        for output in &mut model.outputs {
            output.shape = (0..=chance.below(3)).map(|_| 1 + chance.below(4)).collect();
        }
        let good = model.outputs.iter().map(|output| Tensor {
            name: output.name.clone(),
            shape: output.shape.clone(),
            data: vec![0.5; output.shape.iter().product()],
        });
        let mut tensors: Vec<Tensor> = good.collect();
        spoil(&mut chance, &mut tensors);
        let is_as_said = model.outputs.iter().all(|output| {
            let found = tensors.iter().find(|tensor| tensor.name == output.name);
            found.is_some_and(|tensor| {
                tensor.shape == output.shape
                    && tensor.data.len() == output.shape.iter().product::<usize>()
                    && tensor.data.iter().all(|value| value.is_finite())
            })
        });
        assert_eq!(check_outputs(&model, &tensors).is_ok(), is_as_said, "{tensors:?}");
        passed += usize::from(is_as_said);
    }
    assert!(passed > 0 && passed < rounds(), "some pass and some do not");
}

fn spoil(chance: &mut Chance, tensors: &mut Vec<Tensor>) {
    let index = chance.below(tensors.len());
    let tensor = &mut tensors[index];
    match chance.below(8) {
        0 => tensor.name.push('x'),
        1 => tensor.shape.push(1),
        2 => tensor.shape = vec![usize::MAX, 2],
        3 => drop(tensor.data.pop()),
        4 => {
            let at = chance.below(tensor.data.len());
            tensor.data[at] = *chance.of(&[f32::NAN, f32::INFINITY, f32::NEG_INFINITY]);
        }
        5 => drop(tensors.remove(index)),
        6 => tensors.reverse(),
        _ => {}
    }
}
