//! Whether what an engine gave back is what the manifest promises. Nothing downstream indexes into a tensor that was not
//! checked here.

use crate::registry::ModelEntry;
use snaptrak_domain::engine::{EngineError, Tensor};

/// Every output of the contract is there, has its shape and as many values, and all of them are finite.
pub fn check_outputs(model: &ModelEntry, outputs: &[Tensor]) -> Result<(), EngineError> {
    let failed = |detail: String| EngineError::Run { model_id: model.id.clone(), detail };
    for wanted in &model.outputs {
        let Some(tensor) = outputs.iter().find(|tensor| tensor.name == wanted.name) else {
            return Err(failed(format!("there is no output `{}`", wanted.name)));
        };
        if tensor.shape != wanted.shape {
            return Err(failed(format!(
                "`{}` has the shape {:?} and not {:?}",
                wanted.name, tensor.shape, wanted.shape
            )));
        }
        if tensor.data.len() != wanted.shape.iter().product::<usize>() {
            return Err(failed(format!("`{}` does not hold as many values as its shape says", wanted.name)));
        }
        if !tensor.data.iter().all(|value| value.is_finite()) {
            return Err(failed(format!("`{}` holds a value that is not finite", wanted.name)));
        }
    }
    Ok(())
}
