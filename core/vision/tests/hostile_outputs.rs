//! An engine that answers nonsense: a model may be wrong, and its numbers must not become a panic or a box outside.
#![allow(clippy::unwrap_used, clippy::panic)]

mod common;

use common::{models, picture, ticking};
use snaptrak_domain::{
    ReasonCode,
    engine::{Accelerator, Engine, EngineError, LoadOptions, ModelFile, Session, Tensor},
};
use snaptrak_inference::Manifest;
use snaptrak_vision::{Analyser, AnalyserOptions};

/// Answers with every output filled by a rule.
#[derive(Clone)]
struct Nonsense {
    outputs: Vec<(String, Vec<usize>)>,
    value: fn(usize) -> f32,
    spoil: fn(&mut Vec<Tensor>),
}

impl Session for Nonsense {
    fn run(&mut self, _inputs: &[Tensor]) -> Result<Vec<Tensor>, EngineError> {
        let tensor = |(name, shape): &(String, Vec<usize>)| {
            let data = (0..shape.iter().product()).map(self.value).collect();
            Tensor { name: name.clone(), shape: shape.clone(), data }
        };
        let mut outputs = self.outputs.iter().map(tensor).collect();
        (self.spoil)(&mut outputs);
        Ok(outputs)
    }

    fn accelerator_ran(&self) -> Accelerator {
        Accelerator::Gpu
    }
}

impl Engine for Nonsense {
    fn id(&self) -> &'static str {
        "ort"
    }

    fn version(&self) -> String {
        "nonsense 1".into()
    }

    fn accelerators(&self) -> Vec<Accelerator> {
        vec![Accelerator::Cpu]
    }

    fn load(&self, model: &ModelFile, _options: LoadOptions) -> Result<Box<dyn Session>, EngineError> {
        let manifest = Manifest::load(&models()).unwrap();
        let entry = manifest.model(&model.model_id).unwrap();
        let outputs = entry.outputs.iter().map(|output| (output.name.clone(), output.shape.clone())).collect();
        Ok(Box::new(Self { outputs, ..self.clone() }))
    }
}

fn analyser(value: fn(usize) -> f32, spoil: fn(&mut Vec<Tensor>)) -> Analyser {
    let engine = Nonsense { outputs: Vec::new(), value, spoil };
    let manifest = Manifest::load(&models()).unwrap();
    Analyser::new(&engine, &manifest, &models(), &AnalyserOptions::default(), ticking()).unwrap()
}

#[test]
fn any_finite_numbers_become_boxes_inside_the_picture_or_none() {
    let values: [fn(usize) -> f32; 7] = [
        |_| 0.0,
        |_| f32::MAX,
        |_| f32::MIN,
        |_| 1e30,
        |index| if index % 2 == 0 { f32::MAX } else { f32::MIN },
        |index| (index as f32 * 0.7).sin() * 50.0,
        |index| (index as f32 * 1.3).cos() * 1e20,
    ];
    for value in values {
        let findings = analyser(value, |_| ()).analyse_bytes(&picture("chelsea.png")).unwrap();
        for finding in &findings {
            assert_eq!(
                (&*finding.accelerator_asked, &*finding.accelerator_ran),
                ("cpu", "gpu"),
                "what ran is reported"
            );
            assert!(finding.boxes.len() <= 100);
            for found in &finding.boxes {
                assert!((0.0..=1.0).contains(&found.score));
                assert!(found.x >= 0.0 && found.y >= 0.0 && found.w > 0.0 && found.h > 0.0, "{found:?}");
                assert!(found.x + found.w <= 451.01 && found.y + found.h <= 300.01, "{found:?}");
            }
        }
    }
}

#[test]
fn outputs_that_are_not_the_contract_s_fail_with_the_engine_s_reason() {
    let spoilers: [fn(&mut Vec<Tensor>); 6] = [
        |outputs| outputs.clear(),
        |outputs| outputs[0].name.push('x'),
        |outputs| outputs[0].data[7] = f32::NAN,
        |outputs| outputs[1].data[7] = f32::INFINITY,
        |outputs| outputs[0].data.truncate(10),
        |outputs| outputs[0].shape.reverse(),
    ];
    for spoil in spoilers {
        let reason = analyser(|_| 0.0, spoil).analyse_bytes(&picture("chelsea.png")).unwrap_err().reason;
        assert_eq!(reason.code, ReasonCode::EngineFailed);
        assert!(reason.parameters.contains_key("model"));
    }
}
