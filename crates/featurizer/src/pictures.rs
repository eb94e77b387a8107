//! Preprocessing: decodes, resizes and scales inputs into rows of the engine's input tensor.
//!
//! Floats are copied once, from the message to the tensor; the copy scales them and separates the
//! channels. A picture file is decoded, resized, and copied to the tensor in the same way. All
//! buffers are reused.

use std::thread;

use base64::{Engine as _, engine::general_purpose::STANDARD};
use fast_image_resize::{
    FilterType, ImageView, ResizeAlg, ResizeOptions, Resizer,
    images::{TypedImage, TypedImageRef},
    pixels::U8x3,
};
use image::RgbImage;
use model::{Batch, DataType, InputError};

use crate::{Layout, Network, Scaling};

/// Largest ratio of a picture's sides. Resizing a longer picture before the crop would need
/// unbounded memory, and the crop would show next to nothing of it.
const MAX_RATIO: usize = 32;

/// Reads the inputs of a batch into the tensor, on several threads.
pub(crate) struct Preprocessor {
    data_type: DataType,
    /// Number of values of one picture.
    values: usize,
    readers: Vec<Reader>,
}

impl Preprocessor {
    /// Makes a preprocessor with `threads` threads, at least one.
    pub(crate) fn new(network: &Network, data_type: DataType, threads: usize) -> Preprocessor {
        let readers = (0..threads).map(|_| Reader::new(network));
        Preprocessor {
            data_type,
            values: network.values(),
            readers: readers.collect(),
        }
    }

    /// Writes input `i` to row `i` of `tensor`, in the network's layout. The row of an invalid
    /// input has arbitrary values.
    pub(crate) fn read(
        &mut self,
        batch: &Batch<'_>,
        tensor: &mut [f32],
    ) -> Vec<Result<(), InputError>> {
        if batch.data_type != self.data_type {
            let error = InputError(format!(
                "this model takes {}, not {}",
                self.data_type, batch.data_type
            ));
            return vec![Err(error); batch.len()];
        }
        let values = self.values;
        let data_type = self.data_type;
        let share = batch.len().div_ceil(self.readers.len()).max(1);
        let shares = batch.inputs.chunks(share);
        let rows = tensor.chunks_mut(share * values);
        thread::scope(|scope| {
            let workers: Vec<_> = shares
                .zip(rows)
                .zip(&mut self.readers)
                .map(|((inputs, rows), reader)| {
                    let rows = rows.chunks_exact_mut(values);
                    let work = move || -> Vec<_> {
                        let read = |(input, row): (&&[u8], &mut [f32])| match data_type {
                            DataType::Floats => reader.floats(input, row),
                            _ => reader.file(input, row),
                        };
                        inputs.iter().zip(rows).map(read).collect()
                    };
                    (inputs.len(), scope.spawn(work))
                })
                .collect();
            workers
                .into_iter()
                .flat_map(|(inputs, worker)| {
                    worker.join().unwrap_or_else(|_| vec![crashed(); inputs])
                })
                .collect()
        })
    }
}

/// Returns the error of a thread whose decoder panicked; all inputs of the thread's share get it.
fn crashed() -> Result<(), InputError> {
    Err(InputError(
        "the decoder crashed on this input or one beside it".into(),
    ))
}

/// Reads one input at a time.
pub(crate) struct Reader {
    height: usize,
    width: usize,
    layout: Layout,
    resize: Option<usize>,
    scale: [f32; 3],
    offset: [f32; 3],
    resizer: Resizer,
    /// The picture file, decoded from base64.
    file: Vec<u8>,
    /// The resized picture.
    picture: TypedImage<'static, U8x3>,
}

impl Reader {
    pub(crate) fn new(network: &Network) -> Reader {
        let &Network { height, width, .. } = network;
        let Scaling { mean, std } = network.scaling;
        let [mean, std] = [mean, std].map(<[f32; 3]>::from);
        Reader {
            height,
            width,
            layout: network.layout,
            resize: network.resize,
            scale: std::array::from_fn(|c| 1.0 / (255.0 * std[c])),
            offset: std::array::from_fn(|c| -mean[c] / std[c]),
            resizer: Resizer::new(),
            file: Vec::new(),
            picture: TypedImage::new(width as u32, height as u32),
        }
    }

