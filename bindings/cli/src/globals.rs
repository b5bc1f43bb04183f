//! Options that every command takes.

use crate::engines::Engines;
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

    /// Bytes that the store's files should take at most: what the server signed for goes, the oldest first
    #[arg(long, global = true, env = "SNAPTRAK_QUOTA_BYTES", value_name = "BYTES", hide_env_values = true)]
    pub(crate) quota_bytes: Option<u64>,

    /// Bytes that the organisation's models may take, all versions together (default: 1 GiB)
    #[arg(long, global = true, env = "SNAPTRAK_MODELS_QUOTA_BYTES", value_name = "BYTES", hide_env_values = true)]
    pub(crate) models_quota_bytes: Option<u64>,

    /// Certificates (PEM) of servers that are trusted besides the platform's
    #[arg(long, global = true, env = "SNAPTRAK_TRUSTED_ROOT", value_name = "FILE", hide_env_values = true)]
    pub(crate) trusted_root: Option<PathBuf>,

    #[command(flatten)]
    pub(crate) engines: Engines,
}
