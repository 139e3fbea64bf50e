//! Texts of other programs, as they may be shown.

/// The text with its control characters as escapes. A terminal obeys such characters, and
/// other programs may put them into names and messages.
pub(crate) fn visible(text: &str) -> String {
    let mut visible = String::with_capacity(text.len());
    for char in text.chars() {
        if char.is_control() {
            visible.extend(char.escape_default());
        } else {
            visible.push(char);
        }
    }
    visible
}
