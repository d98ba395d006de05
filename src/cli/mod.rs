//! The command line: what an operator types, and what they read back.
//!
//! - [`args`] is the tree of commands with its help; each noun's own arguments stand beside what they do:
//!   [`serve`], [`store`] (`migrate`), [`config`], [`events`], [`health`], [`invoice`], [`keys`], [`people`], [`plan`], [`projection`], [`tenant`] with
//!   [`subscription`], [`operation`], [`webhooks`], [`audit`].
//! - [`target`] finds the running server and the operator key, [`client`] talks to it, [`follow`] watches
//!   an operation, [`views`] are the answers as far as people read them.
//! - [`out`] is the only door to stdout and stderr; [`table`] aligns, [`words`] makes text fit to print;
//!   [`failure`] has the exit codes.
//!
//! A new command is a variant in [`args::Command`] and an arm in [`dispatch`].
pub mod args;
pub mod audit;
pub mod client;
pub mod config;
mod doctor;
mod events;
pub mod failure;
pub mod follow;
pub mod health;
pub mod invoice;
pub mod keys;
pub mod members;
mod operation;
pub mod out;
pub mod people;
pub mod plan;
mod projection;
pub mod serve;
pub mod store;
pub mod subscription;
pub mod table;
pub mod target;
pub mod tenant;
pub mod views;
pub mod webhooks;
pub mod words;

#[cfg(test)]
mod tests;

use std::future::Future;
use std::process::ExitCode;

use clap::Parser as _;

use crate::config::Inputs;
use args::{Cli, Command};
use failure::Failure;
use out::Out;

/// What a command comes to.
pub type Outcome<T = ()> = Result<T, Failure>;

/// Reads the process's arguments, does what they say, and tells how it went.
#[must_use]
pub fn main() -> ExitCode {
    let cli = match Cli::try_parse() {
        Ok(cli) => cli,
        Err(told) => {
            // Help and version are no failures; a closed pipe has nobody left to tell.
            let _ = told.print();
            return ExitCode::from(u8::try_from(told.exit_code()).unwrap_or(failure::USAGE));
        }
    };
    let inputs = Inputs::from_process(cli.global.config.clone());
    let out = Out::of_process(cli.global.json, &inputs.env);
    match dispatch(cli.command.unwrap_or(Command::Serve), &inputs, &out) {
        Ok(()) => ExitCode::SUCCESS,
        Err(failure) => {
            failure.tell(&out);
            failure.code()
        }
    }
}

/// Runs one command.
///
/// # Errors
/// Why it was not done.
pub fn dispatch(command: Command, inputs: &Inputs, out: &Out) -> Outcome {
    match command {
        Command::Serve => serve::run(inputs),
        Command::Migrate(args) => client_side(store::run(&args, inputs, out)),
        Command::Doctor(args) => client_side(doctor::run(&args, inputs, out)),
        Command::Config(args) => config::run(&args, inputs, out),
        Command::Tenant(args) => client_side(tenant::run(args, inputs, out)),
        Command::Invoice(args) => client_side(invoice::run(args, inputs, out)),
        Command::Plan(args) => client_side(plan::run(args, inputs, out)),
        Command::Projection(args) => client_side(projection::run(args, inputs, out)),
        Command::Events(args) => events::run(&args, out),
        Command::Webhooks(args) => client_side(webhooks::run(args, inputs, out)),
        Command::Audit(args) => client_side(audit::run(args, inputs, out)),
        Command::Operation(args) => client_side(operation::run(args, inputs, out)),
        Command::Operator(args) => client_side(keys::operator(args, inputs, out)),
        Command::ServiceKey(args) => client_side(keys::service_key(args, inputs, out)),
        Command::ApiKey(args) => client_side(keys::api_key(args, inputs, out)),
        Command::Openapi => serve::print_openapi(out),
        Command::Healthcheck => client_side(health::run(inputs, out)),
    }
}

/// Runs a command that waits for others: one thread is enough.
fn client_side(work: impl Future<Output = Outcome>) -> Outcome {
    tokio::runtime::Builder::new_current_thread()
        .enable_all()
        .build()
        .map_err(|error| Failure::failed(format!("cannot start: {error}")))?
        .block_on(work)
}
