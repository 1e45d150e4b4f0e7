//! Search by the tokens that query and text share: TF-IDF and BM25.
//!
//! With f the count of a token in a text, n the number of texts, d the number of texts with the token, l the length of
//! a text in tokens and L the mean length:
//! - TF-IDF: weight (1 + ln f) (ln((1 + n) / (1 + d)) + 1), query and text divided by their Euclidean norms, score the
//!   inner product: scikit-learn's `TfidfVectorizer` with sublinear counts
//! - BM25 (Robertson; the form of Lucene): score sum over the query's tokens of
//!   ln(1 + (n - d + 0.5) / (d + 0.5)) f / (f + k1 (1 - b + b l / L))

use std::collections::HashMap;

use super::dense::best;
use super::tokens::Tokens;

/// How tokens are weighed.
#[derive(Clone, Copy, Debug, PartialEq)]
pub enum Weighting {
    /// Sublinear counts, smoothed inverse document frequency, unit norm.
    TfIdf,
    /// The probabilistic weights. Usual: k1 = 1.5, b = 0.75.
    Bm25 {
        /// How fast a count saturates, from 0.
        k1: f64,
        /// How much the length of a text counts, 0 to 1.
        b: f64,
    },
}

/// Texts, indexed by their tokens.
pub struct SparseIndex {
    tokens: Tokens,
    weighting: Weighting,
    vocabulary: HashMap<String, u32>,
    /// For every token the texts that hold it, with weights.
    postings: Vec<Vec<(u32, f64)>>,
    texts: usize,
}

impl SparseIndex {
    /// Indexes texts, which are numbered in order.
    pub fn new<T: AsRef<str>>(texts: &[T], tokens: Tokens, weighting: Weighting) -> SparseIndex {
        let mut vocabulary: HashMap<String, u32> = HashMap::new();
        let mut postings: Vec<Vec<(u32, f64)>> = Vec::new();
        let mut lengths = Vec::with_capacity(texts.len());
        for (text, id) in texts.iter().zip(0..) {
            let words = tokens.of(text.as_ref());
            lengths.push(words.len() as f64);
            for word in words {
                let next = postings.len() as u32;
                let token = *vocabulary.entry(word).or_insert(next);
                if token == next {
                    postings.push(Vec::new());
                }
                match postings[token as usize].last_mut() {
                    Some((text, count)) if *text == id => *count += 1.0,
                    _ => postings[token as usize].push((id, 1.0)),
                }
            }
        }
        let mut index = SparseIndex { tokens, weighting, vocabulary, postings, texts: texts.len() };
        match weighting {
            Weighting::TfIdf => {
                let mut squares = vec![0.0; texts.len()];
                for token in 0..index.postings.len() {
                    let rarity = index.rarity(token);
                    for (text, weight) in &mut index.postings[token] {
                        *weight = (1.0 + weight.ln()) * rarity;
                        squares[*text as usize] += *weight * *weight;
                    }
                }
                let entries = index.postings.iter_mut().flatten();
                entries.for_each(|(text, weight)| *weight /= squares[*text as usize].sqrt());
            }
            Weighting::Bm25 { k1, b } => {
                let mean = lengths.iter().sum::<f64>() / lengths.len().max(1) as f64;
                for token in 0..index.postings.len() {
                    let rarity = index.rarity(token);
                    for (text, weight) in &mut index.postings[token] {
                        let length = lengths[*text as usize] / mean;
                        *weight = rarity * *weight / (*weight + k1 * (1.0 - b + b * length));
                    }
                }
            }
        }
        index
    }

    /// The score of every text for a query. Tokens that no text holds do not count.
    pub fn scores(&self, query: &str) -> Vec<f64> {
        let mut counts: Vec<u32> =
            self.tokens.of(query).iter().filter_map(|w| self.vocabulary.get(w)).copied().collect();
        counts.sort_unstable();
        let counted = counts.chunk_by(|a, b| a == b).map(|same| (same[0] as usize, same.len() as f64));
        let mut weights: Vec<(usize, f64)> = counted.collect();
        if self.weighting == Weighting::TfIdf {
            weights
                .iter_mut()
                .for_each(|(token, weight)| *weight = (1.0 + weight.ln()) * self.rarity(*token));
            let norm = weights.iter().map(|(_, weight)| weight * weight).sum::<f64>().sqrt();
            weights.iter_mut().for_each(|(_, weight)| *weight /= norm);
        }
        let mut scores = vec![0.0; self.texts];
        for (token, query_weight) in weights {
            for &(text, weight) in &self.postings[token] {
                scores[text as usize] += query_weight * weight;
            }
        }
        scores
    }

    /// The `count` texts with the largest scores, the largest first, equal ones by number.
    pub fn search(&self, query: &str, count: usize) -> Vec<(usize, f64)> {
        best(self.scores(query).into_iter().enumerate().collect(), count)
    }

    /// The number of texts.
    pub fn len(&self) -> usize {
        self.texts
    }

    /// Whether there is no text.
    pub fn is_empty(&self) -> bool {
        self.texts == 0
    }

    /// The number of distinct tokens.
    pub fn vocabulary(&self) -> usize {
        self.vocabulary.len()
    }

    /// The inverse document frequency of a token.
    fn rarity(&self, token: usize) -> f64 {
        let (texts, holders) = (self.texts as f64, self.postings[token].len() as f64);
        match self.weighting {
            Weighting::TfIdf => ((1.0 + texts) / (1.0 + holders)).ln() + 1.0,
            Weighting::Bm25 { .. } => (1.0 + (texts - holders + 0.5) / (holders + 0.5)).ln(),
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXTS: [&str; 3] = ["a b b", "b c", "d"];

    #[test]
    fn tf_idf_is_the_equation() {
        let index = SparseIndex::new(&TEXTS, Tokens::Blanks, Weighting::TfIdf);
        let (rare, common) = ((4.0f64 / 2.0).ln() + 1.0, (4.0f64 / 3.0).ln() + 1.0);
        let double = (1.0 + 2.0f64.ln()) * common;
        let expected = double / (rare * rare + double * double).sqrt();
        let scores = index.scores("b b b unheard");
        assert!((scores[0] - expected).abs() < 1e-12 && scores[2] == 0.0, "{scores:?}");
        assert_eq!(index.search("c", 2)[0].0, 1);
        assert_eq!(index.scores("unheard"), [0.0; 3]);
    }

    #[test]
    fn bm25_is_the_equation() {
        let index = SparseIndex::new(&TEXTS, Tokens::Blanks, Weighting::Bm25 { k1: 1.5, b: 0.75 });
        let rarity = (1.0 + 1.5 / 2.5f64).ln();
        let expected = rarity * 2.0 / (2.0 + 1.5 * (0.25 + 0.75 * 3.0 / 2.0));
        assert!((index.scores("b")[0] - expected).abs() < 1e-12);
        assert!((index.scores("b b")[0] - 2.0 * expected).abs() < 1e-12);
        assert!(SparseIndex::new::<&str>(&[], Tokens::Blanks, Weighting::TfIdf).search("b", 5).is_empty());
    }
}
