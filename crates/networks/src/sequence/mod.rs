//! Layers along sequences: mixers, norms and position codes of language models.
//!
//! A mixer takes `[batch, time, width]` and gives the same shape; what it gives at a time depends on no later time. It has
//! three forms that agree:
//!
//! - `forward(input, documents)`: all times at once, for training; rows may hold several [`Documents`], none of which
//!   sees another;
//! - `extend(input, &mut state)`: the next times of one document per row, one or many, from the state that earlier calls
//!   left; a state of its own type, made by `state(batch, device)`;
//! - a plain reference in `f64` that the tests compare with.
//!
//! On the processor (`Flex`) what is no operation of burn is a kernel; on every other device it is a composition of burn's operations
//! (see [`operation`](crate::operation)), which tests compare with the kernel. Packed layers for inference, products in an
//! [`arithmetic`] of their own, and the steps of [`tensor_attention`] are computed on the processor whatever the device is, and their results
//! brought back to it.

pub mod arithmetic;
pub mod attention;
pub mod bit_linear;
pub mod block_diagonal;
mod blocks;
pub mod gated_linear_attention;
pub mod geglu;
pub mod int8_linear;
pub mod layer_norm;
pub mod linear;
pub mod linear_gated_recurrent_unit;
pub mod monarch_mixer;
pub mod rms_norm;
pub mod rotary;
pub mod short_convolution;
pub mod sine;
pub mod swiglu;
pub mod tensor_attention;
#[cfg(test)]
pub(crate) mod testing;

use burn::tensor::{Device, Int, Tensor, TensorData};

/// Where documents begin in the rows of a batch.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Documents {
    time: usize,
    /// For each row the positions at which a document begins, rising; the first is 0.
    starts: Vec<Vec<usize>>,
}

impl Documents {
    /// One document in each of `batch` rows of `time` tokens.
    pub fn whole(batch: usize, time: usize) -> Self {
        Documents { time, starts: vec![vec![0]; batch] }
    }

    /// Documents that begin at these positions of rows of `time` tokens.
    ///
    /// # Errors
    /// If positions do not rise from 0, or lie outside of the row.
    pub fn new(time: usize, starts: Vec<Vec<usize>>) -> Result<Self, DocumentsError> {
        for (row, starts) in starts.iter().enumerate() {
            let rises = starts.first() == Some(&0) && starts.is_sorted_by(|a, b| a < b);
            if !rises || starts.last().is_some_and(|&last| last > 0 && last >= time) {
                return Err(DocumentsError { row, time, starts: starts.clone() });
            }
        }
        Ok(Documents { time, starts })
    }

    /// The number of rows and of tokens in a row.
    pub fn shape(&self) -> [usize; 2] {
        [self.starts.len(), self.time]
    }

    /// Whether every row is one document.
    pub fn are_whole(&self) -> bool {
        self.starts.iter().all(|starts| starts.len() == 1)
    }

    /// Tokens of the longest document.
    pub fn longest(&self) -> usize {
        let of_row = |starts: &Vec<usize>| {
            let ends = starts[1..].iter().copied().chain([self.time]);
            starts.iter().zip(ends).map(|(start, end)| end - start).max()
        };
        self.starts.iter().filter_map(of_row).max().unwrap_or(0)
    }

    /// The positions at which documents of a row begin.
    pub fn starts(&self, row: usize) -> &[usize] {
        &self.starts[row]
    }

    /// The position of every token in its document, `[batch, time]`.
    pub fn positions(&self, device: &Device) -> Tensor<2, Int> {
        self.tensor(device, |_, start, time| (time - start) as i64)
    }

    /// The number of every token's document in its row, `[batch, time]`.
    pub fn numbers(&self, device: &Device) -> Tensor<2, Int> {
        self.tensor(device, |number, _, _| number as i64)
    }

    fn tensor(&self, device: &Device, value: impl Fn(usize, usize, usize) -> i64) -> Tensor<2, Int> {
        let mut values = Vec::with_capacity(self.starts.len() * self.time);
        for starts in &self.starts {
            let mut number = 0;
            for time in 0..self.time {
                if starts.get(number + 1) == Some(&time) {
                    number += 1;
                }
                values.push(value(number, starts[number], time));
            }
        }
        Tensor::from_data(TensorData::new(values, self.shape()), device)
    }
}

/// Documents that are not ones of a row.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "documents of row {row} begin at {starts:?}: expected positions that rise from 0 and stay below {time}"
)]
pub struct DocumentsError {
    /// The row.
    pub row: usize,
    /// Tokens in a row.
    pub time: usize,
    /// The positions.
    pub starts: Vec<usize>,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn positions_count_from_the_start_of_each_document() {
        let documents = Documents::new(5, vec![vec![0, 2, 3], vec![0]]).unwrap();
        let device = Device::flex();
        let values = |tensor: Tensor<2, Int>| tensor.into_data().iter::<i64>().collect::<Vec<_>>();
        assert_eq!(values(documents.positions(&device)), [0, 1, 0, 0, 1, 0, 1, 2, 3, 4]);
        assert_eq!(values(documents.numbers(&device)), [0, 0, 1, 2, 2, 0, 0, 0, 0, 0]);
        assert!(!documents.are_whole() && Documents::whole(3, 7).are_whole());
        assert_eq!((documents.longest(), Documents::whole(0, 7).longest()), (5, 0));
        assert_eq!(Documents::new(5, vec![vec![0, 2, 3]]).unwrap().longest(), 2);
        for starts in [vec![], vec![1], vec![0, 0], vec![0, 3, 2], vec![0, 5]] {
            assert!(Documents::new(5, vec![starts]).is_err());
        }
    }
}
