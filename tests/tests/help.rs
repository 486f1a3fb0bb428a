//! The help texts, each against a file in `help/`. `SANDPAPER_UPDATE=1` writes
//! the files anew; the difference is then read like any other change.

use std::collections::BTreeSet;
use std::fs;

use clap::{Command, CommandFactory as _};
use sandpaper::cli::Cli;
use sandpaper_tests::repository;

/// Every visible command with the words that call it.
fn commands(command: &Command, words: &str, found: &mut Vec<(String, Command)>) {
    found.push((words.to_owned(), command.clone()));
    for verb in command.get_subcommands().filter(|verb| !verb.is_hide_set()) {
        if verb.get_name() != "help" {
            commands(verb, &format!("{words}-{}", verb.get_name()), found);
        }
    }
}

#[test]
fn help_texts_are_as_recorded() {
    let mut root = Cli::command().term_width(100);
    root.build();
    let mut found = Vec::new();
    commands(&root, "sandpaper", &mut found);
    let folder = repository::root().join("tests/tests/help");
    let update = std::env::var_os("SANDPAPER_UPDATE").is_some();
    for (words, command) in &mut found {
        let path = folder.join(format!("{words}.txt"));
        let help = command.render_long_help().to_string();
        let help: String = help.lines().map(|line| format!("{}\n", line.trim_end())).collect();
        if update {
            fs::write(&path, &help).unwrap();
        }
        let recorded = fs::read_to_string(&path).unwrap_or_default();
        assert_eq!(help, recorded, "help of {words}; SANDPAPER_UPDATE=1 records it");
    }
    let known: BTreeSet<String> = found.iter().map(|(words, _)| format!("{words}.txt")).collect();
    for file in repository::files(&folder, ".txt") {
        let name = file.file_name().unwrap_or_default().to_string_lossy().into_owned();
        assert!(known.contains(&name), "{name} is the help of no command");
    }
}

#[test]
fn the_first_line_of_each_help_is_short_and_has_no_full_stop() {
    let mut found = Vec::new();
    commands(&Cli::command(), "sandpaper", &mut found);
    for (words, command) in found {
        let about = command.get_about().map(ToString::to_string).unwrap_or_default();
        assert!(!about.is_empty() && about.len() < 80 && !about.ends_with('.'), "{words}: {about}");
        for argument in command.get_arguments().filter(|argument| !argument.is_hide_set()) {
            let help = argument.get_help().map(ToString::to_string).unwrap_or_default();
            let fits = !help.is_empty() && help.len() < 80 && !help.ends_with('.');
            assert!(fits, "{words} {}: {help}", argument.get_id());
        }
    }
}
