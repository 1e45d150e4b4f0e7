//! Vectors and voxel grids in files: NumPy arrays (`.npy`, C order), and voxels as bits.

use npyz::{NpyFile, Order};

use super::ReadError;
use crate::linear::Cell;

/// An array with its shape, in C order.
#[derive(Clone, Debug, PartialEq)]
pub struct Array {
    /// The extents.
    pub shape: Vec<usize>,
    /// The values.
    pub values: Vec<f64>,
}

/// Reads an array of numbers or truth values.
///
/// # Errors
/// [`ReadError`] if the bytes are not such an array.
pub fn read_npy(bytes: &[u8]) -> Result<Array, ReadError> {
    let broken = |error: std::io::Error| ReadError::new(format!("not a NumPy array: {error}"));
    let open = || NpyFile::new(bytes).map_err(broken);
    let file = open()?;
    let shape: Vec<usize> = file.shape().iter().map(|&n| n as usize).collect();
    if file.order() == Order::Fortran && shape.len() > 1 {
        return Err(ReadError::new("the array is in Fortran order; save `numpy.ascontiguousarray(a)`"));
    }
    let kind = file.dtype().descr().to_string();
    macro_rules! read_as {
        ($($kind:ty => $convert:expr),* $(,)?) => {$(
            if let Ok(data) = open()?.data::<$kind>() {
                let values = data.map(|value| value.map($convert)).collect::<Result<_, _>>().map_err(broken)?;
                return Ok(Array { shape, values });
            }
        )*};
    }
    read_as!(
        f64 => |v| v,
        f32 => f64::from,
        bool => |v| f64::from(u8::from(v)),
        u8 => f64::from,
        i8 => f64::from,
        i32 => f64::from,
        i64 => |v| v as f64,
    );
    Err(ReadError::new(format!(
        "an array of {kind}; expected numbers of float64, float32, int64, int32, int8, uint8 or bool"
    )))
}

/// Reads the cells of a grid: 0 fluid, 1 solid, 2 air (truth values: true is solid).
///
/// # Errors
/// [`ReadError`] if the bytes are no array of two or three axes, or hold another value.
pub fn read_cells(bytes: &[u8]) -> Result<(Vec<usize>, Vec<Cell>), ReadError> {
    let Array { shape, values } = read_npy(bytes)?;
    if !matches!(shape.len(), 2 | 3) {
        return Err(ReadError::new(format!("an array of shape {shape:?}; expected two or three axes")));
    }
    let cells = values.iter().enumerate().map(|(i, &value)| match value {
        0.0 => Ok(Cell::Fluid),
        1.0 => Ok(Cell::Solid),
        2.0 => Ok(Cell::Air),
        _ => Err(ReadError::new(format!("cell {i} is {value}; expected 0 (fluid), 1 (solid) or 2 (air)"))),
    });
    Ok((shape, cells.collect::<Result<_, _>>()?))
}

/// Reads a mask of solid cells: one bit for each cell in C order, the least significant bit of each byte first, 1 for solid.
///
/// # Errors
/// [`ReadError`] if there are not as many bits, rounded up to bytes, as cells in the shape.
pub fn read_bits(bytes: &[u8], shape: &[usize]) -> Result<Vec<Cell>, ReadError> {
    let cells = shape.iter().try_fold(1_usize, |count, &n| count.checked_mul(n));
    match cells {
        Some(cells) if cells.div_ceil(8) == bytes.len() => Ok((0..cells)
            .map(|cell| if bytes[cell / 8] >> (cell % 8) & 1 == 1 { Cell::Solid } else { Cell::Fluid })
            .collect()),
        _ => Err(ReadError::new(format!(
            "{} bytes of bits; a grid of {shape:?} cells has {}",
            bytes.len(),
            cells.map_or("too many".into(), |cells| cells.div_ceil(8).to_string())
        ))),
    }
}

#[cfg(test)]
mod tests {
    use npyz::WriterBuilder;

    use super::*;

    fn npy<T: npyz::AutoSerialize + Copy>(values: &[T], shape: &[u64], order: Order) -> Vec<u8> {
        let mut bytes = Vec::new();
        let options = npyz::WriteOptions::new().default_dtype().shape(shape).order(order);
        let mut writer = options.writer(&mut bytes).begin_nd().unwrap();
        writer.extend(values.iter().copied()).unwrap();
        writer.finish().unwrap();
        bytes
    }

    #[test]
    fn arrays_of_several_kinds_are_read() {
        let expected = Array { shape: vec![2, 2], values: vec![1.0, 0.0, 1.0, 1.0] };
        let read = |bytes: Vec<u8>| read_npy(&bytes).unwrap();
        assert_eq!(read(npy(&[1.0, 0.0, 1.0, 1.0], &[2, 2], Order::C)), expected);
        assert_eq!(read(npy(&[1.0_f32, 0.0, 1.0, 1.0], &[2, 2], Order::C)), expected);
        assert_eq!(read(npy(&[1_u8, 0, 1, 1], &[2, 2], Order::C)), expected);
        assert_eq!(read(npy(&[true, false, true, true], &[2, 2], Order::C)), expected);
        assert_eq!(read(npy(&[1_i64, 0, 1, 1], &[2, 2], Order::C)), expected);
        let (shape, cells) = read_cells(&npy(&[2_u8, 0, 1, 1], &[2, 2], Order::C)).unwrap();
        assert_eq!((shape, cells), (vec![2, 2], vec![Cell::Air, Cell::Fluid, Cell::Solid, Cell::Solid]));
    }

    #[test]
    fn other_files_are_refused() {
        assert!(read_npy(b"nothing").unwrap_err().message.contains("not a NumPy array"));
        let fortran = npy(&[1.0, 2.0, 3.0, 4.0], &[2, 2], Order::Fortran);
        assert!(read_npy(&fortran).unwrap_err().message.contains("Fortran"));
        let mut short = npy(&[1.0, 2.0], &[2], Order::C);
        short.pop();
        assert!(read_npy(&short).is_err());
        assert!(read_cells(&npy(&[1_u8], &[1], Order::C)).is_err());
        assert!(read_cells(&npy(&[7_u8], &[1, 1], Order::C)).unwrap_err().message.contains("cell 0 is 7"));
        let unsigned = npy(&[1_u16], &[1], Order::C);
        assert!(read_npy(&unsigned).unwrap_err().message.contains("expected numbers"));
    }

    #[test]
    fn bits_count_from_the_least_significant() {
        let cells = read_bits(&[0b0000_0101, 0b1], &[3, 3]).unwrap();
        let solid: Vec<usize> = (0..9).filter(|&i| cells[i] == Cell::Solid).collect();
        assert_eq!(solid, [0, 2, 8]);
        assert!(read_bits(&[0; 3], &[3, 3]).unwrap_err().message.contains("has 2"));
    }
}
