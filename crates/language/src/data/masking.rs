//! Tokens hidden in rows, to be found from what stands on both sides: the objective of masked language models. Devlin et al., "BERT"
//! (2019), section 3.1, task 1, whose public program hides 15 % of the tokens; M2-BERT (Fu et al., 2023) hides 30 %.
//!
//! Of the tokens that are chosen, 80 % are replaced by the token that hides, 10 % by any token of the vocabulary, and 10 % stay; all of
//! them are to be predicted, at their own place, and no others. Every token is chosen independently, and anew in every pass.

use mathesis_algebra::random::Stream;
use serde::{Deserialize, Serialize};

use super::{Batch, Source};

/// Of the chosen tokens, the part that is hidden, and the part that is hidden or replaced by any token.
const HIDDEN: f64 = 0.8;
const HIDDEN_OR_REPLACED: f64 = 0.9;
/// Tells the random numbers of masks apart from those of other things with the same seed.
const PURPOSE: u64 = 0x006d_6173_6b73;

/// How tokens are hidden.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case", deny_unknown_fields)]
pub struct Masking {
    /// The part of tokens that are to be predicted, above 0 and at most 1.
    pub part: f64,
    /// The token that hides others.
    pub token: u32,
    /// Seed of the choice.
    pub seed: u64,
}

/// Rows in which tokens are hidden.
///
/// Of the rows that these are made from, only places that count in the loss are chosen, so no empty one is; their targets are not used.
#[derive(Clone, Debug)]
pub struct MaskedRows<S> {
    rows: S,
    masking: Masking,
}

impl<S: Source> MaskedRows<S> {
    /// These rows with tokens hidden.
    ///
    /// # Errors
    /// If the part is none, or the token that hides is not in the vocabulary; in words.
    pub fn new(rows: S, masking: Masking) -> Result<Self, String> {
        let Masking { part, token, .. } = masking;
        if !(part > 0.0 && part <= 1.0) {
            return Err(format!("the part of hidden tokens is {part}: expected a number above 0, at most 1"));
        }
        if token as usize >= rows.vocabulary() {
            let vocabulary = rows.vocabulary();
            return Err(format!("the token {token} that hides others is not among the {vocabulary}"));
        }
        Ok(MaskedRows { rows, masking })
    }
}

impl<S: Source> Source for MaskedRows<S> {
    fn batch(&self, number: u64) -> Batch {
        let Masking { part, token, seed } = self.masking;
        let Batch { mut tokens, mut targets, mut weights, documents, origin } = self.rows.batch(number);
        let stream = Stream::new(Stream::new(seed, PURPOSE).bits(0), number);
        let vocabulary = self.rows.vocabulary() as u64;
        for place in 0..tokens.len() {
            let draw = 3 * place as u64;
            targets[place] = tokens[place];
            if weights[place] == 0.0 || stream.uniform(draw) >= part {
                weights[place] = 0.0;
                continue;
            }
            weights[place] = 1.0;
            match stream.uniform(draw + 1) {
                x if x < HIDDEN => tokens[place] = token,
                x if x < HIDDEN_OR_REPLACED => {
                    tokens[place] = stream.below(draw + 2, vocabulary) as u32;
                }
                _ => {}
            }
        }
        Batch { tokens, targets, weights, documents, origin }
    }

    fn batches(&self) -> Option<u64> {
        self.rows.batches()
    }

    fn vocabulary(&self) -> usize {
        self.rows.vocabulary()
    }

    fn digest(&self) -> String {
        format!("{} {:?}", self.rows.digest(), self.masking)
    }
}

#[cfg(test)]
mod tests {
    use mathesis_networks::sequence::Documents;

    use super::*;

    const MASK: u32 = 99;

    /// Rows of the tokens 0 to 49, of which the last five places are empty.
    #[derive(Debug)]
    struct Rows;

    impl Source for Rows {
        fn batch(&self, _: u64) -> Batch {
            let (tokens, weights) = (0..40).map(|k| (k % 50, if k < 35 { 1.0 } else { 0.0 })).unzip();
            let documents = Documents::new(40, vec![vec![0, 35]]).unwrap();
            Batch { tokens, targets: vec![7; 40], weights, documents, origin: "rows".to_string() }
        }

        fn batches(&self) -> Option<u64> {
            Some(3)
        }

        fn vocabulary(&self) -> usize {
            100
        }

        fn digest(&self) -> String {
            "rows".to_string()
        }
    }

    #[test]
    fn three_of_ten_are_chosen_and_eight_of_ten_of_these_hidden() {
        let rows = MaskedRows::new(Rows, Masking { part: 0.3, token: MASK, seed: 5 }).unwrap();
        let (mut chosen, mut hidden, mut replaced) = (0.0, 0.0, 0.0);
        let batches = 2000;
        for number in 0..batches {
            let batch = rows.batch(number);
            assert_eq!(batch, rows.batch(number));
            for (place, original) in Rows.batch(number).tokens.into_iter().enumerate() {
                assert_eq!(batch.targets[place], original);
                if batch.weights[place] == 0.0 {
                    assert_eq!(batch.tokens[place], original);
                    continue;
                }
                assert!(place < 35 && batch.weights[place] == 1.0);
                chosen += 1.0;
                match batch.tokens[place] {
                    MASK => hidden += 1.0,
                    token if token != original => replaced += 1.0,
                    _ => {}
                }
            }
        }
        let all = 35.0 * batches as f64;
        // Five standard deviations; of the replaced ones, one in a hundred hides and one in a hundred is itself again.
        let near = |count: f64, of: f64, part: f64| {
            (count - of * part).abs() < 5.0 * (of * part * (1.0 - part)).sqrt()
        };
        assert!(near(chosen, all, 0.3), "{chosen} of {all}");
        assert!(near(hidden, chosen, 0.801), "{hidden} of {chosen}");
        assert!(near(replaced, chosen, 0.098), "{replaced} of {chosen}");
        assert_ne!(rows.batch(0).weights, rows.batch(1).weights);
    }

    #[test]
    fn impossible_maskings_are_refused() {
        let refuse =
            |part: f64, token: u32| MaskedRows::new(Rows, Masking { part, token, seed: 1 }).unwrap_err();
        assert!(refuse(0.0, 1).contains("is 0") && refuse(f64::NAN, 1).contains("NaN"));
        assert!(refuse(0.5, 100).contains("100"));
    }
}