    /// Reads pixels, `[height, width, 3]` in little-endian order.
    pub(crate) fn floats(&mut self, input: &[u8], row: &mut [f32]) -> Result<(), InputError> {
        if input.len() != row.len() * 4 {
            return Err(InputError(format!(
                "an input must be {} x {} x 3 floats ({} bytes), this one has {} bytes",
                self.height,
                self.width,
                row.len() * 4,
                input.len()
            )));
        }
        let (pixels, _) = input.as_chunks::<12>();
        let float = |bytes: &[u8]| f32::from_le_bytes([bytes[0], bytes[1], bytes[2], bytes[3]]);
        for (y, line) in pixels.chunks_exact(self.width).enumerate() {
            let line = line.iter();
            let line = line.map(|p| [float(&p[..4]), float(&p[4..8]), float(&p[8..])]);
            self.scale(y, line, row);
        }
        Ok(())
    }

    /// Reads the base64 of a JPEG or PNG file.
    pub(crate) fn file(&mut self, input: &[u8], row: &mut [f32]) -> Result<(), InputError> {
        self.file.clear();
        STANDARD
            .decode_vec(input, &mut self.file)
            .map_err(|error| InputError(format!("the input is not base64: {error}")))?;
        let picture = picture::decode(&self.file)
            .map_err(|error| InputError(format!("the input is {error}")))?;
        self.resize(&picture.into_rgb8())
            .map_err(|error| InputError(format!("the picture cannot be resized: {error}")))?;
        let (top, left) = (
            middle(self.picture.height() as usize, self.height),
            middle(self.picture.width() as usize, self.width),
        );
        let lines = self.picture.pixels();
        let lines = lines.chunks_exact(self.picture.width() as usize);
        for (y, line) in lines.skip(top).take(self.height).enumerate() {
            let line = line[left..][..self.width].iter();
            self.scale(y, line.map(|pixel| pixel.0.map(f32::from)), row);
        }
        Ok(())
    }

    /// Resizes to the given shorter side, or without one to the network's own size. As
    /// torchvision's `Resize`: bilinear and antialiased (the filter widens when a picture shrinks).
    fn resize(&mut self, picture: &RgbImage) -> Result<(), Box<dyn std::error::Error>> {
        let (width, height) = picture.dimensions();
        let (new_width, new_height) = match self.resize {
            None => (self.width, self.height),
            Some(shorter) => {
                let (w, h) = (width as usize, height as usize);
                if w.max(h).max(1) > MAX_RATIO * w.min(h) {
                    return Err(format!("{w} x {h} exceeds the ratio {MAX_RATIO} to 1").into());
                }
                let long = |this: usize, other: usize| shorter * this / other.min(this);
                (long(w, h), long(h, w))
            }
        };
        let (new_width, new_height) = (new_width as u32, new_height as u32);
        if (self.picture.width(), self.picture.height()) != (new_width, new_height) {
            self.picture = TypedImage::new(new_width, new_height);
        }
        let source = TypedImageRef::<U8x3>::from_buffer(width, height, picture.as_raw())?;
        let options = ResizeOptions::new().resize_alg(ResizeAlg::Convolution(FilterType::Bilinear));
        self.resizer
            .resize_typed(&source, &mut self.picture, &options)?;
        Ok(())
    }

    /// Scales line `y` of a picture and writes it to its places in the tensor.
    fn scale(&self, y: usize, pixels: impl Iterator<Item = [f32; 3]>, row: &mut [f32]) {
        let ([sr, sg, sb], [or, og, ob]) = (self.scale, self.offset);
        let scaled = pixels.map(|[r, g, b]| [r * sr + or, g * sg + og, b * sb + ob]);
        match self.layout {
            Layout::Nhwc => {
                let (places, _) = row[3 * y * self.width..].as_chunks_mut::<3>();
                places
                    .iter_mut()
                    .zip(scaled)
                    .for_each(|(to, from)| *to = from);
            }
            Layout::Nchw => {
                let (red, others) = row.split_at_mut(self.height * self.width);
                let (green, blue) = others.split_at_mut(self.height * self.width);
                let line = y * self.width..(y + 1) * self.width;
                let planes = red[line.clone()].iter_mut().zip(&mut green[line.clone()]);
                for (((r, g), b), from) in planes.zip(&mut blue[line]).zip(scaled) {
                    [*r, *g, *b] = from;
                }
            }
        }
    }
}

