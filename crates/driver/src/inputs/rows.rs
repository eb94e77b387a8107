//! Reads rows of an `.npy` file as inputs of float32 or float64. Refuses float32 if it would make different numbers
//! equal.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use model::DataType;
use npyz::{Deserialize, NpyFile, Order};

use super::bytes::floats;
use crate::error::Error;

/// Value from which on float32 cannot represent every integer, 2^24.
const MAX_EXACT: f64 = 16_777_216.0;

/// Maximum rounding error of float32, as a share of the column's range.
const TOLERANCE: f64 = 1e-3;

/// Ratio of range to magnitude below which a column counts as constant: its range comes from rounding.
const NOISE: f64 = 1e-12;

/// The rows to read, and their data type on the wire.
#[derive(Clone, Copy, Debug)]
pub(super) struct RowSelection {
    /// Required number of columns; `None` for any.
    pub(super) width: Option<usize>,
    /// Maximum number of rows.
    pub(super) max_rows: usize,
    /// `Floats` or `Doubles`.
    pub(super) data_type: DataType,
}

/// Reads the rows, each as bytes.
///
/// # Errors
/// If the file is not a table of numbers of this width, or float32 would lose significant digits.
pub(super) fn read(path: &Path, selection: RowSelection) -> Result<Vec<Vec<u8>>, Error> {
    let width = selection.width.map(|width| width.to_string());
    let width = width.as_deref().unwrap_or("columns");
    let refused = |why: String| Error::Usage(format!("--input_dir {} {why}", path.display()));
    let unusable = |why: String| {
        refused(format!(
            "{why}; name an .npy file of float32, float64 or integers with shape [rows, {width}]"
        ))
    };
    let file = File::open(path).map_err(|error| unusable(format!("cannot be opened: {error}")))?;
    let array = NpyFile::new(BufReader::new(file))
        .map_err(|error| unusable(format!("is not an .npy file: {error}")))?;
    let shape = array.shape().to_vec();
    let columns = match shape[..] {
        [rows, columns] if rows > 0 && columns > 0 => usize::try_from(columns).ok(),
        _ => None,
    };
    let fits = |columns: &usize| selection.width.is_none_or(|width| width == *columns);
    let columns = columns.filter(fits).filter(|_| array.order() == Order::C);
    let columns = columns.ok_or_else(|| {
        let order = array.order();
        unusable(format!("has shape {shape:?} in {order:?} order"))
    })?;
    let numbers = numbers(array, columns.saturating_mul(selection.max_rows));
    let numbers = numbers.map_err(|error| unusable(error.to_string()))?;
    let precise = selection.data_type == DataType::Doubles;
    if let Some(lost) = (!precise).then(|| first_lost(&numbers, columns)).flatten() {
        let (row, column) = (lost / columns, lost % columns);
        let number = numbers[lost];
        return Err(refused(format!(
            "has {number} in row {row}, column {column}, which is {} as a float; send doubles with --input_type doubles",
            f64::from(number as f32)
        )));
    }
    let row = |row: &[f64]| match precise {
        true => row.iter().flat_map(|number| number.to_le_bytes()).collect(),
        false => floats(row.iter().map(|&number| number as f32)),
    };
    Ok(numbers.chunks_exact(columns).map(row).collect())
}

/// Returns the first `max` numbers of a file of float32, float64 or integers.
fn numbers(array: NpyFile<BufReader<File>>, max: usize) -> io::Result<Vec<f64>> {
    let dtype = array.dtype().descr();
    // A dtype begins with its byte order: '<f4'.
    match dtype.trim_matches(['\'', '<', '>', '|', '=']) {
        "f4" => converted(array, max, |number: f32| Ok(number.into())),
        "f8" => converted(array, max, |number: f64| Ok(number)),
        "i1" => converted(array, max, |number: i8| Ok(number.into())),
        "i2" => converted(array, max, |number: i16| Ok(number.into())),
        "i4" => converted(array, max, |number: i32| Ok(number.into())),
        "i8" => converted(array, max, |number: i64| exact(number.into())),
        "u1" => converted(array, max, |number: u8| Ok(number.into())),
        "u2" => converted(array, max, |number: u16| Ok(number.into())),
        "u4" => converted(array, max, |number: u32| Ok(number.into())),
        "u8" => converted(array, max, |number: u64| exact(number.into())),
        _ => Err(io::Error::other(format!("holds values of dtype {dtype}"))),
    }
}

