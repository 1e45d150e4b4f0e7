//! Texts cut into the tokens that retrieval counts.

/// How a text is cut.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Tokens {
    /// What blanks separate, in lower case.
    Blanks,
    /// All substrings of `least` to `most` characters of the text in lower case, runs of blanks taken as one: the
    /// character n-grams of scikit-learn.
    Characters {
        /// The shortest.
        least: usize,
        /// The longest.
        most: usize,
    },
    /// Words in lower case, and within formulas (`$...$`, `$$...$$`, `\(...\)`, `\[...\]`) LaTeX tokens: a command, a
    /// number, a letter or a sign each, without braces.
    Formulas,
}

impl Tokens {
    /// The tokens of a text, in order.
    pub fn of(self, text: &str) -> Vec<String> {
        match self {
            Tokens::Blanks => text.to_lowercase().split_whitespace().map(str::to_string).collect(),
            Tokens::Characters { least, most } => characters(text, least, most),
            Tokens::Formulas => formulas(text),
        }
    }
}

fn characters(text: &str, least: usize, most: usize) -> Vec<String> {
    let lower = text.to_lowercase();
    let mut text = String::with_capacity(lower.len());
    let mut rest = lower.chars().peekable();
    while let Some(character) = rest.next() {
        let blanks = character.is_whitespace() && rest.next_if(|next| next.is_whitespace()).is_some();
        if blanks {
            while rest.next_if(|next| next.is_whitespace()).is_some() {}
        }
        text.push(if blanks { ' ' } else { character });
    }
    let mut bounds: Vec<usize> = text.char_indices().map(|(place, _)| place).collect();
    bounds.push(text.len());
    let length = bounds.len() - 1;
    let mut tokens = Vec::new();
    for size in least.max(1)..=most.min(length) {
        tokens.extend((0..=length - size).map(|start| text[bounds[start]..bounds[start + size]].to_string()));
    }
    tokens
}

fn formulas(text: &str) -> Vec<String> {
    let mut tokens = Vec::new();
    let mut rest = text;
    let mut within = false;
    while let Some(character) = rest.chars().next() {
        let delimiter =
            ["$$", "$", "\\(", "\\[", "\\)", "\\]"].into_iter().find(|sign| rest.starts_with(sign));
        if let Some(sign) = delimiter.filter(|_| !rest.starts_with("\\$")) {
            within = match sign {
                "\\(" | "\\[" => true,
                "\\)" | "\\]" => false,
                _ => !within,
            };
            rest = &rest[sign.len()..];
            continue;
        }
        let taken = |is_part: fn(char) -> bool| rest.find(|c| !is_part(c)).unwrap_or(rest.len());
        let length = if character == '\\' {
            let name = rest[1..].find(|c: char| !c.is_ascii_alphabetic()).unwrap_or(rest.len() - 1);
            // A command of one sign, as \, or \{.
            if name == 0 { 1 + rest[1..].chars().next().map_or(0, char::len_utf8) } else { 1 + name }
        } else if character.is_numeric() {
            taken(char::is_numeric)
        } else if character.is_alphabetic() && !within {
            taken(char::is_alphabetic)
        } else {
            character.len_utf8()
        };
        let (token, after) = rest.split_at(length);
        let kept = match within {
            true => !character.is_whitespace() && !matches!(character, '{' | '}'),
            false => character.is_alphanumeric(),
        };
        if kept {
            tokens.push(if within { token.to_string() } else { token.to_lowercase() });
        }
        rest = after;
    }
    tokens
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn blanks_separate_and_case_goes() {
        assert_eq!(Tokens::Blanks.of(" Let $X^2$\n be "), ["let", "$x^2$", "be"]);
        assert!(Tokens::Blanks.of("").is_empty());
    }

    #[test]
    fn characters_come_by_length() {
        assert_eq!(Tokens::Characters { least: 2, most: 3 }.of("Aé \n b"), ["aé", "é ", " b", "aé ", "é b"]);
        assert!(Tokens::Characters { least: 2, most: 5 }.of("x").is_empty());
    }

    #[test]
    fn formulas_are_cut_into_latex() {
        let tokens = Tokens::Formulas.of(r"Let $\frac{x_1}{23}$, and \(A\) or \$5");
        assert_eq!(tokens, ["let", "\\frac", "x", "_", "1", "23", "and", "A", "or", "5"]);
        assert_eq!(Tokens::Formulas.of("$$a+b"), ["a", "+", "b"]);
        assert_eq!(Tokens::Formulas.of("\\"), Vec::<String>::new());
    }
}
