//! Options of every command that say which inference libraries there are, and what they are told.

use crate::{error::Error, runtime_files};
use clap::Args;
use snaptrak::{Accelerator, Config, NpuOption, NpuPlugin, OrtProvider};
use std::path::PathBuf;

/// Inference libraries; those that nobody names are looked for in the caches.
#[derive(Debug, Args)]
#[command(next_help_heading = "Inference libraries")]
pub(crate) struct Engines {
    /// Folder with manifest.json and the models that it names
    #[arg(long, global = true, env = "SNAPTRAK_MODELS", value_name = "DIR", hide_env_values = true)]
    models: Option<PathBuf>,

    /// Bytes of the largest model that is loaded at all
    #[arg(long, global = true, value_name = "BYTES")]
    model_bytes_max: Option<u64>,

    /// The ONNX Runtime library
    #[arg(long, global = true, env = "SNAPTRAK_ONNXRUNTIME", value_name = "FILE", hide_env_values = true)]
    runtime_library: Option<PathBuf>,

    /// An execution provider of ONNX Runtime in a library of its own, with the accelerator that it is for: gpu, npu; the best first
    #[arg(long, global = true, value_name = "NAME:ACCELERATOR=FILE", value_parser = provider)]
    runtime_provider: Vec<OrtProvider>,

    /// What an execution provider is told, by its own words
    #[arg(long, global = true, value_name = "NAME:KEY=VALUE", value_parser = provider_option)]
    runtime_option: Vec<ProviderOption>,

    /// Take any device that this execution provider offers: where something stands in for its accelerator, as in tests
    #[arg(long, global = true, value_name = "NAME")]
    runtime_stand_in: Vec<String>,

    /// The LiteRT library, or one with TensorFlow Lite's C API
    #[arg(long, global = true, env = "SNAPTRAK_TFLITE", value_name = "FILE", hide_env_values = true)]
    tflite_library: Option<PathBuf>,

    /// Folder with LiteRT's libraries for GPUs (default: where the library is)
    #[arg(long, global = true, env = "SNAPTRAK_TFLITE_GPU", value_name = "DIR", hide_env_values = true)]
    tflite_gpu: Option<PathBuf>,

    /// Folder with the compiler of LiteRT's libraries for an NPU
    #[arg(long, global = true, env = "SNAPTRAK_TFLITE_NPU_COMPILER", value_name = "DIR", hide_env_values = true)]
    #[arg(requires = "tflite_npu_dispatch")]
    tflite_npu_compiler: Option<PathBuf>,

    /// Folder with what runs LiteRT's compiled code on an NPU
    #[arg(long, global = true, env = "SNAPTRAK_TFLITE_NPU_DISPATCH", value_name = "DIR", hide_env_values = true)]
    #[arg(requires = "tflite_npu_compiler")]
    tflite_npu_dispatch: Option<PathBuf>,

    /// What LiteRT's libraries for an NPU are told, by the name under which they look for it
    #[arg(long, global = true, value_name = "NAME=TOML", value_parser = npu_option)]
    #[arg(requires = "tflite_npu_compiler")]
    tflite_npu_option: Vec<NpuOption>,
}

/// One option of a provider.
#[derive(Debug, Clone, PartialEq, Eq)]
struct ProviderOption {
    name: String,
    key: String,
    value: String,
}

impl Engines {
    /// Writes what was said into the configuration.
    pub(crate) fn configure(&self, config: &mut Config) -> Result<(), Error> {
        let caches = runtime_files::caches();
        config.models = self.models.clone().or_else(|| runtime_files::models(&caches));
        config.model_bytes_max = self.model_bytes_max;
        config.runtime_library = self.runtime_library.clone().or_else(|| runtime_files::runtime_library(&caches));
        config.runtime_providers = self.providers()?;
        config.tflite_library = self.tflite_library.clone().or_else(|| runtime_files::tflite_library(&caches));
        config.tflite_accelerators = self.tflite_gpu.clone();
        let npu = self.tflite_npu_compiler.clone().zip(self.tflite_npu_dispatch.clone());
        let options = self.tflite_npu_option.clone();
        config.tflite_npu =
            npu.map(|(compiler_folder, dispatch_folder)| NpuPlugin { compiler_folder, dispatch_folder, options });
        Ok(())
    }

    fn providers(&self) -> Result<Vec<OrtProvider>, Error> {
        let mut providers = self.runtime_provider.clone();
        for ProviderOption { name, key, value } in &self.runtime_option {
            named(&mut providers, name)?.for_each(|provider| provider.options.push((key.clone(), value.clone())));
        }
        for name in &self.runtime_stand_in {
            named(&mut providers, name)?.for_each(|provider| provider.stands_in = true);
        }
        Ok(providers)
    }
}