/// Returns the first `max` numbers of a file of type `T`.
fn converted<T: Deserialize>(
    array: NpyFile<BufReader<File>>,
    max: usize,
    double: impl Fn(T) -> io::Result<f64>,
) -> io::Result<Vec<f64>> {
    let ends_early = |error| io::Error::other(format!("ends early: {error}"));
    let data = array.data().map_err(io::Error::other)?.take(max);
    data.map(|number| double(number.map_err(ends_early)?))
        .collect()
}

/// Converts an integer to float64, which represents every integer up to 2^53.
fn exact(number: i128) -> io::Result<f64> {
    let double = number as f64;
    match double as i128 == number {
        true => Ok(double),
        false => Err(io::Error::other(format!(
            "has {number}, which float64 cannot hold exactly"
        ))),
    }
}

/// Returns the index of the first number that float32 changes: one of 2^24 or more that is not a float32, or one with
/// a rounding error above a thousandth of its column's range. Rounding of fractions such as 0.1 is accepted.
fn first_lost(numbers: &[f64], columns: usize) -> Option<usize> {
    let tolerances: Vec<f64> = (0..columns)
        .map(|column| tolerance(numbers.iter().skip(column).step_by(columns)))
        .collect();
    let is_lost = |(index, &number): (usize, &f64)| {
        let error = (f64::from(number as f32) - number).abs();
        let is_large = number.is_finite() && number.abs() >= MAX_EXACT;
        error > 0.0 && (is_large || error > tolerances[index % columns])
    };
    numbers.iter().enumerate().position(is_lost)
}

/// Returns the maximum rounding error of a number in this column.
fn tolerance<'a>(column: impl Iterator<Item = &'a f64>) -> f64 {
    let finite = column.copied().filter(|number| number.is_finite());
    let range = finite.fold(None, |range: Option<(f64, f64)>, number| {
        let (least, greatest) = range.unwrap_or((number, number));
        Some((least.min(number), greatest.max(number)))
    });
    let (least, greatest) = range.unwrap_or_default();
    let range = greatest - least;
    match range > NOISE * least.abs().max(greatest.abs()) {
        true => TOLERANCE * range,
        false => f64::INFINITY,
    }
}

#[cfg(test)]
mod tests {
    use std::path::PathBuf;

    use npyz::{AutoSerialize, Serialize, WriterBuilder};

    use super::*;

    /// Writes a file of two columns.
    fn file<T: AutoSerialize + Serialize + Copy>(folder: &Path, rows: &[[T; 2]]) -> PathBuf {
        let path = folder.join("rows.npy");
        let mut writer = npyz::WriteOptions::new()
            .default_dtype()
            .shape(&[rows.len() as u64, 2])
            .writer(File::create(&path).unwrap())
            .begin_nd()
            .unwrap();
        writer.extend(rows.as_flattened()).unwrap();
        writer.finish().unwrap();
        path
    }

    fn read_as(path: &Path, data_type: DataType) -> Result<Vec<Vec<u8>>, Error> {
        let selection = RowSelection {
            width: Some(2),
            max_rows: 9,
            data_type,
        };
        read(path, selection)
    }

    fn doubles(rows: &[[f64; 2]]) -> Vec<Vec<u8>> {
        let bytes = |row: &[f64; 2]| row.map(f64::to_le_bytes).concat();
        rows.iter().map(bytes).collect()
    }

    #[test]
    fn numbers_that_floats_would_merge_need_doubles() {
        let folder = tempfile::tempdir().unwrap();
        let place = folder.path();
        for (rows, said) in [
            (
                [[0.5, 1_700_000_990.0], [0.5, 1_700_001_010.0]],
                "has 1700000990 in row 0, column 1, which is 1700001024 as a float; send doubles with --input_type doubles",
            ),
            (
                [[16_777_216.0, 0.1], [16_777_217.0, 0.2]],
                "has 16777217 in row 1, column 0",
            ),
            (
                [[-16_777_217.0, 0.1], [f64::NAN, 0.2]],
                "has -16777217 in row 0, column 0",
            ),
            (
                [[1e39, 0.1], [0.0, 0.2]],
                "in row 0, column 0, which is inf as a float",
            ),
            // Their distance is below the resolution of float32.
            (
                [[1_000_000.01, 0.1], [1_000_000.02, 0.2]],
                "has 1000000.01 in row 0, column 0",
            ),
        ] {
            let path = file(place, &rows);
            let error = read_as(&path, DataType::Floats).unwrap_err().to_string();
            assert!(error.contains(said), "{error}");
            assert_eq!(read_as(&path, DataType::Doubles).unwrap(), doubles(&rows));
        }
        let ids = file(place, &[[20_000_001_i64, 1], [20_000_002, 2]]);
        let error = read_as(&ids, DataType::Floats).unwrap_err().to_string();
        assert!(error.contains("has 20000001 in row 0, column 0"), "{error}");
        let sent = read_as(&ids, DataType::Doubles).unwrap();
        assert_eq!(sent, doubles(&[[20_000_001.0, 1.0], [20_000_002.0, 2.0]]));
        let beyond = file(place, &[[(1_i64 << 53) + 1, 1], [2, 3]]);
        let error = read_as(&beyond, DataType::Doubles).unwrap_err().to_string();
        assert!(
            error.contains("has 9007199254740993, which float64 cannot hold exactly"),
            "{error}"
        );
    }

