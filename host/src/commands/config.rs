//! `sandpaper config`.

use crate::app::Failure;
use crate::cli::{ConfigShowArgs, Exit};
use crate::config::json_schema;
use crate::output::Output;

use super::Context;

pub(super) fn show(context: &Context, args: &ConfigShowArgs) -> Result<Exit, Failure> {
    let config = &context.config;
    if context.output.json {
        context.output.print(&config.to_json().to_string())?;
    } else {
        context.output.print(&config.to_toml(args.origin))?;
        context.output.note(&format!("sha256 {}", config.sha256()));
    }
    Ok(Exit::Done)
}

/// The configuration was checked when it was loaded.
pub(super) fn validate(context: &Context) -> Result<Exit, Failure> {
    context.output.note("the configuration is valid");
    Ok(Exit::Done)
}

pub(super) fn schema(output: &Output) -> Result<Exit, Failure> {
    output.print(&json_schema().to_string())?;
    Ok(Exit::Done)
}
