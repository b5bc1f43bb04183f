//! `snaptrak-server`: the reference API for a terminal.

mod arguments;
mod print;

use arguments::{Arguments, Command, Serve};
use clap::Parser as _;
use snaptrak_server::{Error, Faults, Server, ServerConfig};
use std::process::ExitCode;
use std::sync::Arc;
use tokio::signal::unix::{SignalKind, signal};
use tracing_subscriber::EnvFilter;

fn main() -> ExitCode {
    let Arguments { command, log } = Arguments::parse();
    let filter = EnvFilter::try_new(&log).unwrap_or_else(|_| EnvFilter::new("info"));
    tracing_subscriber::fmt().with_env_filter(filter).with_writer(std::io::stderr).with_ansi(false).init();
    match run(command) {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            print::error(&error);
            ExitCode::FAILURE
        }
    }
}

fn run(command: Command) -> Result<(), Error> {
    match command {
        Command::Serve(serve) => run_server(*serve),
        Command::ExportUploadKey { data, key, output, yes: _, json } => {
            let key_id = snaptrak_server::export_upload_key(&data, &key.source(), &output)?;
            print::exported(&output, &key_id, json);
            Ok(())
        }
        Command::RotateUploadKey { data, key, revoke, json } => {
            print::rotated(&snaptrak_server::rotate_upload_key(&data, &key.source(), revoke)?, json);
            Ok(())
        }
        Command::MakeRecoveryKey { data, key, output, json } => {
            let key_id = snaptrak_server::make_recovery_key(&data, &key.source(), &output)?;
            print::recovery_key(&output, &key_id, json);
            Ok(())
        }
        Command::AddModelsKey { data, key, public, revoke, json } => {
            let key_id = snaptrak_server::add_models_key(&data, &key.source(), &public, revoke)?;
            print::models_key(&key_id, json);
            Ok(())
        }
        Command::PublishModels { data, key, signed, from, json } => {
            print::published(&snaptrak_server::publish_models(&data, &key.source(), &signed, &from)?, json);
            Ok(())
        }
        Command::TrustRoot { data, key, json } => {
            print::trust_root(&snaptrak_server::trust_root(&data, &key.source())?, json);
            Ok(())
        }
    }
}

fn run_server(serve: Serve) -> Result<(), Error> {
    let config = ServerConfig {
        listen: serve.listen,
        encryption: serve.encryption(),
        data_key: serve.key.source(),
        kem: serve.kem,
        organisation: serve.organisation,
        access_token_ms: serve.access_token_ms,
        capability_ms: serve.capability_ms,
        faults: Arc::new(serve.fault_file.map_or_else(Faults::none, Faults::from_file)),
        ..ServerConfig::loopback(serve.data)
    };
    let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build();
    let runtime = runtime.map_err(|source| Error::Listen { address: config.listen, source })?;
    runtime.block_on(async {
        // Taken before the first line is printed, so that whoever reads it may already end the server gracefully.
        let address = config.listen;
        let cannot = |source| Error::Listen { address, source };
        let mut terminate = signal(SignalKind::terminate()).map_err(cannot)?;
        let mut interrupt = signal(SignalKind::interrupt()).map_err(cannot)?;
        let server = Server::start(config)?;
        print::listening(&server);
        tokio::select! {
            _ = terminate.recv() => {}
            _ = interrupt.recv() => {}
        }
        server.stop();
        Ok(())
    })
}