/// At least one of this name.
fn named<'p>(
    providers: &'p mut [OrtProvider],
    name: &'p str,
) -> Result<impl Iterator<Item = &'p mut OrtProvider>, Error> {
    if providers.iter().all(|provider| provider.name != name) {
        let next = "name it with --runtime-provider too";
        return Err(Error::usage(format!("there is no execution provider `{name}`"), next));
    }
    Ok(providers.iter_mut().filter(move |provider| provider.name == name))
}

/// Two parts that are there, at the first of these characters.
fn parts<'t>(text: &'t str, at: char, form: &str) -> Result<(&'t str, &'t str), String> {
    let parts = text.split_once(at).filter(|(first, second)| !first.is_empty() && !second.is_empty());
    parts.ok_or_else(|| format!("expected {form}"))
}

/// Reads `NAME:ACCELERATOR=FILE`.
fn provider(text: &str) -> Result<OrtProvider, String> {
    let form = "NAME:ACCELERATOR=FILE";
    let (name, rest) = parts(text, ':', form)?;
    let (accelerator, library) = parts(rest, '=', form)?;
    let accelerator = match accelerator {
        "gpu" => Accelerator::Gpu,
        "npu" => Accelerator::Npu,
        other => return Err(format!("`{other}` is no accelerator: gpu or npu")),
    };
    let (name, library, options) = (name.to_owned(), library.into(), Vec::new());
    Ok(OrtProvider { name, library, accelerator, stands_in: false, options })
}

/// Reads `NAME:KEY=VALUE`.
fn provider_option(text: &str) -> Result<ProviderOption, String> {
    let form = "NAME:KEY=VALUE";
    let (name, rest) = parts(text, ':', form)?;
    let (key, value) = parts(rest, '=', form)?;
    Ok(ProviderOption { name: name.to_owned(), key: key.to_owned(), value: value.to_owned() })
}

/// Reads `NAME=TOML`.
fn npu_option(text: &str) -> Result<NpuOption, String> {
    let (identifier, toml) = parts(text, '=', "NAME=TOML")?;
    Ok(NpuOption { identifier: identifier.to_owned(), toml: format!("{toml}\n") })
}

#[cfg(test)]
mod tests {
    #![allow(clippy::unwrap_used)]

    use super::*;
    use crate::args;
    use clap::Parser as _;

    fn configured(words: &[&str]) -> Result<Config, Error> {
        let all = ["snaptrak"].iter().chain(words).chain(&["status"]);
        let arguments = args::Arguments::try_parse_from(all).unwrap();
        let mut config = Config::new("store");
        arguments.globals.engines.configure(&mut config)?;
        Ok(config)
    }

    #[test]
    fn providers_are_told_what_is_for_them_in_the_order_in_which_they_were_named() {
        let words = [
            ["--runtime-provider", "Qnn:npu=/lib/a=b.so"],
            ["--runtime-option", "Qnn:path=/x:y=z"],
            ["--runtime-provider", "Web:gpu=web.so"],
            ["--runtime-stand-in", "Web"],
            ["--runtime-option", "Qnn:mode=fast"],
        ];
        let [qnn, web] = configured(&words.concat()).unwrap().runtime_providers.try_into().unwrap();
        let told = |key: &str, value: &str| (key.to_owned(), value.to_owned());
        let options = vec![told("path", "/x:y=z"), told("mode", "fast")];
        let accelerator = Accelerator::Npu;
        let wanted =
            OrtProvider { name: "Qnn".into(), library: "/lib/a=b.so".into(), accelerator, stands_in: false, options };
        assert_eq!(qnn, wanted);
        assert_eq!((web.accelerator, web.stands_in, web.options.len()), (Accelerator::Gpu, true, 0));
    }

    #[test]
    fn what_is_said_of_a_provider_that_nobody_named_is_a_mistake() {
        for words in [["--runtime-option", "Qnn:a=b"], ["--runtime-stand-in", "Qnn"]] {
            let error = configured(&words).unwrap_err();
            assert!(matches!(error, Error::Usage { .. }), "{error:?}");
        }
    }

    #[test]
    fn an_npu_has_both_folders_and_its_options() {
        let words = [
            ["--tflite-gpu", "g"],
            ["--tflite-npu-compiler", "c"],
            ["--tflite-npu-dispatch", "d"],
            ["--tflite-npu-option", "intel=graph.backend = 0"],
            ["--model-bytes-max", "7"],
        ];
        let config = configured(&words.concat()).unwrap();
        let npu = config.tflite_npu.unwrap();
        assert_eq!((npu.compiler_folder, npu.dispatch_folder), ("c".into(), "d".into()));
        assert_eq!(
            (npu.options[0].identifier.as_str(), npu.options[0].toml.as_str()),
            ("intel", "graph.backend = 0\n")
        );
        assert_eq!((config.tflite_accelerators, config.model_bytes_max), (Some("g".into()), Some(7)));
    }
}
