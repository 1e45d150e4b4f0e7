//! The file itself: GGUF, version 3, in little-endian order (<https://github.com/ggml-org/ggml/blob/master/docs/gguf.md>).
//!
//! ```text
//! magic, version, number of tensors, number of entries
//! entries:  key, kind, value
//! tensors:  name, number of extents, extents (the last axis first), encoding, offset
//! zeros up to a multiple of 32, then the numbers of each tensor, again with zeros
//! ```
//!
//! Entries stand in the order in which they are given, so that equal models are equal files.

use std::io::{Result, Write};

/// A value of an entry.
#[derive(Clone, Debug, PartialEq)]
pub enum Entry {
    Whole(u32),
    Real(f32),
    Flag(bool),
    Text(String),
    Texts(Vec<String>),
    Wholes(Vec<i32>),
    Reals(Vec<f32>),
}

/// How the numbers of a tensor are written.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Encoding {
    F32,
    F16,
    Bf16,
    /// Blocks of 32 numbers in 8 bits with a scale in 16.
    Q8,
}

/// A tensor, without its numbers.
#[derive(Clone, Debug)]
pub struct Tensor {
    pub name: String,
    /// In row-major order.
    pub shape: Vec<usize>,
    pub encoding: Encoding,
}

/// All that stands before the numbers.
pub struct Header<'a> {
    pub entries: &'a [(String, Entry)],
    pub tensors: &'a [Tensor],
}

const MAGIC: &[u8] = b"GGUF";
const VERSION: u32 = 3;
const ALIGNMENT: usize = 32;

impl Tensor {
    /// The bytes of its numbers.
    pub fn bytes(&self) -> usize {
        let count: usize = self.shape.iter().product();
        match self.encoding {
            Encoding::F32 => 4 * count,
            Encoding::F16 | Encoding::Bf16 => 2 * count,
            Encoding::Q8 => count / 32 * 34,
        }
    }
}

impl Encoding {
    fn number(self) -> u32 {
        match self {
            Encoding::F32 => 0,
            Encoding::F16 => 1,
            Encoding::Q8 => 8,
            Encoding::Bf16 => 30,
        }
    }
}

impl Header<'_> {
    /// Write it, up to where the numbers of the first tensor begin.
    pub fn write(&self, out: &mut impl Write) -> Result<()> {
        let mut head = Vec::new();
        head.extend(MAGIC);
        head.extend(VERSION.to_le_bytes());
        length(self.tensors.len(), &mut head);
        length(self.entries.len(), &mut head);
        for (key, entry) in self.entries {
            text(key, &mut head);
            entry.write(&mut head);
        }
        let mut offset = 0;
        for tensor in self.tensors {
            text(&tensor.name, &mut head);
            head.extend((tensor.shape.len() as u32).to_le_bytes());
            for &extent in tensor.shape.iter().rev() {
                length(extent, &mut head);
            }
            head.extend(tensor.encoding.number().to_le_bytes());
            length(offset, &mut head);
            offset += tensor.bytes().next_multiple_of(ALIGNMENT);
        }
        out.write_all(&head)?;
        align(out, head.len())
    }
}

/// Write zeros after so many bytes, up to where something may begin.
pub fn align(out: &mut impl Write, bytes: usize) -> Result<()> {
    out.write_all(&[0; ALIGNMENT][..bytes.next_multiple_of(ALIGNMENT) - bytes])
}

impl Entry {
    fn write(&self, head: &mut Vec<u8>) {
        const WHOLE: u32 = 4;
        const SIGNED: u32 = 5;
        const REAL: u32 = 6;
        const FLAG: u32 = 7;
        const TEXT: u32 = 8;
        const LIST: u32 = 9;
        let kind = |kinds: &[u32], head: &mut Vec<u8>| {
            head.extend(kinds.iter().flat_map(|kind| kind.to_le_bytes()));
        };
        match self {
            Entry::Whole(value) => {
                kind(&[WHOLE], head);
                head.extend(value.to_le_bytes());
            }
            Entry::Real(value) => {
                kind(&[REAL], head);
                head.extend(value.to_le_bytes());
            }
            Entry::Flag(value) => {
                kind(&[FLAG], head);
                head.push(u8::from(*value));
            }
            Entry::Text(value) => {
                kind(&[TEXT], head);
                text(value, head);
            }
            Entry::Texts(values) => {
                kind(&[LIST, TEXT], head);
                length(values.len(), head);
                values.iter().for_each(|value| text(value, head));
            }
            Entry::Wholes(values) => {
                kind(&[LIST, SIGNED], head);
                length(values.len(), head);
                head.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
            Entry::Reals(values) => {
                kind(&[LIST, REAL], head);
                length(values.len(), head);
                head.extend(values.iter().flat_map(|value| value.to_le_bytes()));
            }
        }
    }
}

fn length(length: usize, head: &mut Vec<u8>) {
    head.extend((length as u64).to_le_bytes());
}

fn text(text: &str, head: &mut Vec<u8>) {
    length(text.len(), head);
    head.extend(text.as_bytes());
}
