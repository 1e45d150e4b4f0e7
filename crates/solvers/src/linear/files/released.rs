//! The binary files of the released program of deep conjugate directions (ayano721/2023_DCDM).
//!
//! A matrix: int32 rows, columns, entries, outer count and inner count; its values as float32; the starts of its rows as int32; its
//! columns as int32. A right side: 8 bytes, then float64 numbers. All little-endian.

use super::ReadError;
use crate::linear::Csr;

/// Reads a matrix.
///
/// # Errors
/// [`ReadError`] if the bytes are too few or too many, or an index is out of range.
pub fn read_matrix(bytes: &[u8]) -> Result<Csr, ReadError> {
    let mut rest = bytes;
    let mut header = [0_usize; 5];
    for (number, name) in header.iter_mut().zip(["rows", "columns", "entries", "row starts", "inner indices"])
    {
        let value = i32::from_le_bytes(take(&mut rest, "the header")?);
        *number = usize::try_from(value)
            .map_err(|_| ReadError::new(format!("the header's number of {name} is {value}")))?;
    }
    let [rows, columns, stored, outer, _] = header;
    // The end of the last row may be stored or not.
    if outer != rows && outer != rows + 1 {
        return Err(ReadError::new(format!("{outer} row starts for {rows} rows")));
    }
    let expected = 20 + 4 * (2 * stored + outer);
    if bytes.len() != expected {
        return Err(ReadError::new(format!(
            "{} bytes, expected {expected} for {rows} rows and {stored} entries",
            bytes.len()
        )));
    }
    let values: Vec<f64> = numbers(&mut rest, stored, |b| f64::from(f32::from_le_bytes(b)))?;
    let starts: Vec<i64> = numbers(&mut rest, outer, |b| i64::from(i32::from_le_bytes(b)))?;
    let indices: Vec<i64> = numbers(&mut rest, stored, |b| i64::from(i32::from_le_bytes(b)))?;
    let mut entries = Vec::with_capacity(stored);
    for i in 0..rows {
        let end = starts.get(i + 1).copied().unwrap_or(stored as i64);
        let range = usize::try_from(starts[i]).ok().zip(usize::try_from(end).ok());
        let range = range
            .map(|(start, end)| start..end)
            .filter(|range| range.start <= range.end && range.end <= stored);
        let Some(range) = range else {
            return Err(ReadError::new(format!("row {} reaches from entry {} to {end}", i + 1, starts[i])));
        };
        for k in range {
            let column = u32::try_from(indices[k]).ok().filter(|&j| (j as usize) < columns);
            let Some(column) = column else {
                return Err(ReadError::new(format!("row {}: column {} of {columns}", i + 1, indices[k])));
            };
            entries.push((i as u32, column, values[k]));
        }
    }
    Csr::from_entries(rows, columns, entries).map_err(|error| ReadError::new(error.to_string()))
}

/// Reads a right side.
///
/// # Errors
/// [`ReadError`] if the bytes are no whole number of float64 after the first eight.
pub fn read_right_side(bytes: &[u8]) -> Result<Vec<f64>, ReadError> {
    if bytes.len() < 8 || !bytes.len().is_multiple_of(8) {
        return Err(ReadError::new(format!("{} bytes, expected a multiple of 8, at least 8", bytes.len())));
    }
    Ok(bytes[8..].chunks_exact(8).map(|b| f64::from_le_bytes(b.try_into().unwrap_or_default())).collect())
}

fn take(rest: &mut &[u8], what: &str) -> Result<[u8; 4], ReadError> {
    let (bytes, after) =
        rest.split_first_chunk::<4>().ok_or_else(|| ReadError::new(format!("the file ends in {what}")))?;
    *rest = after;
    Ok(*bytes)
}

fn numbers<T>(rest: &mut &[u8], count: usize, number: impl Fn([u8; 4]) -> T) -> Result<Vec<T>, ReadError> {
    (0..count).map(|_| take(rest, "its numbers").map(&number)).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn file(outer: i32, starts: &[i32], columns: &[i32]) -> Vec<u8> {
        let values = [2.0_f32, -1.0, -1.0, 2.0];
        let header = [2, 2, 4, outer, 4];
        let ints = |list: &[i32]| list.iter().flat_map(|v| v.to_le_bytes()).collect::<Vec<u8>>();
        let values = values.iter().flat_map(|v| v.to_le_bytes()).collect();
        [ints(&header), values, ints(starts), ints(columns)].concat()
    }

    #[test]
    fn matrices_are_read_with_and_without_the_last_start() {
        let expected =
            Csr::from_entries(2, 2, vec![(0, 0, 2.0), (0, 1, -1.0), (1, 0, -1.0), (1, 1, 2.0)]).unwrap();
        assert_eq!(read_matrix(&file(3, &[0, 2, 4], &[0, 1, 0, 1])).unwrap(), expected);
        assert_eq!(read_matrix(&file(2, &[0, 2], &[0, 1, 0, 1])).unwrap(), expected);
    }

    #[test]
    fn broken_files_are_refused() {
        assert!(read_matrix(&[1, 2, 3]).is_err());
        assert!(read_matrix(&file(3, &[0, 2, 4], &[0, 1, 0])).unwrap_err().message.contains("bytes"));
        assert!(read_matrix(&file(3, &[0, 2, 4], &[0, 1, 0, 7])).unwrap_err().message.contains("column 7"));
        assert!(read_matrix(&file(3, &[0, 9, 4], &[0, 1, 0, 1])).is_err());
        assert!(read_matrix(&file(5, &[0, 2, 4], &[0, 1, 0, 1])).is_err());
        let side = [[0_u8; 8], 1.5_f64.to_le_bytes()].concat();
        assert_eq!(read_right_side(&side).unwrap(), [1.5]);
        assert!(read_right_side(&side[1..]).is_err());
    }
}
