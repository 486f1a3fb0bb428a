//! Text of strangers, as far as it could mislead who reads it.

/// True for a character that is not seen and changes how others are: marks and
/// overrides of direction, what joins or separates, separators of lines, tags.
#[must_use]
pub fn is_hidden(character: char) -> bool {
    matches!(character,
        '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}'
        | '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}'
        | '\u{2060}'..='\u{206f}' | '\u{3164}' | '\u{feff}' | '\u{ffa0}'
        | '\u{fff9}'..='\u{fffb}' | '\u{e0000}'..='\u{e0fff}')
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn low_006_what_hides_or_turns_text_is_known() {
        for hidden in ['\u{ad}', '\u{61c}', '\u{200b}', '\u{202e}', '\u{2028}', '\u{e0041}'] {
            assert!(is_hidden(hidden), "{hidden:?}");
        }
        for seen in ['a', 'é', '\u{5d0}', '–', '€', '\u{26a0}', '\u{fe0f}', '\u{1f600}'] {
            assert!(!is_hidden(seen), "{seen:?}");
        }
    }
}
