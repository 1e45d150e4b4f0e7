//! Token files: the tokens of many documents in one file, mapped into memory, so that a file may be larger than it.
//!
//! All numbers are little-endian. The header of 128 bytes holds
//!
//! | bytes | what |
//! |---|---|
//! | 0..8 | `mathtok1` |
//! | 8..12 | bytes of a token: 2 or 4 |
//! | 12..16 | tokens in the vocabulary |
//! | 16..24 | tokens |
//! | 24..32 | documents |
//! | 32..64 | digest of what the file is made from, such as the tokenizer and the texts |
//! | 64..96 | BLAKE3 digest of everything after the header, then of bytes 8..64 |
//! | 96..128 | zeros |
//!
//! and is followed by the tokens, zeros up to a multiple of 8 bytes, and for every document its end and the place at which its
//! reply begins, counted in tokens from the beginning of the file's tokens: two numbers of 8 bytes. What stands before the
//! reply is the prompt, empty in documents that have none.

use std::fs::File;
use std::io::{BufWriter, Read, Seek, SeekFrom, Write};
use std::ops::Range;
use std::path::{Path, PathBuf};

use memmap2::Mmap;

const MAGIC: &[u8; 8] = b"mathtok1";
const HEADER: usize = 128;

/// Why a token file cannot be read or written.
#[derive(Debug, thiserror::Error)]
pub enum TokenFileError {
    /// The file could not be read or written.
    #[error("{path}: {error}")]
    File {
        /// The file.
        path: PathBuf,
        /// What happened.
        error: std::io::Error,
    },
    /// It is something else, or cut short.
    #[error("{path} is no token file: {reason}")]
    Format {
        /// The file.
        path: PathBuf,
        /// What is wrong.
        reason: String,
    },
    /// A token that the vocabulary does not have.
    #[error("token {token} of document {document}: expected one below the vocabulary's size {vocabulary}")]
    Token {
        /// The token.
        token: u32,
        /// The document's number, from 0.
        document: u64,
        /// The vocabulary's size.
        vocabulary: u32,
    },
}

/// A token file that is being written, under a temporary name until it is complete.
pub struct TokenWriter {
    path: PathBuf,
    file: BufWriter<tempfile::NamedTempFile>,
    digest: blake3::Hasher,
    origin: [u8; 32],
    vocabulary: u32,
    tokens: u64,
    table: Vec<[u64; 2]>,
}

impl TokenWriter {
    /// Begin a file for a vocabulary of so many tokens, with a digest of what it is made from.
    ///
    /// # Errors
    /// If no file can be made in the folder.
    pub fn create(path: &Path, vocabulary: u32, origin: [u8; 32]) -> Result<Self, TokenFileError> {
        let begin = || -> std::io::Result<_> {
            let mut file = BufWriter::new(crate::files::temporary_beside(path)?);
            file.write_all(&[0; HEADER])?;
            Ok(file)
        };
        let file = begin().map_err(|error| TokenFileError::File { path: path.into(), error })?;
        let digest = blake3::Hasher::new();
        Ok(TokenWriter { path: path.into(), file, digest, origin, vocabulary, tokens: 0, table: Vec::new() })
    }

    /// Add a document: a prompt, which may be empty, and the reply or text.
    ///
    /// # Errors
    /// If a token is not in the vocabulary, or the file cannot be written.
    pub fn add(&mut self, prompt: &[u32], reply: &[u32]) -> Result<(), TokenFileError> {
        let mut bytes = Vec::with_capacity(4 * (prompt.len() + reply.len()));
        for &token in prompt.iter().chain(reply) {
            if token >= self.vocabulary {
                let document = self.table.len() as u64;
                return Err(TokenFileError::Token { token, document, vocabulary: self.vocabulary });
            }
            bytes.extend_from_slice(&token.to_le_bytes()[..width(self.vocabulary)]);
        }
        self.write(&bytes)?;
        let reply_start = self.tokens + prompt.len() as u64;
        self.tokens = reply_start + reply.len() as u64;
        self.table.push([self.tokens, reply_start]);
        Ok(())
    }

