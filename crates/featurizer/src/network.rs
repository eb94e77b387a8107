//! Input and output of a network, resolved from the ONNX file, its metadata file, flags and the
//! model server's defaults.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{Channels, Error};

/// Valid numbers of pixels per side, and of pictures in a fixed batch: bounds memory and prevents
/// overflow.
const SIZES: std::ops::RangeInclusive<usize> = 1..=16_384;

/// Defaults of a model server for its networks.
#[derive(Debug)]
pub struct Architecture {
    /// Name of the model server.
    pub name: &'static str,
    /// Width and height of the pictures, in pixels, if the ONNX file leaves them open.
    pub side: usize,
    /// Shorter side of a picture file after resizing, in pixels, before its centre is cropped.
    pub resize: usize,
    /// Scaling of the pixels' values.
    pub scaling: Scaling,
}

impl Architecture {
    /// Returns the options to write to an artifact's metadata file, so that every model server
    /// preprocesses its pictures in the same way.
    pub fn options(&self) -> NetworkOptions {
        NetworkOptions {
            resize: Some(self.resize),
            mean: Some(self.scaling.mean),
            std: Some(self.scaling.std),
            ..NetworkOptions::default()
        }
    }
}

/// Scaling of a channel's value, 0 to 255, for the network: `(value / 255 - mean) / std`.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Scaling {
    /// Mean of each channel (red, green, blue), on a scale of 0 to 1.
    pub mean: Channels,
    /// Standard deviation of each channel, on the same scale.
    pub std: Channels,
}

/// The order of the dimensions of the network's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, clap::ValueEnum)]
#[serde(rename_all = "UPPERCASE")]
#[value(rename_all = "lower")]
pub enum Layout {
    /// `[pictures, 3, height, width]`
    Nchw,
    /// `[pictures, height, width, 3]`
    Nhwc,
}

/// Height and width of a picture in pixels; in JSON an array in this order.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "[usize; 2]", into = "[usize; 2]")]
pub struct Size {
    /// Number of rows.
    pub height: usize,
    /// Number of columns.
    pub width: usize,
}

impl From<[usize; 2]> for Size {
    fn from([height, width]: [usize; 2]) -> Size {
        Size { height, width }
    }
}

impl From<Size> for [usize; 2] {
    fn from(Size { height, width }: Size) -> [usize; 2] {
        [height, width]
    }
}

/// Options of a network, from the `network` part of its metadata file and from flags. Omitted
/// options come from the ONNX file, or else from the model server's defaults.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct NetworkOptions {
    /// Name of the network's output, required if it has several
    #[arg(long = "output_name", env = "CLIPPER_OUTPUT_NAME", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Order of the input's dimensions [default: by the position of the 3 in its shape]
    #[arg(long, env = "CLIPPER_LAYOUT", ignore_case = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Height and width of the input in pixels, if its shape leaves them open
    #[arg(
        long,
        env = "CLIPPER_SIZE",
        value_name = "HEIGHT,WIDTH",
        value_parser = size
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Shorter side in pixels to which a picture file is resized before its centre is cropped; 0
    /// resizes without cropping
    #[arg(long, env = "CLIPPER_RESIZE", value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// Mean of each channel, 0 to 1, subtracted from the pixels' values
    #[arg(
        long,
        env = "CLIPPER_MEAN",
        value_name = "R,G,B",
        allow_hyphen_values = true,
        value_parser = channels
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Channels>,
    /// Standard deviation of each channel, 0 to 1, by which the pixels' values are divided
    #[arg(long, env = "CLIPPER_STD", value_name = "R,G,B", value_parser = channels)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<Channels>,
}

