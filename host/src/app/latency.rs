//! The latencies that the settings ask for, recorded ones read from their files.

use std::fs::File;
use std::io::Read as _;
use std::time::Duration;

use crate::cli::Exit;
use crate::config::{Config, Latency, parse_latency};
use crate::execution::{Delay, LatencyConfig};

use super::Failure;

/// The most latencies that a file may hold, and its most bytes.
const SAMPLES_MAX: usize = 1_000_000;
const FILE_BYTES_MAX: u64 = 16 << 20;

/// What takes how long.
///
/// # Errors
/// A file that cannot be read, or that holds something else than latencies.
pub fn latencies(config: &Config) -> Result<LatencyConfig, Failure> {
    Ok(LatencyConfig {
        order: delay(&config.execution.latency)?,
        cancel: delay(&config.execution.cancel_latency)?,
        ns_per_fuel: config.execution.ns_per_fuel,
    })
}

fn delay(latency: &Latency) -> Result<Delay, Failure> {
    Ok(match latency {
        Latency::Constant(latency) => Delay::Fixed(nanoseconds(*latency)),
        Latency::Uniform(low, high) => Delay::Uniform(nanoseconds(*low), nanoseconds(*high)),
        Latency::File(path) => Delay::Recorded(recorded(path)?.into()),
    })
}

fn nanoseconds(latency: Duration) -> i64 {
    i64::try_from(latency.as_nanos()).unwrap_or(i64::MAX)
}

/// One latency a line; empty lines and those that begin with `#` are passed over.
fn recorded(path: &str) -> Result<Vec<i64>, Failure> {
    let wrong = |what: String| {
        let message = format!("latencies in {path}: {what}");
        Failure::new(Exit::Config, message).hint("one latency a line, such as 12ms or 800us")
    };
    let mut text = String::new();
    File::open(path)
        .and_then(|file| file.take(FILE_BYTES_MAX + 1).read_to_string(&mut text))
        .map_err(|error| wrong(error.to_string()))?;
    if text.len() as u64 > FILE_BYTES_MAX {
        return Err(wrong(format!("more than {FILE_BYTES_MAX} bytes")));
    }
    let mut samples = Vec::new();
    for (number, line) in (1_u32..).zip(text.lines()) {
        let line = line.trim();
        if line.is_empty() || line.starts_with('#') {
            continue;
        }
        let latency = parse_latency(line)
            .ok_or_else(|| wrong(format!("line {number} is no latency of at most 60s")))?;
        samples.push(nanoseconds(latency));
    }
    if samples.is_empty() || samples.len() > SAMPLES_MAX {
        return Err(wrong(format!("{} latencies; 1 to {SAMPLES_MAX} may be", samples.len())));
    }
    Ok(samples)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_of_latencies_is_read_whole_or_refused() {
        let folder = std::env::temp_dir().join(format!("sandpaper-latency-{}", std::process::id()));
        std::fs::create_dir_all(&folder).unwrap();
        let path = folder.join("latency.txt");
        let read = |text: &str| {
            std::fs::write(&path, text).unwrap();
            recorded(path.to_str().unwrap()).map_err(|failure| failure.message)
        };
        assert_eq!(read("# round trips\n12ms\n\n 800us \n").unwrap(), [12_000_000, 800_000]);
        assert!(read("12ms\n13\n").unwrap_err().ends_with("line 2 is no latency of at most 60s"));
        assert!(read("# nothing\n").unwrap_err().contains("0 latencies"));
        std::fs::remove_dir_all(&folder).unwrap();
        assert!(read_missing(&path));
    }

    fn read_missing(path: &std::path::Path) -> bool {
        recorded(path.to_str().unwrap()).is_err_and(|failure| failure.exit == Exit::Config)
    }
}
