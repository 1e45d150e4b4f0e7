//! Documents that are cut into blocks of equally many tokens, the last of each filled up with zeros: what compositions of burn's operations
//! work on, so that no block holds tokens of two documents and none is much longer than what it holds.

use burn::tensor::{Device, Int, Tensor, TensorData};

/// How the tokens of some documents, which follow each other, are cut.
#[derive(Clone, Debug)]
pub(super) struct Blocks {
    size: usize,
    /// Blocks of each document.
    of_documents: Vec<usize>,
    /// The token in each place of the blocks; the number of tokens where there is none.
    tokens: Vec<usize>,
    /// The place of each token.
    places: Vec<usize>,
}

impl Blocks {
    /// Of documents with so many tokens, into blocks of `size`.
    pub fn new(lengths: &[usize], size: usize) -> Self {
        let all = lengths.iter().sum();
        let (mut tokens, mut places) = (Vec::new(), Vec::with_capacity(all));
        for &length in lengths {
            let first = places.len();
            places.extend(tokens.len()..tokens.len() + length);
            tokens.extend(first..first + length);
            tokens.resize(tokens.len().next_multiple_of(size), all);
        }
        let of_documents = lengths.iter().map(|length| length.div_ceil(size)).collect();
        Blocks { size, of_documents, tokens, places }
    }

    /// The number of blocks.
    pub fn count(&self) -> usize {
        self.tokens.len() / self.size
    }

    /// Blocks of each document.
    pub fn of_documents(&self) -> &[usize] {
        &self.of_documents
    }

    /// `[tokens, channels]` as `[blocks, size, channels]`.
    pub fn cut(&self, tokens: Tensor<2>) -> Tensor<3> {
        let ([count, channels], device) = (tokens.dims(), tokens.device());
        let shape = [self.count(), self.size, channels];
        if self.tokens.len() == count {
            return tokens.reshape(shape);
        }
        let nothing = Tensor::zeros([1, channels], (&device, tokens.dtype()));
        Tensor::cat(vec![tokens, nothing], 0).select(0, indices(&self.tokens, &device)).reshape(shape)
    }

    /// `[blocks, size, channels]` as `[tokens, channels]`.
    pub fn join(&self, blocks: Tensor<3>) -> Tensor<2> {
        let ([count, size, channels], device) = (blocks.dims(), blocks.device());
        let places = blocks.reshape([count * size, channels]);
        if self.places.len() == count * size {
            return places;
        }
        places.select(0, indices(&self.places, &device))
    }
}

/// Whole numbers as what burn's operations take for indices on a device.
pub(super) fn indices(numbers: &[usize], device: &Device) -> Tensor<1, Int> {
    let numbers: Vec<i64> = numbers.iter().map(|&number| number as i64).collect();
    let count = numbers.len();
    Tensor::from_data(TensorData::new(numbers, [count]), device)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::sequence::testing::{tensor, values};

    #[test]
    fn tokens_come_back_and_what_is_filled_up_is_zero() {
        let device = Device::flex();
        for (lengths, size, expected) in [
            (vec![3, 0, 2], 2, vec![1.0, 2.0, 3.0, 0.0, 4.0, 5.0]),
            (vec![2, 4], 2, vec![1.0, 2.0, 3.0, 4.0, 5.0, 6.0]),
            (vec![1, 1], 3, vec![1.0, 0.0, 0.0, 2.0, 0.0, 0.0]),
        ] {
            let blocks = Blocks::new(&lengths, size);
            let count = lengths.iter().sum::<usize>();
            let tokens = tensor((1..=count).map(|token| token as f64).collect(), [count, 1], &device);
            let cut = blocks.cut(tokens.clone());
            assert_eq!((values(cut.clone()), blocks.count()), (expected.clone(), expected.len() / size));
            assert_eq!(values(blocks.join(cut)), values(tokens));
            let expected: Vec<usize> = lengths.iter().map(|length| length.div_ceil(size)).collect();
            assert_eq!(blocks.of_documents(), expected);
        }
    }
}