    /// Complete the file and give it its name.
    ///
    /// # Errors
    /// If it cannot be written.
    pub fn finish(mut self) -> Result<(), TokenFileError> {
        let size = self.tokens as usize * width(self.vocabulary);
        self.write(&[0; 8][..size.next_multiple_of(8) - size])?;
        let table: Vec<u8> = self.table.iter().flatten().flat_map(|number| number.to_le_bytes()).collect();
        self.write(&table)?;
        let mut header = Vec::with_capacity(HEADER);
        header.extend_from_slice(MAGIC);
        header.extend_from_slice(&(width(self.vocabulary) as u32).to_le_bytes());
        header.extend_from_slice(&self.vocabulary.to_le_bytes());
        header.extend_from_slice(&self.tokens.to_le_bytes());
        header.extend_from_slice(&(self.table.len() as u64).to_le_bytes());
        header.extend_from_slice(&self.origin);
        self.digest.update(&header[8..]);
        header.extend_from_slice(self.digest.finalize().as_bytes());
        let TokenWriter { path, file, .. } = self;
        let complete = || -> std::io::Result<()> {
            let mut file = file.into_inner().map_err(std::io::IntoInnerError::into_error)?;
            file.seek(SeekFrom::Start(0))?;
            file.write_all(&header)?;
            crate::files::keep(file, &path)
        };
        complete().map_err(|error| TokenFileError::File { path: path.clone(), error })
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), TokenFileError> {
        self.digest.update(bytes);
        let written = self.file.write_all(bytes);
        written.map_err(|error| TokenFileError::File { path: self.path.clone(), error })
    }
}

/// Bytes of a token.
fn width(vocabulary: u32) -> usize {
    if vocabulary <= 1 << 16 { 2 } else { 4 }
}

/// A token file, mapped into memory.
#[derive(Debug)]
pub struct TokenFile {
    map: Mmap,
    path: PathBuf,
    width: usize,
    vocabulary: u32,
    tokens: usize,
    documents: usize,
}

impl TokenFile {
    /// Open a file. Its header and sizes are checked, its content is not; see [`verify`](Self::verify).
    ///
    /// # Errors
    /// If it cannot be read or is no token file.
    pub fn open(path: &Path) -> Result<Self, TokenFileError> {
        let refuse = |reason: String| TokenFileError::Format { path: path.into(), reason };
        let file_error = |error| TokenFileError::File { path: path.into(), error };
        let mut file = File::open(path).map_err(file_error)?;
        let mut header = [0; HEADER];
        let read = file.read_exact(&mut header);
        if read.is_err() || &header[..8] != MAGIC || header[96..] != [0; 32] {
            return Err(refuse("it does not begin as one".to_string()));
        }
        // SAFETY: the map is valid as long as nobody shortens or changes the file. We write token files under another name and
        // rename them, and never change one; that others leave it alone while it is read is documented.
        let map = unsafe { Mmap::map(&file) }.map_err(file_error)?;
        let half =
            |at: usize| u32::from_le_bytes([header[at], header[at + 1], header[at + 2], header[at + 3]]);
        let vocabulary = half(12);
        let (tokens, documents) = (number(&header, 16), number(&header, 24));
        if half(8) as usize != width(vocabulary) {
            return Err(refuse(format!("{} bytes for a token of a vocabulary of {vocabulary}", half(8))));
        }
        let width = width(vocabulary);
        let size = (|| {
            let tokens = usize::try_from(tokens).ok()?.checked_mul(width)?.checked_next_multiple_of(8)?;
            let table = usize::try_from(documents).ok()?.checked_mul(16)?;
            HEADER.checked_add(tokens)?.checked_add(table)
        })();
        if size != Some(map.len()) {
            return Err(refuse(format!(
                "{} bytes, which are not those of {tokens} tokens in {documents} documents",
                map.len()
            )));
        }
        let file = TokenFile {
            map,
            path: path.into(),
            width,
            vocabulary,
            tokens: tokens as usize,
            documents: documents as usize,
        };
        let mut start = 0;
        for document in 0..file.documents {
            let [end, reply] = file.entry(document);
            if !(start <= reply && reply <= end && end <= file.tokens) {
                return Err(refuse(format!("document {document} does not follow the one before it")));
            }
            start = end;
        }
        if start != file.tokens {
            return Err(refuse("the documents end before the tokens".to_string()));
        }
        Ok(file)
    }

    /// Check the whole content against its digest, and every token against the vocabulary.
    ///
    /// # Errors
    /// If it is not as it was written.
    pub fn verify(&self) -> Result<(), TokenFileError> {
        let mut digest = blake3::Hasher::new();
        digest.update(&self.map[HEADER..]).update(&self.map[8..64]);
        if digest.finalize().as_bytes() != &self.map[64..96] {
            let reason = "it does not have the digest that its header says; it has been damaged";
            return Err(TokenFileError::Format { path: self.path.clone(), reason: reason.to_string() });
        }
        match (0..self.tokens).map(|k| self.token(k)).find(|&token| token >= self.vocabulary) {
            None => Ok(()),
            Some(token) => {
                let reason = format!("token {token} of a vocabulary of {}", self.vocabulary);
                Err(TokenFileError::Format { path: self.path.clone(), reason })
            }
        }
    }

