//! Documents packed into rows of equal length, none of which sees another.
//!
//! A row of `n` places holds pieces of documents. A piece of `k` places has `k` tokens with the `k` that follow each of them as
//! targets, so every token of a document but its first is predicted exactly once, also where the document is cut.

use std::collections::BTreeSet;

use mathesis_algebra::random::Stream;
use mathesis_networks::sequence::Documents;
use serde::{Deserialize, Serialize};

use super::token_file::TokenFile;
use super::{Batch, Source};

/// How documents are put into rows.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "kebab-case")]
pub enum Packing {
    /// A document is cut only if it is longer than a row; pieces go where they leave the least room, the longest first (best fit
    /// decreasing). Places that stay empty do not count in the loss.
    #[default]
    Whole,
    /// One document after the other, cut wherever a row ends. No place stays empty.
    Split,
}

/// How rows are made of a token file.
#[derive(Clone, Copy, Debug, PartialEq, Serialize, Deserialize)]
#[serde(default, rename_all = "kebab-case", deny_unknown_fields)]
pub struct RowOptions {
    /// Places in a row.
    pub time: usize,
    /// Rows in a batch.
    pub batch: usize,
    /// How documents are put into rows.
    pub packing: Packing,
    /// Whether only replies count in the loss, not prompts.
    pub mask_prompts: bool,
    /// Seed of the order of documents and rows.
    pub seed: u64,
}

impl Default for RowOptions {
    fn default() -> Self {
        RowOptions { time: 128, batch: 8, packing: Packing::Whole, mask_prompts: true, seed: 1 }
    }
}

/// A piece of a document in a row.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
struct Piece {
    /// The place of its first token in the file.
    start: usize,
    /// Places in the row.
    length: usize,
    /// Targets from this place in the file on are of the reply.
    reply: usize,
}

/// A token file in rows.
#[derive(Debug)]
pub struct PackedRows {
    file: TokenFile,
    options: RowOptions,
    pieces: Vec<Piece>,
    /// For each row the end of its pieces.
    ends: Vec<usize>,
    once: bool,
}

impl PackedRows {
    /// The rows of a file, again and again, each time in another order.
    ///
    /// # Errors
    /// If an option is 0 or no document has two tokens, in words.
    pub fn new(file: TokenFile, options: RowOptions) -> Result<Self, String> {
        if options.time == 0 || options.batch == 0 {
            return Err("the length of rows and the size of batches must be at least 1".to_string());
        }
        let order = Stream::new(options.seed, 0).permutation(file.documents());
        let documents = order.into_iter().map(|document| {
            let (range, reply) = file.document(document);
            Piece { start: range.start, length: range.len().saturating_sub(1), reply }
        });
        let documents = documents.filter(|piece| piece.length > 0);
        let (pieces, ends) = match options.packing {
            Packing::Split => split(documents, options.time),
            Packing::Whole => best_fit_decreasing(documents, options.time),
        };
        if pieces.is_empty() {
            return Err("no document has two tokens, so there is nothing to predict".to_string());
        }
        Ok(PackedRows { file, options, pieces, ends, once: false })
    }

    /// The rows one time, in their order; rows of later batches count for nothing.
    pub fn once(self) -> Self {
        PackedRows { once: true, ..self }
    }

    /// The number of rows.
    pub fn rows(&self) -> usize {
        self.ends.len()
    }

    /// The part of all places that hold tokens.
    pub fn filled(&self) -> f64 {
        let tokens: usize = self.pieces.iter().map(|piece| piece.length).sum();
        tokens as f64 / (self.rows() * self.options.time) as f64
    }

    /// The row that comes at a place of the endless order.
    fn row(&self, place: u64) -> usize {
        let rows = self.rows() as u64;
        let (pass, k) = (place / rows, place % rows);
        if self.once {
            k as usize
        } else {
            shuffled(k, rows, Stream::new(self.options.seed, 1 + pass)) as usize
        }
    }
}

