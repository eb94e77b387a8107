//! Rows of an `.npy` file as inputs: floats, if none of the numbers loses what tells it from others, or doubles.

use std::{
    fs::File,
    io::{self, BufReader},
    path::Path,
};

use model::DataType;
use npyz::{Deserialize, NpyFile, Order};

use super::bytes::floats;
use crate::error::Error;

/// From here on float32 lacks whole numbers.
const WHOLE: f64 = 16_777_216.0;

/// A number may move by this share of its column's range when it is rounded to float32.
const TOLERANCE: f64 = 1e-3;

/// A column's range that is a smaller share of its numbers comes from rounding: the column is constant.
const NOISE: f64 = 1e-12;

/// Which rows are wanted, and as what.
#[derive(Clone, Copy, Debug)]
pub(super) struct Wanted {
    /// Numbers in a row; `None` if any will do.
    pub(super) width: Option<usize>,
    /// Rows, at most.
    pub(super) most: usize,
    /// Floats or doubles.
    pub(super) data_type: DataType,
}

/// The rows, each as its bytes.
///
/// # Errors
/// If the file is no table of numbers of this width, or its numbers would lose digits that matter.
pub(super) fn read(path: &Path, wanted: Wanted) -> Result<Vec<Vec<u8>>, Error> {
    let width = wanted.width.map(|width| width.to_string());
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
    let fits = |columns: &usize| wanted.width.is_none_or(|width| width == *columns);
    let columns = columns.filter(fits).filter(|_| array.order() == Order::C);
    let columns = columns.ok_or_else(|| {
        let order = array.order();
        unusable(format!("has shape {shape:?} in {order:?} order"))
    })?;
    let numbers = numbers(array, columns.saturating_mul(wanted.most));
    let numbers = numbers.map_err(|error| unusable(error.to_string()))?;
    let precise = wanted.data_type == DataType::Doubles;
    if let Some(lost) = (!precise).then(|| lost(&numbers, columns)).flatten() {
        let (row, column) = (lost / columns, lost % columns);
        let number = numbers[lost];
        return Err(refused(format!(
            "has {number} in row {row}, column {column}, which is {} as a float: send doubles, with --input_type doubles",
            f64::from(number as f32)
        )));
    }
    let row = |row: &[f64]| match precise {
        true => row.iter().flat_map(|number| number.to_le_bytes()).collect(),
        false => floats(row.iter().map(|&number| number as f32)),
    };
    Ok(numbers.chunks_exact(columns).map(row).collect())
}

/// The first numbers of a file of float32, float64 or integers.
fn numbers(array: NpyFile<BufReader<File>>, most: usize) -> io::Result<Vec<f64>> {
    let dtype = array.dtype().descr();
    // A dtype begins with its byte order, as in '<f4'.
    match dtype.trim_matches(['\'', '<', '>', '|', '=']) {
        "f4" => converted(array, most, |number: f32| Ok(number.into())),
        "f8" => converted(array, most, |number: f64| Ok(number)),
        "i1" => converted(array, most, |number: i8| Ok(number.into())),
        "i2" => converted(array, most, |number: i16| Ok(number.into())),
        "i4" => converted(array, most, |number: i32| Ok(number.into())),
        "i8" => converted(array, most, |number: i64| exact(number.into())),
        "u1" => converted(array, most, |number: u8| Ok(number.into())),
        "u2" => converted(array, most, |number: u16| Ok(number.into())),
        "u4" => converted(array, most, |number: u32| Ok(number.into())),
        "u8" => converted(array, most, |number: u64| exact(number.into())),
        _ => Err(io::Error::other(format!("holds values of dtype {dtype}"))),
    }
}

/// The first numbers of a file of this type.
fn converted<T: Deserialize>(
    array: NpyFile<BufReader<File>>,
    most: usize,
    double: impl Fn(T) -> io::Result<f64>,
) -> io::Result<Vec<f64>> {
    let ends_early = |error| io::Error::other(format!("ends early: {error}"));
    let data = array.data().map_err(io::Error::other)?.take(most);
    data.map(|number| double(number.map_err(ends_early)?))
        .collect()
}

/// A 64-bit integer as a double, which holds each of them up to 2^53.
fn exact(number: i128) -> io::Result<f64> {
    let double = number as f64;
    match double as i128 == number {
        true => Ok(double),
        false => Err(io::Error::other(format!(
            "has {number}, which float64 cannot hold exactly"
        ))),
    }
}

/// The place of the first number that float32 makes another one: a number of 2^24 or more that is not a float32, or one
/// that moves by more than a thousandth of its column's range. Fractions such as 0.1 are rounded.
fn lost(numbers: &[f64], columns: usize) -> Option<usize> {
    let allowed: Vec<f64> = (0..columns)
        .map(|column| allowed(numbers.iter().skip(column).step_by(columns)))
        .collect();
    let is_lost = |(place, &number): (usize, &f64)| {
        let moved = (f64::from(number as f32) - number).abs();
        let is_large = number.is_finite() && number.abs() >= WHOLE;
        moved > 0.0 && (is_large || moved > allowed[place % columns])
    };
    numbers.iter().enumerate().position(is_lost)
}

/// How far a number of this column may move.
fn allowed<'a>(column: impl Iterator<Item = &'a f64>) -> f64 {
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

    /// A file of two columns.
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
        let wanted = Wanted {
            width: Some(2),
            most: 9,
            data_type,
        };
        read(path, wanted)
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
                "has 1700000990 in row 0, column 1, which is 1700001024 as a float: send doubles, with --input_type doubles",
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
            // Closer together than floats are there.
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
    fn whole_numbers_of_every_type_are_read() {
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
    fn a_file_of_another_type_is_refused_by_its_name() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), &[[true, false]]);
        let error = read_as(&path, DataType::Floats).unwrap_err().to_string();
        assert!(error.contains("holds values of dtype '|b1'"), "{error}");
    }

    #[test]
    fn ordinary_fractions_are_rounded_and_what_float32_holds_is_sent() {
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
        // Constant but for the last digit, as a sum can make it.
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
    fn rows_have_any_width_where_the_model_names_none() {
        let folder = tempfile::tempdir().unwrap();
        let path = file(folder.path(), &[[1.0, 2.0]]);
        let of = |width| {
            let wanted = Wanted {
                width,
                most: 9,
                data_type: DataType::Floats,
            };
            read(&path, wanted)
        };
        assert_eq!(of(None).unwrap()[0].len(), 8);
        let error = of(Some(3)).unwrap_err().to_string();
        assert!(error.contains("has shape [1, 2]"), "{error}");
        assert!(error.contains("with shape [rows, 3]"), "{error}");
    }
}