    /// The number of documents.
    pub fn documents(&self) -> usize {
        self.documents
    }

    /// The number of tokens.
    pub fn tokens(&self) -> usize {
        self.tokens
    }

    /// All tokens are below this number.
    pub fn vocabulary(&self) -> u32 {
        self.vocabulary
    }

    /// What the tokens of a document are in the file, and the place among them at which its reply begins.
    pub fn document(&self, document: usize) -> (Range<usize>, usize) {
        let start = if document == 0 { 0 } else { self.entry(document - 1)[0] };
        let [end, reply] = self.entry(document);
        (start..end, reply)
    }

    /// A token by its place in the file.
    pub fn token(&self, place: usize) -> u32 {
        let at = HEADER + place * self.width;
        match self.width {
            2 => u32::from(u16::from_le_bytes([self.map[at], self.map[at + 1]])),
            _ => u32::from_le_bytes([self.map[at], self.map[at + 1], self.map[at + 2], self.map[at + 3]]),
        }
    }

    /// The digest of what the file is made from.
    pub fn origin(&self) -> &[u8] {
        &self.map[32..64]
    }

    /// The digest of the content, as hexadecimal digits.
    pub fn digest(&self) -> String {
        self.map[64..96].iter().map(|byte| format!("{byte:02x}")).collect()
    }

    fn entry(&self, document: usize) -> [usize; 2] {
        let at = HEADER + (self.tokens * self.width).next_multiple_of(8) + 16 * document;
        [number(&self.map, at) as usize, number(&self.map, at + 8) as usize]
    }
}

fn number(bytes: &[u8], at: usize) -> u64 {
    let mut number = [0; 8];
    number.copy_from_slice(&bytes[at..at + 8]);
    u64::from_le_bytes(number)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn write(path: &Path, vocabulary: u32, documents: &[(Vec<u32>, Vec<u32>)]) -> Result<(), TokenFileError> {
        let mut writer = TokenWriter::create(path, vocabulary, [7; 32])?;
        for (prompt, reply) in documents {
            writer.add(prompt, reply)?;
        }
        writer.finish()
    }

    #[test]
    fn a_file_gives_back_what_was_written() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.tokens");
        let documents = vec![(vec![1, 2], vec![3]), (vec![], vec![]), (vec![], vec![65_535, 0, 9, 4])];
        for vocabulary in [65_536, 65_537, u32::MAX] {
            write(&path, vocabulary, &documents).unwrap();
            let file = TokenFile::open(&path).unwrap();
            file.verify().unwrap();
            assert_eq!((file.documents(), file.tokens(), file.vocabulary()), (3, 7, vocabulary));
            assert_eq!((file.origin(), file.digest().len()), ([7; 32].as_slice(), 64));
            for (k, (prompt, reply)) in documents.iter().enumerate() {
                let (range, start) = file.document(k);
                let tokens: Vec<u32> = range.clone().map(|place| file.token(place)).collect();
                assert_eq!(tokens, [prompt.clone(), reply.clone()].concat());
                assert_eq!(start - range.start, prompt.len());
            }
        }
        write(&path, 10, &[]).unwrap();
        assert_eq!(TokenFile::open(&path).unwrap().documents(), 0);
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 1);
    }

    #[test]
    fn damage_is_found() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("some.tokens");
        assert!(matches!(write(&path, 3, &[(vec![3], vec![])]), Err(TokenFileError::Token { .. })));
        assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), 0);
        write(&path, 300, &[(vec![1, 2], vec![3, 4]), (vec![], vec![5])]).unwrap();
        let good = std::fs::read(&path).unwrap();
        let open = |bytes: &[u8]| {
            std::fs::write(&path, bytes).unwrap();
            TokenFile::open(&path).and_then(|file| file.verify())
        };
        open(&good).unwrap();
        for length in [0, 100, HEADER, good.len() - 1] {
            assert!(open(&good[..length]).is_err());
        }
        for at in 0..good.len() {
            let mut bad = good.clone();
            bad[at] ^= 0x11;
            assert!(open(&bad).is_err(), "byte {at}");
        }
        assert!(matches!(TokenFile::open(&folder.path().join("none")), Err(TokenFileError::File { .. })));
    }
}
