//! What a network takes and answers: from the ONNX file itself, a metadata file beside it, flags, and the model server.

use std::{
    fs, io,
    path::{Path, PathBuf},
    str::FromStr,
};

use serde::{Deserialize, Serialize};

use crate::{Channels, Error};

/// Pixels of a side, and pictures of a fixed batch: what memory could hold, and arithmetic too.
const SIZES: std::ops::RangeInclusive<usize> = 1..=16_384;

/// What the artifacts of a model server are, unless something says otherwise.
#[derive(Debug)]
pub struct Architecture {
    /// The name of the model server.
    pub name: &'static str,
    /// Width and height of the pictures, in pixels, where the ONNX file leaves them open.
    pub side: usize,
    /// The shorter side of a picture file, in pixels, before the centre of `side x side` is cut out of it.
    pub resize: usize,
    /// What the network expects of the values of a pixel.
    pub scaling: Scaling,
}

impl Architecture {
    /// What a metadata file must say of such a network, so that another model server treats its pictures the same way.
    pub fn options(&self) -> NetworkOptions {
        NetworkOptions {
            resize: Some(self.resize),
            mean: Some(self.scaling.mean),
            std: Some(self.scaling.std),
            ..NetworkOptions::default()
        }
    }
}

/// How a channel's value, 0 to 255, becomes what a network was trained on: `(value / 255 - mean) / std`.
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

/// What is said of a network: the `network` part of the metadata file beside it, and the flags of the model server. What
/// is left out is found in the ONNX file, or is as the model server's own artifacts are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct NetworkOptions {
    /// Name of the network's output, if it has several
    #[arg(long = "output_name", env = "CLIPPER_OUTPUT_NAME", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Order of the input's dimensions [default: by where its shape says 3]
    #[arg(long, env = "CLIPPER_LAYOUT", ignore_case = true)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Height and width of the input in pixels, where its shape leaves them open
    #[arg(
        long,
        env = "CLIPPER_SIZE",
        value_name = "HEIGHT,WIDTH",
        value_parser = size
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<Size>,
    /// Shorter side of a picture file, in pixels, before its centre is cut out; 0 squeezes the whole picture
    #[arg(long, env = "CLIPPER_RESIZE", value_name = "PIXELS")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub resize: Option<usize>,
    /// Mean of each channel, 0 to 1, taken off a pixel's value
    #[arg(
        long,
        env = "CLIPPER_MEAN",
        value_name = "R,G,B",
        allow_hyphen_values = true,
        value_parser = channels
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<Channels>,
    /// Deviation of each channel, 0 to 1, by which a pixel's value is divided
    #[arg(long, env = "CLIPPER_STD", value_name = "R,G,B", value_parser = channels)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<Channels>,
}