    #[test]
    fn integers_of_every_type_are_read() {
        fn check<T>(rows: [[T; 2]; 2])
        where
            T: AutoSerialize + Serialize + Copy + Into<i128>,
        {
            let folder = tempfile::tempdir().unwrap();
            let path = file(folder.path(), &rows);
            let expected = rows.map(|row| row.map(|number| number.into() as f64));
            let sent = read_as(&path, DataType::Doubles).unwrap();
            assert_eq!(sent, doubles(&expected), "{}", std::any::type_name::<T>());
        }
        check([[i8::MIN, -1], [0, i8::MAX]]);
        check([[i16::MIN, -1], [0, i16::MAX]]);
        check([[i32::MIN, -1], [0, i32::MAX]]);
        check([[i64::MIN, -1], [0, 1 << 53]]);
        check([[0, 1], [2, u8::MAX]]);
        check([[0, 1], [2, u16::MAX]]);
        check([[0, 1], [2, u32::MAX]]);
        check([[0, 1], [2, 1_u64 << 63]]);
        let folder = tempfile::tempdir().unwrap();
        let refused = |path: &Path| read_as(path, DataType::Doubles).unwrap_err().to_string();
        let signed = refused(&file(folder.path(), &[[i64::MAX, 0]]));
        assert!(
            signed.contains("has 9223372036854775807, which float64 cannot hold exactly"),
            "{signed}"
        );
        let unsigned = refused(&file(folder.path(), &[[u64::MAX, 0]]));
        assert!(
            unsigned.contains("has 18446744073709551615, which float64 cannot hold exactly"),
            "{unsigned}"
        );
    }

    #[test]
    fn errors_name_an_unsupported_dtype() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), &[[true, false]]);
        let error = read_as(&path, DataType::Floats).unwrap_err().to_string();
        assert!(error.contains("holds values of dtype '|b1'"), "{error}");
    }

    #[test]
    fn fractions_are_rounded_to_float32() {
        let folder = tempfile::tempdir().unwrap();
        let rows = [
            [0.1, 16_777_216.0],
            [1.0 / 3.0, 1_700_001_024.0],
            [f64::NAN, f64::INFINITY],
            [0.1 + 1e-9, -16_777_218.0],
        ];
        let expected = |row: &[f64; 2]| row.map(|number| (number as f32).to_le_bytes()).concat();
        let expected: Vec<_> = rows.iter().map(expected).collect();
        let path = file(folder.path(), &rows);
        assert_eq!(read_as(&path, DataType::Floats).unwrap(), expected);
        // Constant except for the last digit, as after a summation.
        let path = file(folder.path(), &[[0.1, 0.3], [0.1, 0.1 + 0.2]]);
        assert!(read_as(&path, DataType::Floats).is_ok());
        let single = file(folder.path(), &[[0.1_f32, 1.7e9], [0.2, 1.8e9]]);
        assert!(read_as(&single, DataType::Floats).is_ok());
        let widened = [[0.1_f32, 1.7e9], [0.2, 1.8e9]].map(|row| row.map(f64::from));
        assert_eq!(
            read_as(&single, DataType::Doubles).unwrap(),
            doubles(&widened)
        );
    }

    #[test]
    fn rows_have_any_width_if_none_is_required() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), &[[1.0, 2.0]]);
        let of = |width| {
            let selection = RowSelection {
                width,
                max_rows: 9,
                data_type: DataType::Floats,
            };
            read(&path, selection)
        };
        assert_eq!(of(None).unwrap()[0].len(), 8);
        let error = of(Some(3)).unwrap_err().to_string();
        assert!(error.contains("has shape [1, 2]"), "{error}");
        assert!(error.contains("with shape [rows, 3]"), "{error}");
    }
}
