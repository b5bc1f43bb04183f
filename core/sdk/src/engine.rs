//! Which engine an analysis takes: the one that was asked for, or else the first that is configured.

use crate::{Config, Error, ErrorCode};
use snaptrak_domain::engine::{Engine, EngineError};
use snaptrak_inference::{OrtEngine, OrtLibraries, TfliteEngine, TfliteLibraries};
use std::{path::Path, sync::Arc};

type Open = fn(&Config, &Path) -> Result<Arc<dyn Engine>, EngineError>;

/// Every engine, in the order in which one is taken when none was asked for.
fn engines(config: &Config) -> [(&'static str, Option<&Path>, Open); 2] {
    [("ort", config.runtime_library.as_deref(), open_ort), ("tflite", config.tflite_library.as_deref(), open_tflite)]
}

fn open_ort(config: &Config, library: &Path) -> Result<Arc<dyn Engine>, EngineError> {
    let libraries = OrtLibraries { providers: config.runtime_providers.clone(), ..OrtLibraries::new(library) };
    Ok(Arc::new(OrtEngine::open_with(&libraries)?))
}

fn open_tflite(config: &Config, library: &Path) -> Result<Arc<dyn Engine>, EngineError> {
    let libraries = TfliteLibraries {
        accelerators_folder: config.tflite_accelerators.clone(),
        npu: config.tflite_npu.clone(),
        ..TfliteLibraries::new(library)
    };
    Ok(Arc::new(TfliteEngine::open_with(&libraries)?))
}

/// Words of every engine of this build.
pub(crate) fn ids(config: &Config) -> Vec<String> {
    engines(config).map(|(id, ..)| id.to_owned()).into()
}

/// Loads the engine's library. One that was asked for is never replaced by another.
pub(crate) fn open(config: &Config, asked: Option<&str>) -> Result<Arc<dyn Engine>, Error> {
    let missing = |message: String| Error::new(ErrorCode::EngineMissing, message);
    let engines = engines(config);
    let found = match asked {
        Some(asked) => engines.iter().find(|(id, ..)| *id == asked),
        None => engines.iter().find(|(_, library, _)| library.is_some()).or(engines.first()),
    };
    let words = engines.map(|(id, ..)| id).join(" and ");
    let (id, library, open) = found.ok_or_else(|| missing(format!("this build has the engines {words} only")))?;
    let library = library.ok_or_else(|| missing(format!("no inference library for the engine {id} was configured")))?;
    open(config, library).map_err(|error| missing(error.to_string()))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(config: &Config, asked: Option<&str>) -> String {
        let error = open(config, asked).err().unwrap();
        assert_eq!(error.code(), ErrorCode::EngineMissing);
        error.message().to_owned()
    }

    #[test]
    fn the_one_that_was_asked_for_is_taken_or_else_the_first_that_is_there() {
        let mut config = Config::new("store");
        assert!(said(&config, None).contains("for the engine ort"), "{}", said(&config, None));
        config.tflite_library = Some("nothing/liblitert".into());
        assert!(said(&config, None).contains("liblitert"));
        assert!(said(&config, Some("ort")).contains("for the engine ort"), "not replaced by the one that is there");
        config.runtime_library = Some("nothing/libonnx".into());
        assert!(said(&config, None).contains("libonnx"));
        assert!(said(&config, Some("tflite")).contains("liblitert"));
        assert!(said(&config, Some("abacus")).contains("ort and tflite only"));
    }
}
