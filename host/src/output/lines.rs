//! The log for people: one event, one line, whatever is said in it.

use std::io::{self, Write};

use super::format::acts_on_terminal;

/// Writes each event that it is given whole on one line of the stream behind it.
///
/// A message may quote a stranger, such as the name of a file. The terminal's own
/// sequences are escaped before; what is left is what makes a line of its own or
/// changes the direction of text.
pub struct Lines<W>(pub W);

impl<W: Write> Write for Lines<W> {
    fn write(&mut self, event: &[u8]) -> io::Result<usize> {
        let text = String::from_utf8_lossy(event);
        let line = text.strip_suffix('\n').unwrap_or(&text);
        // Color is ours: the escape character of a stranger was replaced before.
        let clean = |c: char| {
            if c != '\u{1b}' && acts_on_terminal(c) { char::REPLACEMENT_CHARACTER } else { c }
        };
        let clean: String = line.chars().map(clean).chain(['\n']).collect();
        self.0.write_all(clean.as_bytes())?;
        Ok(event.len())
    }

    fn flush(&mut self) -> io::Result<()> {
        self.0.flush()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_006_an_event_is_one_line() {
        let mut lines = Lines(Vec::new());
        lines.write_all("a\nb\r\u{202e}c\u{9b}31m\n".as_bytes()).expect("written");
        lines.write_all("\u{1b}[32mgreen\u{1b}[0m\n".as_bytes()).expect("written");
        let text = String::from_utf8(lines.0).expect("text");
        let told: Vec<&str> = text.lines().collect();
        assert_eq!(told, ["a\u{fffd}b\u{fffd}\u{fffd}c\u{fffd}31m", "\u{1b}[32mgreen\u{1b}[0m"]);
    }
}
