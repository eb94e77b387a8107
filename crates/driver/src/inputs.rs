//! The inputs of the queries, made once: pictures and rows from files, or seeded random ones.

mod bytes;
mod rows;

use std::{
    fs,
    io::Cursor,
    path::{Path, PathBuf},
};

use base64::{Engine, engine::general_purpose::STANDARD};
use deploy::models::InputKind;
use image::{DynamicImage, ImageFormat, RgbImage, imageops::FilterType};
use model::{DataType, ModelInfo};
use rand::{Rng, RngExt, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;
use transport::Frame;

use crate::{error::Error, labels, settings::Settings};
use bytes::floats;

/// The inputs that the clients send in turn. A clone shares the bytes.
#[derive(Clone, Debug)]
pub struct Inputs {
    /// One frame per input; a query sends a clone, which shares the bytes.
    pub frames: Vec<Frame>,
    /// Description for the plan and the results.
    pub description: String,
    /// Labels of the inputs in an accuracy run; else empty.
    pub labels: Vec<String>,
    input_type: DataType,
}

impl Inputs {
    /// Makes the inputs of the settings. Skips files of `--input_dir` that cannot be decoded; the description counts
    /// them.
    ///
    /// # Errors
    /// If no file can be decoded, or the labels cannot be read.
    pub fn prepare(settings: &Settings) -> Result<Inputs, Error> {
        let strings = settings.input_type == DataType::Strings;
        let random = Xoshiro256PlusPlus::seed_from_u64(settings.seed);
        let (inputs, what) = match (settings.model.input, &settings.input_dir) {
            (InputKind::Picture(side), Some(folder)) => pictures(folder, side, strings)?,
            (InputKind::Picture(side), None) => noise(random, side, strings),
            (InputKind::Vector(length), Some(file)) => rows_of(settings, length, file)?,
            (InputKind::Vector(length), None) => vectors(random, length, settings.input_type),
            (InputKind::Anything(length), _) => anything(random, length, settings.input_type),
        };
        let bytes: usize = inputs.iter().map(Vec::len).sum();
        let each = bytes.div_ceil(inputs.len());
        let origin = match (&settings.input_dir, &settings.labels) {
            (None, _) => format!(", seed {}", settings.seed),
            (Some(_), None) => String::new(),
            (Some(_), Some(labels)) => format!(", labels from {}", labels.display()),
        };
        let labels = settings.labels.as_deref();
        let labels = labels.map_or(Ok(Vec::new()), |file| labels::read(file, inputs.len()))?;
        let kind = settings.input_type;
        Ok(Inputs {
            description: format!(
                "{} {what} as {kind}, {each} bytes each{origin}",
                inputs.len()
            ),
            frames: inputs.into_iter().map(Frame::from).collect(),
            labels,
            input_type: kind,
        })
    }

    /// Checks that the model takes inputs of this length.
    ///
    /// # Errors
    /// If the inputs are numbers, and the model's artifact takes another number of them.
    pub fn check(&self, model: &ModelInfo) -> Result<(), Error> {
        let takes: usize = model.input_shape.iter().product();
        let sent = self.frames[0].as_ref().len() / self.input_type.element_size();
        let kind = self.input_type;
        let are_numbers = matches!(kind, DataType::Floats | DataType::Doubles);
        let known = are_numbers && !model.input_shape.is_empty();
        if !known || takes == sent {
            return Ok(());
        }
        let artifact = model.artifact.as_ref();
        Err(Error::Failed(format!(
            "{} takes inputs of {takes} {kind}, but the driver sends {sent}; name an artifact for {sent} with \
             --model_path",
            artifact.map_or("the model", |artifact| &artifact.file)
        )))
    }
}

/// Inputs as bytes, and their description.
type RawInputs = (Vec<Vec<u8>>, String);

// Numbers of inputs: enough that consecutive batches differ, and few enough for memory.
const PICTURES: usize = 64;
const NOISE_PICTURES: usize = 16;
const ROWS: usize = 1024;
const VECTORS: usize = 256;

fn pictures(folder: &Path, side: u32, strings: bool) -> Result<RawInputs, Error> {
    let entries = fs::read_dir(folder).map_err(|error| {
        Error::Usage(format!(
            "--input_dir {} cannot be read: {error}; name a folder with JPEG or PNG files",
            folder.display()
        ))
    })?;
    let mut files: Vec<PathBuf> = entries
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| is_picture(path))
        .collect();
    files.sort();
    let mut left_out = Vec::new();
    let mut inputs = Vec::new();
    for path in &files {
        match picture(path, side, strings) {
            Ok(input) => inputs.push(input),
            Err(why) => left_out.push(why),
        }
        if inputs.len() == PICTURES {
            break;
        }
    }
    let left_out = match &left_out[..] {
        [] => String::new(),
        [only] => format!(" (1 left out: {only})"),
        [first, ..] => format!(" ({} left out, first {first})", left_out.len()),
    };
    if inputs.is_empty() {
        return Err(Error::Usage(format!(
            "--input_dir {} has no JPEG or PNG file that can be decoded{left_out}; name another folder",
            folder.display()
        )));
    }
    Ok((
        inputs,
        format!("pictures from {}{left_out}", folder.display()),
    ))
}