impl Source for PackedRows {
    fn batch(&self, number: u64) -> Batch {
        let RowOptions { time, batch, mask_prompts, .. } = self.options;
        let mut tokens = vec![0; batch * time];
        let mut targets = vec![0; batch * time];
        let mut weights = vec![0.0; batch * time];
        let (mut starts, mut rows) = (Vec::new(), Vec::new());
        for place in 0..batch {
            let number = number * batch as u64 + place as u64;
            if self.once && number >= self.rows() as u64 {
                starts.push(vec![0]);
                continue;
            }
            let row = self.row(number);
            rows.push(row.to_string());
            let mut row_starts = Vec::new();
            let mut at = 0;
            let first = if row == 0 { 0 } else { self.ends[row - 1] };
            for piece in &self.pieces[first..self.ends[row]] {
                row_starts.push(at);
                for k in 0..piece.length {
                    let (here, from) = (place * time + at + k, piece.start + k);
                    tokens[here] = self.file.token(from);
                    targets[here] = self.file.token(from + 1);
                    weights[here] = if mask_prompts && from + 1 < piece.reply { 0.0 } else { 1.0 };
                }
                at += piece.length;
            }
            if at < time {
                row_starts.push(at);
            }
            starts.push(row_starts);
        }
        let documents = Documents::new(time, starts).unwrap_or_else(|error| unreachable!("pieces: {error}"));
        Batch { tokens, targets, weights, documents, origin: format!("rows {} of the data", rows.join(", ")) }
    }

    fn batches(&self) -> Option<u64> {
        Some(self.rows().div_ceil(self.options.batch) as u64)
    }

    fn vocabulary(&self) -> usize {
        self.file.vocabulary() as usize
    }

    fn digest(&self) -> String {
        format!("{} {:?}", self.file.digest(), self.options)
    }
}

fn split(documents: impl Iterator<Item = Piece>, time: usize) -> (Vec<Piece>, Vec<usize>) {
    let (mut pieces, mut ends) = (Vec::new(), Vec::new());
    let mut room = time;
    for mut rest in documents {
        while rest.length > 0 {
            let length = rest.length.min(room);
            pieces.push(Piece { length, ..rest });
            rest = Piece { start: rest.start + length, length: rest.length - length, ..rest };
            room -= length;
            if room == 0 {
                ends.push(pieces.len());
                room = time;
            }
        }
    }
    if room < time {
        ends.push(pieces.len());
    }
    (pieces, ends)
}

fn best_fit_decreasing(documents: impl Iterator<Item = Piece>, time: usize) -> (Vec<Piece>, Vec<usize>) {
    let mut cut: Vec<Piece> = documents
        .flat_map(|piece| {
            (0..piece.length).step_by(time).map(move |at| Piece {
                start: piece.start + at,
                length: time.min(piece.length - at),
                ..piece
            })
        })
        .collect();
    cut.sort_by_key(|piece| std::cmp::Reverse(piece.length));
    let mut rows: Vec<Vec<Piece>> = Vec::new();
    // Rows with room, by the room they have.
    let mut open: BTreeSet<(usize, usize)> = BTreeSet::new();
    for piece in cut {
        let (room, row) = match open.range((piece.length, 0)..).next().copied() {
            Some(entry) => {
                open.remove(&entry);
                entry
            }
            None => {
                rows.push(Vec::new());
                (time, rows.len() - 1)
            }
        };
        rows[row].push(piece);
        if room > piece.length {
            open.insert((room - piece.length, row));
        }
    }
    let mut ends = Vec::with_capacity(rows.len());
    let mut end = 0;
    for row in &rows {
        end += row.len();
        ends.push(end);
    }
    (rows.into_iter().flatten().collect(), ends)
}