impl NetworkOptions {
    /// What the metadata file `<artifact>.json` says; nothing if there is no such file.
    pub(crate) fn beside(artifact: &Path) -> Result<NetworkOptions, Error> {
        let mut path = artifact.as_os_str().to_owned();
        path.push(".json");
        let path = PathBuf::from(path);
        let wrong = |reason: String| Error::Metadata {
            path: path.clone(),
            reason,
        };
        match fs::read(&path) {
            Ok(json) => NetworkOptions::parse(&json).map_err(|error| wrong(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(NetworkOptions::default()),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// What the text of a metadata file says.
    pub(crate) fn parse(json: &[u8]) -> serde_json::Result<NetworkOptions> {
        #[derive(Deserialize)]
        struct Metadata {
            #[serde(default)]
            network: NetworkOptions,
        }
        let metadata: Metadata = serde_json::from_slice(json)?;
        Ok(metadata.network)
    }

    /// This, and where it says nothing, what `other` says.
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

/// An input or output of a network, as an engine sees it.
#[derive(Clone, Debug, PartialEq)]
pub struct Port {
    /// Its name.
    pub name: String,
    /// The type of its elements: `float32` is the one that can be served.
    pub element: String,
    /// Its dimensions; `None` is one that the network leaves open.
    pub shape: Vec<Option<usize>>,
}

/// A network's input and output, with nothing left open but the number of pictures.
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
    /// Pictures in one call, if the network takes no other number.
    pub batch: Option<usize>,
    /// The shorter side of a picture file before its centre is cut out; `None` squeezes the whole picture.
    pub resize: Option<usize>,
    /// What the network expects of the values of a pixel.
    pub scaling: Scaling,
}

impl Network {
    /// Puts together what is known. The shapes of the file count most, then what was said, then the architecture.
    ///
    /// # Errors
    /// What does not fit, in words, with what to do.
    pub(crate) fn resolve(
        architecture: &Architecture,
        said: &NetworkOptions,
        inputs: &[Port],
        outputs: &[Port],
    ) -> Result<Network, String> {
        let [input] = inputs else {
            return Err(format!(
                "only one input can be given: it has {}",
                list("input", inputs)
            ));
        };
        let output = choose(outputs, said.output.as_deref())?;
        for (what, port) in [("input", input), ("output", output)] {
            if port.element != "float32" {
                return Err(format!("its {} is not float32", port.describe(what)));
            }
        }
        let [batch, a, b, c] = input.shape[..] else {
            return Err(format!(
                "its {} has {} dimensions, not the four of pictures",
                input.describe("input"),
                input.shape.len()
            ));
        };
        let layout = layout(input, said.layout)?;
        let [height, width] = match layout {
            Layout::Nchw => [b, c],
            Layout::Nhwc => [a, b],
        };
        let said_size = said.size.map_or([architecture.side; 2], <[usize; 2]>::from);
        let size = [height, width].map(|known| known.filter(|&pixels| pixels > 0));
        let [height, width] = [0, 1].map(|axis| size[axis].unwrap_or(said_size[axis]));
        if said.size.is_some() && [height, width] != said_size {
            return Err(format!(
                "its {} takes pictures of {height}x{width} pixels: leave --size out, or say --size {height},{width}",
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
            resize: resize(architecture, said, height.max(width))?,
            scaling: Scaling {
                mean: said.mean.unwrap_or(architecture.scaling.mean),
                std: said.std.unwrap_or(architecture.scaling.std),
            },
        };
        check_sizes([network.resize])?;
        let Scaling { mean, std } = network.scaling;
        let [mean, std] = [mean, std].map(<[f32; 3]>::from);
        if !(mean.iter().chain(&std).all(|value| value.is_finite()) && std.iter().all(|&s| s > 0.0))
        {
            return Err(format!(
                "a mean of {mean:?} and a deviation of {std:?} scale nothing: deviations are above 0"
            ));
        }
        Ok(network)
    }

    /// Values of one picture: three per pixel.
    pub(crate) fn values(&self) -> usize {
        3 * self.height * self.width
    }

    /// The shape of so many pictures.
    pub(crate) fn shape(&self, pictures: usize) -> [usize; 4] {
        match self.layout {
            Layout::Nchw => [pictures, 3, self.height, self.width],
            Layout::Nhwc => [pictures, self.height, self.width, 3],
        }
    }
}

impl Port {
    pub(crate) fn describe(&self, what: &str) -> String {
        let sizes = self.shape.iter().map(|size| match size {
            Some(size) => size.to_string(),
            None => "?".to_owned(),
        });
        let shape = sizes.collect::<Vec<_>>().join(", ");
        format!("{what} {:?} ({} [{shape}])", self.name, self.element)
    }
}

fn list(what: &str, ports: &[Port]) -> String {
    let ports: Vec<_> = ports.iter().map(|port| port.describe(what)).collect();
    ports.join(", ")
}

/// The output of that name, or the only one.
fn choose<'a>(outputs: &'a [Port], name: Option<&str>) -> Result<&'a Port, String> {
    let all = || list("output", outputs);
    match (name, outputs) {
        (None, [only]) => Ok(only),
        (None, _) => Err(format!("say which with --output_name: it has {}", all())),
        (Some(name), _) => outputs
            .iter()
            .find(|port| port.name == name)
            .ok_or_else(|| format!("it has no output {name:?}; it has {}", all())),
    }
}

/// Refuses sizes that no memory holds.
fn check_sizes<const N: usize>(sizes: [Option<usize>; N]) -> Result<(), String> {
    let mut sizes = sizes.into_iter().flatten();
    match sizes.find(|size| !SIZES.contains(size)) {
        None => Ok(()),
        Some(size) => Err(format!(
            "{size} pixels or pictures cannot be: sizes go from {} to {}",
            SIZES.start(),
            SIZES.end()
        )),
    }
}

/// The layout said, or that of which the input's shape has a 3 in the place of the channels.
fn layout(input: &Port, said: Option<Layout>) -> Result<Layout, String> {
    let may_be = |axis: usize| matches!(input.shape[axis], None | Some(3));
    let fits = |layout| match layout {
        Layout::Nchw => may_be(1),
        Layout::Nhwc => may_be(3),
    };
    match said {
        Some(layout) if fits(layout) => Ok(layout),
        None if input.shape[3] == Some(3) && input.shape[1] != Some(3) => Ok(Layout::Nhwc),
        None if fits(Layout::Nchw) => Ok(Layout::Nchw),
        _ => Err(format!(
            "its {} is not of pictures with three channels{}",
            input.describe("input"),
            said.map_or(String::new(), |layout| format!(" in the order {layout:?}"))
        )),
    }
}

/// The shorter side of a picture file: as said, or in proportion as the architecture has it.
fn resize(
    architecture: &Architecture,
    said: &NetworkOptions,
    longer: usize,
) -> Result<Option<usize>, String> {
    match said.resize {
        Some(0) => Ok(None),
        Some(shorter) if shorter < longer => Err(format!(
            "of a picture resized to {shorter} pixels no {longer} can be cut out: give --resize {longer} or more, or 0"
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

/// Numbers with commas between them.
fn numbers<T: FromStr, const N: usize>(text: &str) -> Result<[T; N], String> {
    let numbers: Option<Vec<T>> = text.split(',').map(|t| t.trim().parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| format!("it must be {N} numbers with commas between them"))
}

#[cfg(test)]
mod tests;