impl NetworkOptions {
    /// Reads the metadata file `<artifact>.json`; returns empty options if it does not exist.
    pub(crate) fn beside(artifact: &Path) -> Result<NetworkOptions, Error> {
        let mut path = artifact.as_os_str().to_owned();
        path.push(".json");
        let path = PathBuf::from(path);
        let invalid = |reason: String| Error::Metadata {
            path: path.clone(),
            reason,
        };
        match fs::read(&path) {
            Ok(json) => NetworkOptions::parse(&json).map_err(|error| invalid(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(NetworkOptions::default()),
            Err(error) => Err(invalid(error.to_string())),
        }
    }

    /// Parses the text of a metadata file.
    pub(crate) fn parse(json: &[u8]) -> serde_json::Result<NetworkOptions> {
        #[derive(Deserialize)]
        struct MetadataFile {
            #[serde(default)]
            network: NetworkOptions,
        }
        let metadata: MetadataFile = serde_json::from_slice(json)?;
        Ok(metadata.network)
    }

    /// Fills missing options from `other`.
    pub(crate) fn or(self, other: NetworkOptions) -> NetworkOptions {
        NetworkOptions {
            output: self.output.or(other.output),
            layout: self.layout.or(other.layout),
            size: self.size.or(other.size),
            resize: self.resize.or(other.resize),
            mean: self.mean.or(other.mean),
            std: self.std.or(other.std),
        }
    }
}

/// An input or output of a network.
#[derive(Clone, Debug, PartialEq)]
pub struct NetworkPort {
    /// The name.
    pub name: String,
    /// Type of the elements; only `float32` can be served.
    pub element: String,
    /// The dimensions; `None` for one that the network leaves open.
    pub shape: Vec<Option<usize>>,
}

/// A network's resolved input and output; only the number of pictures may be open.
#[derive(Clone, Debug, PartialEq)]
pub struct Network {
    /// Name of the input.
    pub input: String,
    /// Name of the output.
    pub output: String,
    /// Order of the input's dimensions.
    pub layout: Layout,
    /// Height of a picture in pixels.
    pub height: usize,
    /// Width of a picture in pixels.
    pub width: usize,
    /// Number of pictures per call, if the network fixes it.
    pub batch: Option<usize>,
    /// Shorter side of a picture file after resizing, in pixels, before its centre is cropped;
    /// `None` resizes the whole picture to the network's size.
    pub resize: Option<usize>,
    /// Scaling of the pixels' values.
    pub scaling: Scaling,
}

impl Network {
    /// Resolves a network. Shapes in the file take precedence over `options`, which take precedence
    /// over the architecture.
    ///
    /// # Errors
    /// The mismatch and its remedy.
    pub(crate) fn resolve(
        architecture: &Architecture,
        options: &NetworkOptions,
        inputs: &[NetworkPort],
        outputs: &[NetworkPort],
    ) -> Result<Network, String> {
        let [input] = inputs else {
            return Err(format!(
                "it must have exactly one input, but has {}",
                list("input", inputs)
            ));
        };
        let output = choose(outputs, options.output.as_deref())?;
        for (kind, port) in [("input", input), ("output", output)] {
            if port.element != "float32" {
                return Err(format!("its {} is not float32", port.describe(kind)));
            }
        }
        let [batch, a, b, c] = input.shape[..] else {
            return Err(format!(
                "its {} has {} dimensions instead of four (pictures, channels, height, width)",
                input.describe("input"),
                input.shape.len()
            ));
        };
        let layout = layout(input, options.layout)?;
        let [height, width] = match layout {
            Layout::Nchw => [b, c],
            Layout::Nhwc => [a, b],
        };
        let default = options
            .size
            .map_or([architecture.side; 2], <[usize; 2]>::from);
        let size = [height, width].map(|known| known.filter(|&pixels| pixels > 0));
        let [height, width] = [0, 1].map(|axis| size[axis].unwrap_or(default[axis]));
        if options.size.is_some() && [height, width] != default {
            return Err(format!(
                "its {} takes pictures of {height}x{width} pixels: omit --size, or use --size {height},{width}",
                input.describe("input")
            ));
        }
        let batch = batch.filter(|&pictures| pictures > 0);
        check_sizes([Some(height), Some(width), batch])?;
        let network = Network {
            input: input.name.clone(),
            output: output.name.clone(),
            layout,
            height,
            width,
            batch,
            resize: resize(architecture, options, height.max(width))?,
            scaling: Scaling {
                mean: options.mean.unwrap_or(architecture.scaling.mean),
                std: options.std.unwrap_or(architecture.scaling.std),
            },
        };
        check_sizes([network.resize])?;
        let Scaling { mean, std } = network.scaling;
        let [mean, std] = [mean, std].map(<[f32; 3]>::from);
        if !(mean.iter().chain(&std).all(|value| value.is_finite()) && std.iter().all(|&s| s > 0.0))
        {
            return Err(format!(
                "invalid mean {mean:?} or standard deviation {std:?}: deviations must be above 0"
            ));
        }
        Ok(network)
    }

    /// Returns the number of values of one picture: three per pixel.
    pub(crate) fn values(&self) -> usize {
        3 * self.height * self.width
    }

    /// Returns the input shape for this number of pictures.
    pub(crate) fn shape(&self, pictures: usize) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [pictures, 3, self.height, self.width],
            Layout::Nhwc => [pictures, self.height, self.width, 3],
        }
    }
}

