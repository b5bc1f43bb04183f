//! One command, one file: its arguments, what it does, its shape in JSON, its words.

pub(crate) mod accelerators;
pub(crate) mod analyse;
pub(crate) mod annotate;
pub(crate) mod annotations;
pub(crate) mod bundle;
pub(crate) mod capture;
pub(crate) mod completions;
pub(crate) mod enrol;
pub(crate) mod export_key;
pub(crate) mod fetch;
pub(crate) mod init;
pub(crate) mod list;
pub(crate) mod models;
pub(crate) mod note;
pub(crate) mod pin;
pub(crate) mod purge;
pub(crate) mod record;
pub(crate) mod recover;
pub(crate) mod rotate_keys;
pub(crate) mod show;
pub(crate) mod sign_out;
pub(crate) mod status;
pub(crate) mod sync;
pub(crate) mod thumbnail;
pub(crate) mod verify;
pub(crate) mod view;
pub(crate) mod why;

use crate::{
    args::{Arguments, Command},
    error::Error,
    exit::Exit,
    output::Output,
};

/// Runs the command.
pub(crate) fn run(arguments: &Arguments, output: &Output) -> Result<Exit, Error> {
    let globals = &arguments.globals;
    match &arguments.command {
        Command::Init => init::run(globals, output),
        Command::SignUp(arguments) => enrol::run(enrol::Way::SignUp, arguments, globals, output),
        Command::SignIn(arguments) => enrol::run(enrol::Way::SignIn, arguments, globals, output),
        Command::SignOut => sign_out::run(globals, output),
        Command::Capture(arguments) => capture::run(arguments, globals, output),
        Command::Note(arguments) => note::run(arguments, globals, output),
        Command::Record(arguments) => record::run(arguments, globals, output),
        Command::List(arguments) => list::run(arguments, globals, output),
        Command::Show(arguments) => show::run(arguments, globals, output),
        Command::View(arguments) => view::run(arguments, globals, output),
        Command::Annotate(arguments) => annotate::run(arguments, globals, output),
        Command::Annotations(arguments) => annotations::run(arguments, globals, output),
        Command::Fetch(arguments) => fetch::run(arguments, globals, output),
        Command::Thumbnail(arguments) => thumbnail::run(arguments, globals, output),
        Command::Status => status::run(globals, output),
        Command::Why(arguments) => why::run(arguments, globals, output),
        Command::Analyse(arguments) => analyse::run(arguments, globals, output),
        Command::Accelerators(arguments) => accelerators::run(arguments, globals, output),
        Command::Models(arguments) => models::run(arguments, globals, output),
        Command::Sync(arguments) => sync::run(arguments, globals, output),
        Command::Purge(arguments) => purge::run(arguments, globals, output),
        Command::Pin(arguments) => pin::run(true, arguments, globals, output),
        Command::Unpin(arguments) => pin::run(false, arguments, globals, output),
        Command::Verify => verify::run(globals, output),
        Command::RotateKeys(arguments) => rotate_keys::run(arguments, globals, output),
        Command::ExportKey(arguments) => export_key::run(arguments, globals, output),
        Command::Recover(arguments) => recover::run(arguments, globals, output),
        Command::Bundle(arguments) => bundle::run(arguments, globals, output),
        Command::Completions(arguments) => completions::run(arguments, output),
    }
}