/// Where a random permutation of `0..count` takes `k`, without the permutation itself: a Feistel network on the pairs of digits
/// of a square that holds all numbers, repeated until the result is one of them.
fn shuffled(k: u64, count: u64, stream: Stream) -> u64 {
    let side = (count as f64).sqrt().ceil() as u64;
    let mut k = k;
    loop {
        for round in 0..4 {
            let (high, low) = (k / side, k % side);
            k = low * side + (high + stream.below(round * side + low, side)) % side;
        }
        if k < count {
            return k;
        }
    }
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::super::token_file::TokenWriter;
    use super::*;

    /// Documents of these lengths with these prompts; all tokens are different.
    fn packed(lengths: &[(usize, usize)], options: RowOptions) -> Result<PackedRows, String> {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.tokens");
        let mut writer = TokenWriter::create(&path, 100_000, [0; 32]).unwrap();
        let mut next = 1;
        for &(prompt, reply) in lengths {
            let tokens: Vec<u32> = (next..next + (prompt + reply) as u32).collect();
            next += 1 + (prompt + reply) as u32;
            writer.add(&tokens[..prompt], &tokens[prompt..]).unwrap();
        }
        writer.finish().unwrap();
        PackedRows::new(TokenFile::open(&path).unwrap(), options)
    }

    proptest! {
        #![proptest_config(ProptestConfig::with_cases(64))]

        #[test]
        fn every_token_but_the_first_is_predicted_once_in_its_document(
            lengths in proptest::collection::vec((0_usize..5, 0_usize..30), 1..20),
            time in 1_usize..17, batch in 1_usize..4, whole: bool, mask_prompts: bool, seed: u64,
        ) {
            let packing = if whole { Packing::Whole } else { Packing::Split };
            let Ok(rows) = packed(&lengths, RowOptions { time, batch, packing, mask_prompts, seed }) else {
                prop_assert!(lengths.iter().all(|(prompt, reply)| prompt + reply < 2));
                return Ok(());
            };
            let rows = rows.once();
            let mut predicted = Vec::new();
            for number in 0..rows.batches().unwrap() {
                let batch = rows.batch(number);
                for (row, k) in (0..batch.documents.shape()[0]).flat_map(|row| (0..time).map(move |k| (row, k))) {
                    let here = row * time + k;
                    if batch.tokens[here] == 0 {
                        prop_assert_eq!(batch.weights[here], 0.0);
                        continue;
                    }
                    prop_assert_eq!(batch.targets[here], batch.tokens[here] + 1);
                    predicted.push((batch.targets[here], batch.weights[here]));
                    // Tokens of one document are consecutive; between documents one number is left out.
                    let starts = batch.documents.starts(row);
                    let follows = k > 0 && batch.tokens[here - 1] + 1 == batch.tokens[here];
                    prop_assert!(follows || starts.contains(&k));
                    if starts.contains(&k) && !whole && k > 0 {
                        prop_assert!(!follows);
                    }
                }
            }
            let mut next = 1;
            let mut expected = Vec::new();
            for &(prompt, reply) in &lengths {
                for k in 1..prompt + reply {
                    expected.push(((next + k) as u32, if mask_prompts && k < prompt { 0.0 } else { 1.0 }));
                }
                next += 1 + prompt + reply;
            }
            predicted.sort_by_key(|(token, _)| *token);
            prop_assert_eq!(predicted, expected);
        }

        #[test]
        fn shuffling_is_a_permutation(count in 1_u64..300, seed: u64) {
            let stream = Stream::new(seed, 1);
            let mut seen: Vec<u64> = (0..count).map(|k| shuffled(k, count, stream)).collect();
            if count > 20 {
                let kept = seen.iter().enumerate().filter(|(k, value)| *k as u64 == **value).count();
                prop_assert!(kept < 10, "{seen:?}");
            }
            seen.sort_unstable();
            prop_assert!(seen.iter().enumerate().all(|(k, value)| k as u64 == *value));
        }
    }

    #[test]
    fn passes_differ_in_their_order_and_are_complete() {
        let rows = packed(&[(0, 8); 24], RowOptions { time: 7, batch: 4, ..RowOptions::default() }).unwrap();
        assert_eq!((rows.rows(), rows.filled()), (24, 1.0));
        let pass = |pass: u64| -> Vec<u32> { (0..6).flat_map(|k| rows.batch(6 * pass + k).tokens).collect() };
        let (mut first, mut second) = (pass(0), pass(1));
        assert_ne!(first, second);
        first.sort_unstable();
        second.sort_unstable();
        assert_eq!(first, second);
    }

    #[test]
    fn whole_documents_are_not_cut_and_leave_little_room() {
        let lengths: Vec<(usize, usize)> = (0..200).map(|k| (0, 2 + k * 37 % 60)).collect();
        let whole = packed(&lengths, RowOptions { time: 64, ..RowOptions::default() }).unwrap();
        assert_eq!(whole.pieces.len(), 200);
        assert!(whole.filled() > 0.95, "{}", whole.filled());
        let split = RowOptions { time: 64, packing: Packing::Split, ..RowOptions::default() };
        assert!(packed(&lengths, split).unwrap().filled() > 0.98);
    }
}