impl NetworkPort {
    /// Describes name, type and shape after the word `kind`, for messages.
    pub(crate) fn describe(&self, kind: &str) -> String {
        let sizes = self.shape.iter().map(|size| match size {
            Some(size) => size.to_string(),
            None => "?".to_owned(),
        });
        let shape = sizes.collect::<Vec<_>>().join(", ");
        format!("{kind} {:?} ({} [{shape}])", self.name, self.element)
    }
}

fn list(kind: &str, ports: &[NetworkPort]) -> String {
    let ports: Vec<_> = ports.iter().map(|port| port.describe(kind)).collect();
    ports.join(", ")
}

/// Returns the output with this name; without a name, the only output.
fn choose<'a>(outputs: &'a [NetworkPort], name: Option<&str>) -> Result<&'a NetworkPort, String> {
    let all = || list("output", outputs);
    match (name, outputs) {
        (None, [only]) => Ok(only),
        (None, _) => Err(format!(
            "it has several outputs: choose one with --output_name from {}",
            all()
        )),
        (Some(name), _) => outputs
            .iter()
            .find(|port| port.name == name)
            .ok_or_else(|| format!("it has no output {name:?}; it has {}", all())),
    }
}

/// Returns an error for sizes out of range.
fn check_sizes<const N: usize>(sizes: [Option<usize>; N]) -> Result<(), String> {
    let mut sizes = sizes.into_iter().flatten();
    match sizes.find(|size| !SIZES.contains(size)) {
        None => Ok(()),
        Some(size) => Err(format!(
            "invalid size {size} in pixels or pictures: sizes range from {} to {}",
            SIZES.start(),
            SIZES.end()
        )),
    }
}

/// Returns the given layout, or the one with a 3 in the channels' place of the input's shape.
fn layout(input: &NetworkPort, given: Option<Layout>) -> Result<Layout, String> {
    let may_be = |axis: usize| matches!(input.shape[axis], None | Some(3));
    let fits = |layout| match layout {
        Layout::Nchw => may_be(1),
        Layout::Nhwc => may_be(3),
    };
    match given {
        Some(layout) if fits(layout) => Ok(layout),
        None if input.shape[3] == Some(3) && input.shape[1] != Some(3) => Ok(Layout::Nhwc),
        None if fits(Layout::Nchw) => Ok(Layout::Nchw),
        _ => Err(format!(
            "its {} is not pictures with three channels{}",
            input.describe("input"),
            given.map_or(String::new(), |layout| format!(" in the order {layout:?}"))
        )),
    }
}

/// Returns the shorter side of a picture file after resizing: the given one, or the architecture's
/// in proportion to the network's longer side.
fn resize(
    architecture: &Architecture,
    options: &NetworkOptions,
    longer: usize,
) -> Result<Option<usize>, String> {
    match options.resize {
        Some(0) => Ok(None),
        Some(shorter) if shorter < longer => Err(format!(
            "cannot crop {longer} pixels from a picture resized to {shorter}: use --resize {longer} or more, or 0"
        )),
        Some(shorter) => Ok(Some(shorter)),
        None => Ok(Some(longer * architecture.resize / architecture.side)),
    }
}

fn size(text: &str) -> Result<Size, String> {
    numbers(text).map(|sides: [usize; 2]| sides.into())
}

fn channels(text: &str) -> Result<Channels, String> {
    numbers(text).map(|values: [f32; 3]| values.into())
}

/// Parses `N` comma-separated numbers.
fn numbers<T: FromStr, const N: usize>(text: &str) -> Result<[T; N], String> {
    let numbers: Option<Vec<T>> = text.split(',').map(|t| t.trim().parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| format!("expected {N} comma-separated numbers"))
}

#[cfg(test)]
mod tests;
