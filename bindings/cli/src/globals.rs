//! Options that every command takes.

use clap::{ArgAction, Args};
use std::path::PathBuf;

/// Options before or after any command.
#[derive(Debug, Args)]
#[command(next_help_heading = "Options of every command")]
pub(crate) struct Globals {
    /// Folder of the store
    #[arg(long, global = true, env = "SNAPTRAK_STORE", value_name = "DIR", hide_env_values = true)]
    pub(crate) store: Option<PathBuf>,

    /// File whose one line is the store's passphrase; without it a terminal is asked
    #[arg(long, global = true, env = "SNAPTRAK_PASSPHRASE_FILE", value_name = "FILE", hide_env_values = true)]
    pub(crate) passphrase_file: Option<PathBuf>,

    /// Print exactly one JSON object on standard output
    #[arg(long, global = true)]
    pub(crate) json: bool,

    /// Say nothing but results, warnings and errors
    #[arg(long, short, global = true)]
    pub(crate) quiet: bool,

    /// Log to standard error: -v what happens, -vv details, -vvv everything (or SNAPTRAK_LOG)
    #[arg(long, short, global = true, action = ArgAction::Count)]
    pub(crate) verbose: u8,

    /// Folder with manifest.json and the models that it names
    #[arg(long, global = true, env = "SNAPTRAK_MODELS", value_name = "DIR", hide_env_values = true)]
    pub(crate) models: Option<PathBuf>,

    /// The ONNX Runtime library
    #[arg(long, global = true, env = "SNAPTRAK_ONNXRUNTIME", value_name = "FILE", hide_env_values = true)]
    pub(crate) runtime_library: Option<PathBuf>,

    /// The LiteRT library, or one with TensorFlow Lite's C API
    #[arg(long, global = true, env = "SNAPTRAK_TFLITE", value_name = "FILE", hide_env_values = true)]
    pub(crate) tflite_library: Option<PathBuf>,

    /// Folder with LiteRT's libraries for GPUs (default: where the library is)
    #[arg(long, global = true, env = "SNAPTRAK_TFLITE_GPU", value_name = "DIR", hide_env_values = true)]
    pub(crate) tflite_gpu: Option<PathBuf>,

    /// Folder with the compiler of LiteRT's libraries for an NPU
    #[arg(long, global = true, env = "SNAPTRAK_TFLITE_NPU_COMPILER", value_name = "DIR", hide_env_values = true)]
    #[arg(requires = "tflite_npu_dispatch")]
    pub(crate) tflite_npu_compiler: Option<PathBuf>,

    /// Folder with what runs LiteRT's compiled code on an NPU
    #[arg(long, global = true, env = "SNAPTRAK_TFLITE_NPU_DISPATCH", value_name = "DIR", hide_env_values = true)]
    #[arg(requires = "tflite_npu_compiler")]
    pub(crate) tflite_npu_dispatch: Option<PathBuf>,

    /// Bytes that the store's files should take at most: what the server signed for goes, the oldest first
    #[arg(long, global = true, env = "SNAPTRAK_QUOTA_BYTES", value_name = "BYTES", hide_env_values = true)]
    pub(crate) quota_bytes: Option<u64>,

    /// Bytes that the organisation's models may take, all versions together (default: 1 GiB)
    #[arg(long, global = true, env = "SNAPTRAK_MODELS_QUOTA_BYTES", value_name = "BYTES", hide_env_values = true)]
    pub(crate) models_quota_bytes: Option<u64>,

    /// Certificates (PEM) of servers that are trusted besides the platform's
    #[arg(long, global = true, env = "SNAPTRAK_TRUSTED_ROOT", value_name = "FILE", hide_env_values = true)]
    pub(crate) trusted_root: Option<PathBuf>,
}
