//! `sandpaper config`.

use serde::Serialize;

use crate::app::Failure;
use crate::cli::{ConfigShowArgs, Exit};
use crate::config::{dotted, json_schema};
use crate::output::{Align, Output, Table};

use super::Context;

#[derive(Serialize)]
struct Setting {
    key: String,
    value: toml::Value,
    origin: String,
}

pub(super) fn show(context: &Context, args: &ConfigShowArgs) -> Result<Exit, Failure> {
    let config = &context.config;
    let settings = config.effective().iter().map(|(path, setting)| Setting {
        key: dotted(path),
        value: setting.value.clone(),
        origin: setting.origin.to_string(),
    });
    if context.output.json {
        let settings: Vec<Setting> = settings.collect();
        context.output.print_json_list("sandpaper.config/1", &settings, &[])?;
        return Ok(Exit::Done);
    }
    if args.origin {
        let mut table =
            Table::new(&[("key", Align::Left), ("value", Align::Left), ("origin", Align::Left)]);
        for setting in settings {
            table.row(vec![setting.key, setting.value.to_string(), setting.origin]);
        }
        context.output.print_table(&table)?;
    } else {
        context.output.print(&config.to_toml())?;
    }
    context.output.note(&format!("sha256 {}", config.sha256()));
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