fn is_picture(path: &Path) -> bool {
    let extension = path.extension().and_then(|e| e.to_str()).unwrap_or("");
    ["jpg", "jpeg", "png"].contains(&extension.to_ascii_lowercase().as_str())
}

/// Returns the bytes of the file in base64, or its pixels. Decodes the file in both cases, to find damaged ones.
///
/// # Errors
/// The name of the file, and why it cannot be used.
fn picture(path: &Path, side: u32, strings: bool) -> Result<Vec<u8>, String> {
    let name = path.file_name().unwrap_or_default().display();
    let bytes = fs::read(path).map_err(|error| format!("{name} cannot be read: {error}"))?;
    let picture = picture::decode(&bytes).map_err(|error| format!("{name} is {error}"))?;
    Ok(match strings {
        true => STANDARD.encode(&bytes).into_bytes(),
        false => pixels(&resized(&picture, side)),
    })
}

fn resized(picture: &DynamicImage, side: u32) -> RgbImage {
    picture
        .resize_exact(side, side, FilterType::Triangle)
        .to_rgb8()
}

/// Returns floats from 0 to 255, of shape `[height, width, channels]`.
fn pixels(picture: &RgbImage) -> Vec<u8> {
    floats(picture.as_raw().iter().map(|&value| f32::from(value)))
}

fn noise(mut random: Xoshiro256PlusPlus, side: u32, strings: bool) -> RawInputs {
    let inputs = (0..NOISE_PICTURES).map(|_| {
        let picture = RgbImage::from_fn(side, side, |_, _| image::Rgb(random.random()));
        match strings {
            false => pixels(&picture),
            true => {
                let mut file = Cursor::new(Vec::new());
                picture
                    .write_to(&mut file, ImageFormat::Jpeg)
                    .expect("an RGB picture of this size is encodable, and memory is writable");
                STANDARD.encode(file.into_inner()).into_bytes()
            }
        }
    });
    (
        inputs.collect(),
        format!("pictures of noise, {side}x{side}"),
    )
}

/// Reads the rows of a file. They have `length` columns, unless `--model_path` names an artifact.
fn rows_of(settings: &Settings, length: usize, file: &Path) -> Result<RawInputs, Error> {
    let selection = rows::RowSelection {
        width: settings.model_path.is_none().then_some(length),
        // An accuracy run needs all rows.
        max_rows: settings.labels.as_ref().map_or(ROWS, |_| usize::MAX),
        data_type: settings.input_type,
    };
    let rows = rows::read(file, selection)?;
    Ok((rows, format!("rows of {}", file.display())))
}

/// Makes random vectors. Floats and doubles have the same values.
fn vectors(mut random: Xoshiro256PlusPlus, length: usize, data_type: DataType) -> RawInputs {
    let inputs = (0..VECTORS).map(|_| {
        let numbers = (0..length).map(|_| random.random::<f32>());
        match data_type {
            DataType::Doubles => numbers.flat_map(|n| f64::from(n).to_le_bytes()).collect(),
            _ => floats(numbers),
        }
    });
    (inputs.collect(), format!("random vectors of {length}"))
}

