//! One text cut into rows of equal length, for the perplexity of a model on it.
//!
//! A row begins with the last token that the row before predicts, so every token but the first is predicted once, from at most the `time`
//! tokens before it; the last row is filled up with places that do not count.

use mathesis_networks::sequence::Documents;

use super::{Batch, Source};

/// The rows.
#[derive(Clone, Debug)]
pub struct Windows {
    tokens: Vec<u32>,
    time: usize,
    rows: usize,
    vocabulary: usize,
}

/// Why tokens cannot be cut into rows.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum WindowsError {
    /// Nothing is there to predict.
    #[error("{0} tokens: at least 2 are expected")]
    Short(usize),
    /// Rows without tokens, or batches without rows.
    #[error("{0} is 0: at least 1 is expected")]
    Zero(&'static str),
    /// A token that the model does not have.
    #[error("token {token} at {place}: below {vocabulary} is expected")]
    Token {
        /// The token.
        token: u32,
        /// Where it stands.
        place: usize,
        /// The number of tokens.
        vocabulary: usize,
    },
}

impl Windows {
    /// The tokens of a text in rows of `time`, `rows` of them in a batch.
    ///
    /// # Errors
    /// [`WindowsError`] if there is nothing to predict, an extent is zero, or a token is not below `vocabulary`.
    pub fn new(tokens: Vec<u32>, time: usize, rows: usize, vocabulary: usize) -> Result<Self, WindowsError> {
        for (what, extent) in [("the length of rows", time), ("the number of rows", rows)] {
            if extent == 0 {
                return Err(WindowsError::Zero(what));
            }
        }
        if tokens.len() < 2 {
            return Err(WindowsError::Short(tokens.len()));
        }
        match tokens.iter().position(|&token| token as usize >= vocabulary) {
            Some(place) => Err(WindowsError::Token { token: tokens[place], place, vocabulary }),
            None => Ok(Windows { tokens, time, rows, vocabulary }),
        }
    }
}

impl Source for Windows {
    fn batch(&self, number: u64) -> Batch {
        let all = (self.tokens.len() - 1).div_ceil(self.time);
        let batches = all.div_ceil(self.rows);
        let first = (number % batches as u64) as usize * self.rows;
        let rows = self.rows.min(all - first);
        let places = first * self.time..(first + rows) * self.time;
        let at = |place: usize| self.tokens.get(place).copied();
        Batch {
            tokens: places.clone().map(|place| at(place).unwrap_or(0)).collect(),
            targets: places.clone().map(|place| at(place + 1).unwrap_or(0)).collect(),
            weights: places.clone().map(|place| f32::from(u8::from(at(place + 1).is_some()))).collect(),
            documents: Documents::whole(rows, self.time),
            origin: format!("tokens {} to {}", places.start, places.end.min(self.tokens.len())),
        }
    }

    fn batches(&self) -> Option<u64> {
        Some((self.tokens.len() - 1).div_ceil(self.time).div_ceil(self.rows) as u64)
    }

    fn vocabulary(&self) -> usize {
        self.vocabulary
    }

    fn digest(&self) -> String {
        let mut hash = blake3::Hasher::new();
        self.tokens.iter().for_each(|token| _ = hash.update(&token.to_le_bytes()));
        format!("{} in rows of {}, {} a batch", hash.finalize().to_hex(), self.time, self.rows)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_token_but_the_first_is_predicted_once() {
        for (count, time, rows) in [(2, 1, 1), (2, 5, 3), (11, 5, 1), (12, 5, 2), (100, 7, 4), (64, 8, 3)] {
            let tokens: Vec<u32> = (0..count).collect();
            let windows = Windows::new(tokens.clone(), time, rows, 100).unwrap();
            let mut predicted = Vec::new();
            for number in 0..windows.batches().unwrap() {
                let batch = windows.batch(number);
                assert_eq!(batch.tokens.len(), batch.documents.shape().iter().product::<usize>());
                for place in 0..batch.tokens.len() {
                    if batch.weights[place] == 1.0 {
                        assert_eq!(batch.targets[place], batch.tokens[place] + 1);
                        predicted.push(batch.targets[place]);
                    }
                }
            }
            assert_eq!(predicted, tokens[1..]);
            assert_eq!(windows.batch(0), windows.batch(windows.batches().unwrap()));
        }
        assert_eq!(Windows::new(vec![3], 4, 1, 10).unwrap_err(), WindowsError::Short(1));
        assert!(matches!(Windows::new(vec![3, 4], 0, 1, 10), Err(WindowsError::Zero(_))));
        let error = Windows::new(vec![3, 10], 4, 1, 10).unwrap_err();
        assert_eq!(error.to_string(), "token 10 at 1: below 10 is expected");
    }
}
