//! Characters that are more, or less, than what is seen of them.

/// Whether a character could do something to a terminal, or to the order in which text is read: C0, DEL, C1,
/// bidirectional controls, and characters that cannot be seen.
#[must_use]
pub fn is_hostile(c: char) -> bool {
    // Unicode's Default_Ignorable_Code_Point, but for the two that choose how an emoji looks, with its separators.
    c.is_control()
        || matches!(c, '\u{ad}' | '\u{34f}' | '\u{61c}' | '\u{115f}'..='\u{1160}' | '\u{17b4}'..='\u{17b5}')
        || matches!(c, '\u{180b}'..='\u{180f}' | '\u{200b}'..='\u{200f}' | '\u{2028}'..='\u{202e}' | '\u{2060}'..='\u{206f}')
        || matches!(c, '\u{3164}' | '\u{fe00}'..='\u{fe0d}' | '\u{feff}' | '\u{ffa0}' | '\u{fff0}'..='\u{fffb}')
        || matches!(c, '\u{1bca0}'..='\u{1bca3}' | '\u{1d173}'..='\u{1d17a}' | '\u{e0000}'..='\u{e0fff}')
}
