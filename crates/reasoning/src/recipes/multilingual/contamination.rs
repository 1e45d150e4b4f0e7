//! Keeping test questions out of training data: exact copies, and shared runs of words.
//!
//! [`crate::decontamination`] keeps to the published rule, whose words are what stands between blanks; texts in Chinese, Japanese
//! and Thai have none, and translations differ in signs. [`TestQuestions`] therefore compares by words or characters of a
//! language, without signs.

use std::collections::HashSet;
use std::hash::BuildHasher;

use crate::answers::Language;

/// Test questions, by their n-grams.
///
/// A token is a word in lower case; in Chinese, Japanese and Thai, which put no blanks between words, it is a character,
/// and the grams are twice as long. Questions of fewer tokens are found only where they are the whole text.
pub struct TestQuestions {
    n: usize,
    hasher: foldhash::fast::FixedState,
    /// Digests of n-grams.
    grams: HashSet<u64>,
    /// Digests of whole texts.
    whole: HashSet<u64>,
}

impl TestQuestions {
    /// No questions yet, to be compared by `n` words, at least 1.
    pub fn new(n: usize) -> Self {
        TestQuestions {
            n: n.max(1),
            hasher: foldhash::fast::FixedState::with_seed(0),
            grams: HashSet::new(),
            whole: HashSet::new(),
        }
    }

    /// Adds a question.
    pub fn add(&mut self, question: &str, language: Language) {
        let tokens = tokens(question, language);
        self.whole.insert(self.hasher.hash_one(&tokens));
        let grams: Vec<u64> =
            tokens.windows(self.length(language)).map(|gram| self.hasher.hash_one(gram)).collect();
        self.grams.extend(grams);
    }

    /// How many different n-grams there are.
    pub fn grams(&self) -> usize {
        self.grams.len()
    }

    /// What a text in a language shares with a question, or `None`.
    pub fn leak(&self, text: &str, language: Language) -> Option<String> {
        let tokens = tokens(text, language);
        if self.whole.contains(&self.hasher.hash_one(&tokens)) {
            return Some("the text is a test question".into());
        }
        let shared = tokens
            .windows(self.length(language))
            .find(|gram| self.grams.contains(&self.hasher.hash_one(gram)))?;
        let blank = if is_without_blanks(language) { "" } else { " " };
        Some(format!("shared with a test question: {}", shared.join(blank)))
    }

    fn length(&self, language: Language) -> usize {
        if is_without_blanks(language) { 2 * self.n } else { self.n }
    }
}

fn is_without_blanks(language: Language) -> bool {
    matches!(language, Language::Ja | Language::Th | Language::Zh)
}

fn tokens(text: &str, language: Language) -> Vec<String> {
    let lower = text.to_lowercase();
    let words = lower.split(|character: char| !character.is_alphanumeric()).filter(|word| !word.is_empty());
    if is_without_blanks(language) {
        words.flat_map(str::chars).map(String::from).collect()
    } else {
        words.map(String::from).collect()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn copies_and_shared_runs_are_found() {
        let mut test = TestQuestions::new(4);
        test.add("Tom has 3 red apples, and buys two.", Language::En);
        test.add("What is 2 + 2?", Language::En);
        test.add("汤姆有3个红苹果", Language::Zh);
        let leaks = |text, language| test.leak(text, language);
        assert!(leaks("What IS 2 +  2", Language::En).unwrap().contains("is a test question"));
        assert!(leaks("Ann: has 3 RED apples!", Language::En).unwrap().ends_with("has 3 red apples"));
        assert_eq!(leaks("Ann has 3 green apples and buys", Language::En), None);
        assert_eq!(leaks("3 red apples", Language::En), None);
        assert!(leaks("，汤姆有 3个红苹果。买", Language::Zh).is_some());
        assert_eq!(leaks("汤姆有3个苹果", Language::Zh), None);
        assert_eq!(TestQuestions::new(4).leak("What is 2 + 2?", Language::En), None);
    }
}