/// Returns the start of the middle `part` of a length. A half is rounded to the nearest even
/// number, as in torchvision's `CenterCrop`.
fn middle(length: usize, part: usize) -> usize {
    let rest = length.saturating_sub(part);
    match rest % 4 {
        3 => rest / 2 + 1,
        _ => rest / 2,
    }
}

#[cfg(test)]
mod tests {
    use std::io::Cursor;

    use image::{DynamicImage, ImageFormat, Luma, LumaA, Rgb};

    use super::*;
    use crate::Channels;

    fn tiny() -> Network {
        Network {
            input: "images".into(),
            output: "features".into(),
            layout: Layout::Nchw,
            height: 4,
            width: 4,
            batch: None,
            resize: None,
            scaling: Scaling {
                mean: Channels::new(0.485, 0.456, 0.406),
                std: Channels::new(0.229, 0.224, 0.225),
            },
        }
    }
    const VALUES: usize = 48;

    type Rows = Vec<Result<Vec<f32>, InputError>>;

    fn read(data_type: DataType, threads: usize, inputs: &[&[u8]]) -> Rows {
        let batch = Batch {
            data_type,
            inputs: inputs.to_vec(),
        };
        let mut tensor = vec![f32::NAN; VALUES * inputs.len()];
        let results = Preprocessor::new(&tiny(), data_type, threads).read(&batch, &mut tensor);
        let rows = tensor.chunks_exact(VALUES);
        results
            .into_iter()
            .zip(rows)
            .map(|(result, row)| result.map(|()| row.to_vec()))
            .collect()
    }

    fn text(picture: impl Into<DynamicImage>, format: ImageFormat) -> String {
        let mut file = Cursor::new(Vec::new());
        picture.into().write_to(&mut file, format).unwrap();
        STANDARD.encode(file.into_inner())
    }

    fn read_text(text: &str) -> Result<Vec<f32>, InputError> {
        read(DataType::Strings, 1, &[text.as_bytes()]).remove(0)
    }

    fn bytes(values: impl IntoIterator<Item = f32>) -> Vec<u8> {
        values.into_iter().flat_map(f32::to_le_bytes).collect()
    }

    #[track_caller]
    fn assert_pixel(row: &[f32], pixel: usize, rgb: [f32; 3]) {
        for channel in 0..3 {
            let Scaling { mean, std } = tiny().scaling;
            let [mean, std] = [mean, std].map(<[f32; 3]>::from);
            let expected = (rgb[channel] / 255.0 - mean[channel]) / std[channel];
            let value = row[channel * 16 + pixel];
            assert!((value - expected).abs() < 2e-6, "{value} is not {expected}");
        }
    }

    #[test]
    fn float_pixels_are_scaled_and_channels_separated() {
        let mut pixels = [0.0; VALUES];
        pixels[3 * 5..3 * 6].copy_from_slice(&[255.0, 12.5, 100.0]);
        let row = read(DataType::Floats, 1, &[&bytes(pixels)])
            .remove(0)
            .unwrap();
        assert_pixel(&row, 4, [0.0; 3]);
        assert_pixel(&row, 5, [255.0, 12.5, 100.0]);
        assert!((row[5] - 2.248_908).abs() < 1e-6, "(1 - 0.485) / 0.229");
    }

    #[test]
    fn a_picture_of_the_networks_size_keeps_its_pixels() {
        let picture = image::RgbImage::from_fn(4, 4, |x, y| Rgb([x as u8 * 80, y as u8 * 80, 7]));
        let row = read_text(&text(picture, ImageFormat::Png)).unwrap();
        assert_pixel(&row, 6, [160.0, 80.0, 7.0]);
    }