fn anything(mut random: Xoshiro256PlusPlus, length: usize, data_type: DataType) -> RawInputs {
    let inputs = (0..VECTORS).map(|_| match data_type {
        DataType::Floats => floats((0..length).map(|_| random.random())),
        DataType::Strings => (0..length)
            .map(|_| random.random_range(b'a'..=b'z'))
            .collect(),
        other => {
            let mut bytes = vec![0; length * other.element_size()];
            random.fill_bytes(&mut bytes);
            bytes
        }
    });
    (inputs.collect(), format!("random inputs of {length}"))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cli;

    fn prepare(line: &str) -> Result<Inputs, Error> {
        let folder = tempfile::tempdir().unwrap();
        let line = format!("driver {line} --results_dir {}", folder.path().display());
        Inputs::prepare(&cli::tests::sweep(&line)?)
    }

    fn values(frame: &Frame) -> Vec<f32> {
        let chunks = frame.as_ref().chunks_exact(4);
        chunks
            .map(|c| f32::from_le_bytes(c.try_into().unwrap()))
            .collect()
    }

    #[test]
    fn random_inputs_depend_on_model_and_seed() {
        for (model, bytes) in [
            ("vgg", 224 * 224 * 3 * 4),
            ("svm", 4096 * 4),
            ("lgbm", 2048 * 4),
            ("lgbm --input_type doubles", 2048 * 8),
            ("noop", 40),
        ] {
            let inputs = prepare(&format!("-m {model} --seed 7")).unwrap();
            let again = prepare(&format!("-m {model} --seed 7")).unwrap();
            let other = prepare(&format!("-m {model} --seed 8")).unwrap();
            assert_eq!(inputs.frames[0].as_ref().len(), bytes, "{model}");
            assert_eq!(inputs.frames[3].as_ref(), again.frames[3].as_ref());
            assert_ne!(inputs.frames[3].as_ref(), other.frames[3].as_ref());
            assert_ne!(inputs.frames[3].as_ref(), inputs.frames[4].as_ref());
        }
    }

    #[test]
    fn errors_state_the_lengths_of_artifact_and_inputs() {
        let model = |input_shape: &[usize]| ModelInfo {
            engine: String::new(),
            device: "cpu".to_owned(),
            threads: 1,
            output_type: DataType::Strings,
            input_shape: input_shape.to_vec(),
            max_batch: None,
            artifact: None,
        };
        let inputs = prepare("-m lgbm").unwrap();
        inputs.check(&model(&[2048])).unwrap();
        inputs.check(&model(&[])).unwrap();
        let error = inputs.check(&model(&[4096])).unwrap_err().to_string();
        assert!(
            error.contains("4096 floats, but the driver sends 2048"),
            "{error}"
        );
        let doubles = prepare("-m lgbm --input_type doubles").unwrap();
        doubles.check(&model(&[2048])).unwrap();
        let error = doubles.check(&model(&[4096])).unwrap_err().to_string();
        assert!(
            error.contains("4096 doubles, but the driver sends 2048"),
            "{error}"
        );
        let pictures = prepare("-m vgg").unwrap();
        pictures.check(&model(&[224, 224, 3])).unwrap();
        let files = prepare("-m vgg --input_type strings").unwrap();
        files.check(&model(&[224, 224, 3])).unwrap();
    }

    #[test]
    fn strings_are_pictures_in_base64() {
        for model in ["inception", "vgg --input_type strings"] {
            let inputs = prepare(&format!("-m {model}")).unwrap();
            let file = STANDARD.decode(inputs.frames[0].as_ref()).unwrap();
            let side = if model == "inception" { 299 } else { 224 };
            assert_eq!(image::load_from_memory(&file).unwrap().width(), side);
        }
    }

    #[test]
    fn pictures_are_resized_and_other_files_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let white = RgbImage::from_pixel(30, 20, image::Rgb([255, 128, 0]));
        white.save(folder.path().join("a.PNG")).unwrap();
        fs::write(folder.path().join("b.jpg"), "no picture").unwrap();
        fs::write(folder.path().join("c.txt"), "text").unwrap();
        let line = format!("-m vgg --input_dir {}", folder.path().display());
        let inputs = prepare(&line).unwrap();
        assert_eq!(inputs.frames.len(), 1);
        let description = inputs.description;
        let left_out = "(1 left out: b.jpg is not a JPEG or PNG picture";
        assert!(description.contains(left_out), "{description}");
        let pixels = values(&inputs.frames[0]);
        assert_eq!(pixels.len(), 224 * 224 * 3);
        assert_eq!(pixels[..6], [255.0, 128.0, 0.0, 255.0, 128.0, 0.0]);

        fs::write(folder.path().join("d.jpg"), "no picture either").unwrap();
        let description = prepare(&line).unwrap().description;
        let left_out = "(2 left out, first b.jpg is not";
        assert!(description.contains(left_out), "{description}");
    }

    #[test]
    fn truncated_pictures_are_skipped() {
        let folder = tempfile::tempdir().unwrap();
        let noise = RgbImage::from_fn(64, 64, |x, y| image::Rgb([x as u8, (x * y) as u8, 0]));
        for name in ["a.jpg", "b.png"] {
            let path = folder.path().join(name);
            noise.save(&path).unwrap();
            let whole = fs::read(&path).unwrap();
            fs::write(&path, &whole[..whole.len() - 100]).unwrap();
        }
        for model in ["vgg", "inception"] {
            let line = format!("-m {model} --input_dir {}", folder.path().display());
            let error = prepare(&line).unwrap_err().to_string();
            assert!(
                error.contains("(2 left out, first a.jpg is truncated"),
                "{error}"
            );
        }
    }

    /// Writes consecutive numbers in float64.
    fn write_rows(path: &Path, rows: u32) {
        use npyz::WriterBuilder;
        let mut writer = npyz::WriteOptions::<f64>::new()
            .default_dtype()
            .shape(&[rows.into(), 2048])
            .writer(fs::File::create(path).unwrap())
            .begin_nd()
            .unwrap();
        writer.extend((0..rows * 2048).map(f64::from)).unwrap();
        writer.finish().unwrap();
    }

    #[test]
    fn accuracy_runs_need_a_label_for_every_row() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.npy");
        write_rows(&path, 1030);
        let line = format!("-m lgbm --input_dir {}", path.display());
        assert_eq!(prepare(&line).unwrap().frames.len(), 1024);
        let error = prepare(&format!("{line} --accuracy")).unwrap_err();
        assert!(
            error.to_string().contains("rows.labels.txt cannot be read"),
            "{error}"
        );
        let labels =
            |count: usize| fs::write(path.with_extension("labels.txt"), "a cat\n".repeat(count));
        labels(1029).unwrap();
        let error = prepare(&format!("{line} --accuracy")).unwrap_err();
        assert!(
            error
                .to_string()
                .contains("has 1029 labels for 1030 inputs"),
            "{error}"
        );
        labels(1030).unwrap();
        let inputs = prepare(&format!("{line} --accuracy")).unwrap();
        assert_eq!((inputs.frames.len(), inputs.labels.len()), (1030, 1030));
        assert_eq!(inputs.labels[7], "a cat");
    }

    #[test]
    fn rows_of_float64_are_sent_as_floats() {
        let folder = tempfile::tempdir().unwrap();
        let path = folder.path().join("rows.npy");
        write_rows(&path, 3);
        let inputs = prepare(&format!("-m lgbm --input_dir {}", path.display())).unwrap();
        assert_eq!(inputs.frames.len(), 3);
        assert_eq!(values(&inputs.frames[1])[..2], [2048.0, 2049.0]);
        let error = prepare(&format!("-m svm --input_dir {}", path.display())).unwrap_err();
        assert!(error.to_string().contains("[3, 2048]"), "{error}");
    }

    #[test]
    fn a_folder_without_usable_files_is_refused() {
        let folder = tempfile::tempdir().unwrap();
        fs::write(folder.path().join("b.jpg"), "no picture").unwrap();
        for model in ["vgg", "inception", "svm"] {
            let line = format!("-m {model} --input_dir {}", folder.path().display());
            assert!(matches!(prepare(&line), Err(Error::Usage(_))), "{model}");
        }
    }
}
