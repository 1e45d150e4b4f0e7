//! Texts at which an answer ends: what may be the beginning of one is held back until it is certain.

/// The end of a text that grows in pieces.
#[derive(Clone, Debug)]
pub(super) struct StopTexts {
    texts: Vec<String>,
    held: String,
}

/// What came of a piece.
#[derive(Debug, PartialEq, Eq)]
pub(super) enum Passed {
    /// Text that is certain.
    Text(String),
    /// The last text, before one at which it ends.
    Last(String),
}

impl StopTexts {
    /// Empty texts are left out: they would end everything.
    pub fn new(texts: &[String]) -> Self {
        let texts = texts.iter().filter(|text| !text.is_empty()).cloned().collect();
        StopTexts { texts, held: String::new() }
    }

    pub fn push(&mut self, piece: &str) -> Passed {
        self.held.push_str(piece);
        if let Some(end) = self.texts.iter().filter_map(|text| self.held.find(text)).min() {
            self.held.truncate(end);
            return Passed::Last(std::mem::take(&mut self.held));
        }
        let begins = |start: &usize| self.texts.iter().any(|text| text.starts_with(&self.held[*start..]));
        let starts = self.held.char_indices().map(|(start, _)| start);
        let certain = { starts }.find(begins).unwrap_or(self.held.len());
        let held = self.held.split_off(certain);
        Passed::Text(std::mem::replace(&mut self.held, held))
    }

    /// What was held back, when nothing more comes.
    pub fn rest(&mut self) -> String {
        std::mem::take(&mut self.held)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_may_begin_a_stop_is_held_back() {
        let text = |text: &str| Passed::Text(text.into());
        let mut stop = StopTexts::new(&["\n\n".into(), "数学".into(), String::new()]);
        assert_eq!(stop.push("one\n"), text("one"));
        assert_eq!(stop.push("two"), text("\ntwo"));
        assert_eq!(stop.push(" 数"), text(" "));
        assert_eq!(stop.push("字"), text("数字"));
        assert_eq!(stop.push("\n"), text(""));
        assert_eq!(stop.rest(), "\n");
        assert_eq!(stop.push("end\n"), text("end"));
        assert_eq!(stop.push("\nmore"), Passed::Last(String::new()));
        // The first of several ends it.
        let mut stop = StopTexts::new(&["b".into(), "a".into()]);
        assert_eq!(stop.push("xxaxb"), Passed::Last("xx".into()));
        assert_eq!(StopTexts::new(&[]).push("all"), text("all"));
    }
}