    #[test]
    fn resizing_keeps_a_uniform_colour() {
        for (width, height) in [(1, 1), (3, 2), (97, 61), (640, 480), (4000, 3000)] {
            let picture = image::RgbImage::from_pixel(width, height, Rgb([200, 100, 50]));
            let row = read_text(&text(picture, ImageFormat::Png)).unwrap();
            (0..16).for_each(|pixel| assert_pixel(&row, pixel, [200.0, 100.0, 50.0]));
        }
    }

    #[test]
    fn shrinking_averages_pixels() {
        let picture = image::GrayImage::from_fn(64, 64, |x, y| Luma([((x + y) % 2 * 254) as u8]));
        let row = read_text(&text(picture, ImageFormat::Png)).unwrap();
        (0..16).for_each(|pixel| assert_pixel(&row, pixel, [127.0; 3]));
    }

    #[test]
    fn grey_and_transparent_pictures_become_rgb() {
        let picture = image::GrayAlphaImage::from_pixel(4, 4, LumaA([90, 10]));
        assert_pixel(
            &read_text(&text(picture, ImageFormat::Png)).unwrap(),
            0,
            [90.0; 3],
        );
        let picture = image::GrayImage::from_pixel(8, 8, Luma([128]));
        assert_pixel(
            &read_text(&text(picture, ImageFormat::Jpeg)).unwrap(),
            0,
            [128.0; 3],
        );
    }

    #[test]
    fn inputs_keep_their_order_with_any_number_of_threads() {
        let inputs: Vec<_> = (0..5).map(|i| bytes([i as f32; VALUES])).collect();
        let inputs: Vec<_> = inputs.iter().map(Vec::as_slice).collect();
        for threads in [1, 2, 3, 8] {
            let rows = read(DataType::Floats, threads, &inputs);
            assert_eq!(rows.len(), 5);
            for (i, row) in rows.into_iter().enumerate() {
                assert_pixel(&row.unwrap(), 15, [i as f32; 3]);
            }
        }
        assert!(read(DataType::Floats, 2, &[]).is_empty());
    }

    #[test]
    fn an_invalid_input_fails_alone_with_a_reason() {
        let good = text(image::RgbImage::new(4, 4), ImageFormat::Png);
        let half = |text: &str| {
            let file = STANDARD.decode(text).unwrap();
            STANDARD.encode(&file[..file.len() / 2])
        };
        let photograph = image::RgbImage::from_fn(64, 64, |x, y| Rgb([(x * y) as u8, 0, y as u8]));
        let (png, jpeg) = (half(&good), half(&text(photograph, ImageFormat::Jpeg)));
        let inputs = [&good, "???", "aGVsbG8=", "", &png, &jpeg, &good].map(str::as_bytes);
        let rows = read(DataType::Strings, 2, &inputs);
        let why = |i: usize| rows[i].as_ref().unwrap_err().0.as_str();
        assert!(rows[0].is_ok() && rows[6].is_ok());
        assert!(why(1).starts_with("the input is not base64"), "{}", why(1));
        for i in 2..4 {
            assert!(
                why(i).starts_with("the input is not a JPEG or PNG picture"),
                "{}",
                why(i)
            );
        }
        for i in 4..6 {
            assert!(why(i).starts_with("the input is truncated"), "{}", why(i));
        }
    }

    #[test]
    fn a_wrong_number_of_floats_is_an_error() {
        let rows = read(
            DataType::Floats,
            1,
            &[&bytes([0.0; 47]), &bytes([0.0; VALUES])],
        );
        let error = rows[0].as_ref().unwrap_err();
        assert_eq!(
            error.0,
            "an input must be 4 x 4 x 3 floats (192 bytes), this one has 188 bytes"
        );
        assert!(rows[1].is_ok());
    }

    #[test]
    fn a_batch_of_another_type_is_an_error() {
        let batch = Batch {
            data_type: DataType::Strings,
            inputs: vec![b"", b""],
        };
        let mut tensor = vec![0.0; 2 * VALUES];
        let results = Preprocessor::new(&tiny(), DataType::Floats, 1).read(&batch, &mut tensor);
        assert_eq!(
            results,
            vec![Err(InputError("this model takes floats, not strings".into())); 2]
        );
    }
}
