//! `sign-up` and `sign-in`: an account at an organisation's server, and this device enrolled in it.

use crate::{error::Error, exit::Exit, globals::Globals, output::Output, secret_input, session};
use serde::Serialize;
use snaptrak::{AccountId, DeviceId, Enrolled, OrganisationId, Secret, Sha256Digest, SignIn, SignUp};
use std::path::PathBuf;

/// Whether the account is made or exists.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(crate) enum Way {
    /// Make it.
    SignUp,
    /// It exists.
    SignIn,
}

#[derive(Debug, clap::Args)]
pub(crate) struct Arguments {
    /// Address of the server; plain http only for this machine itself
    #[arg(long, value_name = "URL")]
    server: String,
    /// E-mail of the account
    #[arg(long, value_name = "EMAIL")]
    email: String,
    /// File whose one line is the account's password; without it a terminal is asked
    #[arg(long, value_name = "FILE")]
    password_file: Option<PathBuf>,
    /// Name of the person
    #[arg(long)]
    name: Option<String>,
    /// SHA-256 of the organisation's raw root key; without it the first one seen is trusted and recorded
    #[arg(long, value_name = "SHA256", value_parser = str::parse::<Sha256Digest>)]
    trust_root: Option<Sha256Digest>,
}

#[derive(Serialize)]
struct Shape {
    account: AccountId,
    device: DeviceId,
    organisation: OrganisationId,
    trust_root: Sha256Digest,
    trust_root_given: bool,
}

pub(crate) fn run(way: Way, arguments: &Arguments, globals: &Globals, output: &Output) -> Result<Exit, Error> {
    let password = password(way, arguments, output)?;
    let enrolled = session::with_store(globals, output, |sdk| {
        let (server, email) = (arguments.server.clone(), arguments.email.clone());
        let (name, trust_root) = (arguments.name.clone(), arguments.trust_root);
        Ok(match way {
            Way::SignUp => sdk.sign_up(SignUp { server, email, password, name, trust_root }),
            Way::SignIn => sdk.sign_in(SignIn { server, email, password, trust_root }),
        }?)
    })?;
    if is_plain(&arguments.server) {
        output.warn("plain HTTP: accepted because this address is this machine itself");
    }
    if !enrolled.trust_root_given {
        output.warn(&format!(
            "the organisation's root key was trusted on first use; compare it with --trust-root {}",
            enrolled.trust_root
        ));
    }
    output.result(schema(way), &shape(&enrolled), |shape| {
        format!("account       {}\ndevice        {}\norganisation  {}", shape.account, shape.device, shape.organisation)
    })?;
    Ok(Exit::Done)
}

fn password(way: Way, arguments: &Arguments, output: &Output) -> Result<Secret, Error> {
    if let Some(path) = &arguments.password_file {
        return secret_input::from_file(path, "password", output);
    }
    let question = match way {
        Way::SignUp => "Password of the new account: ",
        Way::SignIn => "Password of the account: ",
    };
    secret_input::typed(question).ok_or_else(|| Error::Secret {
        message: "no password was given: --password-file FILE, or a terminal".to_owned(),
    })
}

/// Schemes are case-insensitive (RFC 3986, 3.1).
fn is_plain(server: &str) -> bool {
    server.trim_start().get(..5).is_some_and(|scheme| scheme.eq_ignore_ascii_case("http:"))
}

fn schema(way: Way) -> &'static str {
    match way {
        Way::SignUp => "snaptrak.sign_up/1",
        Way::SignIn => "snaptrak.sign_in/1",
    }
}

fn shape(enrolled: &Enrolled) -> Shape {
    Shape {
        account: enrolled.account,
        device: enrolled.device,
        organisation: enrolled.organisation,
        trust_root: enrolled.trust_root,
        trust_root_given: enrolled.trust_root_given,
    }
}
