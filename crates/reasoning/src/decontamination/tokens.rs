//! Lower case and words as Python's `str.lower()` and `str.split()` make them, because published counts depend on them.

/// Whether `str.split()` splits here: white space of Unicode, and the four separators of ASCII, which Unicode does not
/// count.
fn is_space(character: char) -> bool {
    character.is_whitespace() || matches!(character, '\u{1c}'..='\u{1f}')
}

/// The text in lower case, the last sigma of a word as `ς`.
pub(super) fn lower(text: &str) -> String {
    text.to_lowercase()
}

/// The words of a text.
pub(super) fn words(text: &str) -> impl Iterator<Item = &str> {
    text.split(is_space).filter(|word| !word.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    /// The code points for which `str.isspace()` holds in Python 3.11.
    const SPACES: [u32; 29] = [
        0x9, 0xa, 0xb, 0xc, 0xd, 0x1c, 0x1d, 0x1e, 0x1f, 0x20, 0x85, 0xa0, 0x1680, 0x2000, 0x2001, 0x2002,
        0x2003, 0x2004, 0x2005, 0x2006, 0x2007, 0x2008, 0x2009, 0x200a, 0x2028, 0x2029, 0x202f, 0x205f,
        0x3000,
    ];

    #[test]
    fn white_space_is_that_of_python() {
        let found: Vec<u32> =
            ('\0'..=char::MAX).filter(|character| is_space(*character)).map(u32::from).collect();
        assert_eq!(found, SPACES);
    }

    #[test]
    fn lower_case_is_that_of_python() {
        for (text, expected) in
            [("ÀÉ ΌΣΟΣ ΑΣ.", "àé όσος ας."), ("İ", "i\u{307}"), ("ẞ ǅ Ⅷ Ⓐ", "ß ǆ ⅷ ⓐ"), ("K", "k")]
        {
            assert_eq!(lower(text), expected);
        }
        assert_eq!(words("\u{a0} a\u{1c}b \u{200b}c\n").collect::<Vec<_>>(), ["a", "b", "\u{200b}c"]);
        assert_eq!(words(" \t").count(), 0);
    }
}
