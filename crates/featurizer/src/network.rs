//! What a network takes and answers: from the ONNX file itself, a metadata file beside it, flags, and the model server.

use std::{
    fs, io,
    path::{Path, PathBuf},
};

use serde::{Deserialize, Serialize};

use crate::Error;

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
    pub mean: [f32; 3],
    /// Standard deviation of each channel, on the same scale.
    pub std: [f32; 3],
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

/// What is said of a network: the `network` part of the metadata file beside it, and the flags of the model server. What
/// is left out is found in the ONNX file, or is as the model server's own artifacts are.
#[derive(Clone, Debug, Default, PartialEq, Serialize, Deserialize, clap::Args)]
#[serde(deny_unknown_fields)]
pub struct NetworkOptions {
    /// Name of the network's input, if it has several
    #[arg(long = "input_name", env = "CLIPPER_INPUT_NAME", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub input: Option<String>,
    /// Name of the network's output, if it has several
    #[arg(long = "output_name", env = "CLIPPER_OUTPUT_NAME", value_name = "NAME")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub output: Option<String>,
    /// Order of the input's dimensions [default: by where its shape says 3]
    #[arg(long, env = "CLIPPER_LAYOUT")]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub layout: Option<Layout>,
    /// Height and width of the input in pixels, where its shape leaves them open
    #[arg(
        long,
        env = "CLIPPER_SIZE",
        value_name = "HEIGHT,WIDTH",
        value_parser = numbers::<usize, 2>
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub size: Option<[usize; 2]>,
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
        value_parser = numbers::<f32, 3>
    )]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub mean: Option<[f32; 3]>,
    /// Deviation of each channel, 0 to 1, by which a pixel's value is divided
    #[arg(long, env = "CLIPPER_STD", value_name = "R,G,B", value_parser = numbers::<f32, 3>)]
    #[serde(skip_serializing_if = "Option::is_none")]
    pub std: Option<[f32; 3]>,
}

impl NetworkOptions {
    /// What the metadata file `<artifact>.json` says; nothing if there is no such file.
    pub(crate) fn beside(artifact: &Path) -> Result<NetworkOptions, Error> {
        #[derive(Deserialize)]
        struct Metadata {
            #[serde(default)]
            network: NetworkOptions,
        }
        let mut path = artifact.as_os_str().to_owned();
        path.push(".json");
        let path = PathBuf::from(path);
        let wrong = |reason: String| Error::Metadata {
            path: path.clone(),
            reason,
        };
        match fs::read(&path) {
            Ok(json) => serde_json::from_slice(&json)
                .map(|metadata: Metadata| metadata.network)
                .map_err(|error| wrong(error.to_string())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => Ok(NetworkOptions::default()),
            Err(error) => Err(wrong(error.to_string())),
        }
    }

    /// This, and where it says nothing, what `other` says.
    pub(crate) fn or(self, other: NetworkOptions) -> NetworkOptions {
        NetworkOptions {
            input: self.input.or(other.input),
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
        let input = choose("input", inputs, said.input.as_deref())?;
        let output = choose("output", outputs, said.output.as_deref())?;
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
        let said_size = said.size.unwrap_or([architecture.side; 2]);
        let size = [height, width].map(|known| known.filter(|&pixels| pixels > 0));
        let [height, width] = [0, 1].map(|axis| size[axis].unwrap_or(said_size[axis]));
        if said.size.is_some() && [height, width] != said_size {
            return Err(format!(
                "its {} takes pictures of {height}x{width} pixels: leave --size out, or say --size {height},{width}",
                input.describe("input")
            ));
        }
        let network = Network {
            input: input.name.clone(),
            output: output.name.clone(),
            layout,
            height,
            width,
            batch: batch.filter(|&pictures| pictures > 0),
            resize: resize(architecture, said, height.max(width))?,
            scaling: Scaling {
                mean: said.mean.unwrap_or(architecture.scaling.mean),
                std: said.std.unwrap_or(architecture.scaling.std),
            },
        };
        let Scaling { mean, std } = network.scaling;
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
    fn describe(&self, what: &str) -> String {
        let sizes = self.shape.iter().map(|size| match size {
            Some(size) => size.to_string(),
            None => "?".to_owned(),
        });
        let shape = sizes.collect::<Vec<_>>().join(", ");
        format!("{what} {:?} ({} [{shape}])", self.name, self.element)
    }
}

/// The port of that name, or the only one, if it holds float32.
fn choose<'a>(what: &str, ports: &'a [Port], name: Option<&str>) -> Result<&'a Port, String> {
    let names: Vec<_> = ports.iter().map(|port| port.describe(what)).collect();
    let names = names.join(", ");
    let port = match (name, ports) {
        (None, [only]) => only,
        (None, _) => return Err(format!("say which with --{what}_name: it has {names}")),
        (Some(name), _) => ports
            .iter()
            .find(|port| port.name == name)
            .ok_or_else(|| format!("it has no {what} {name:?}; it has {names}"))?,
    };
    if port.element != "float32" {
        return Err(format!("its {} is not float32", port.describe(what)));
    }
    Ok(port)
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

/// Numbers with commas between them.
fn numbers<T: std::str::FromStr, const N: usize>(text: &str) -> Result<[T; N], String> {
    let numbers: Option<Vec<T>> = text.split(',').map(|t| t.trim().parse().ok()).collect();
    numbers
        .and_then(|numbers| numbers.try_into().ok())
        .ok_or_else(|| format!("it must be {N} numbers with commas between them"))
}

#[cfg(test)]
mod tests {
    use super::*;

    const ARCHITECTURE: Architecture = Architecture {
        name: "tiny",
        side: 224,
        resize: 256,
        scaling: Scaling {
            mean: [0.5; 3],
            std: [0.25; 3],
        },
    };

    fn port(name: &str, shape: &[Option<usize>]) -> Port {
        Port {
            name: name.into(),
            element: "float32".into(),
            shape: shape.to_vec(),
        }
    }

    fn resolve(shape: &[Option<usize>], said: &NetworkOptions) -> Result<Network, String> {
        let output = port("features", &[None, Some(7)]);
        Network::resolve(&ARCHITECTURE, said, &[port("images", shape)], &[output])
    }

    #[test]
    fn the_shape_of_the_input_tells_layout_and_size() {
        let nchw = resolve(
            &[None, Some(3), Some(64), Some(96)],
            &NetworkOptions::default(),
        )
        .unwrap();
        assert_eq!(
            (nchw.layout, nchw.height, nchw.width, nchw.batch),
            (Layout::Nchw, 64, 96, None)
        );
        assert_eq!(nchw.resize, Some(109), "256 / 224 of 96");
        let nhwc = resolve(
            &[Some(1), Some(64), Some(96), Some(3)],
            &NetworkOptions::default(),
        )
        .unwrap();
        assert_eq!(
            (nhwc.layout, nhwc.height, nhwc.width, nhwc.batch),
            (Layout::Nhwc, 64, 96, Some(1))
        );
        assert_eq!(nhwc.shape(5), [5, 64, 96, 3]);
    }

    #[test]
    fn what_the_file_leaves_open_is_as_said_or_else_as_the_architecture_has_it() {
        let open = [None; 4];
        let own = resolve(&open, &NetworkOptions::default()).unwrap();
        assert_eq!(
            (own.layout, own.height, own.width, own.resize),
            (Layout::Nchw, 224, 224, Some(256))
        );
        assert_eq!(own.scaling, ARCHITECTURE.scaling);
        let said = NetworkOptions {
            layout: Some(Layout::Nhwc),
            size: Some([32, 48]),
            resize: Some(0),
            mean: Some([0.0; 3]),
            ..NetworkOptions::default()
        };
        let network = resolve(&open, &said).unwrap();
        assert_eq!(network.shape(1), [1, 32, 48, 3]);
        assert_eq!(network.resize, None);
        assert_eq!(network.scaling.mean, [0.0; 3]);
        assert_eq!(network.scaling.std, [0.25; 3]);
    }

    #[test]
    fn flags_count_more_than_the_metadata_file() {
        let folder = tempfile::tempdir().unwrap();
        let artifact = folder.path().join("my.onnx");
        assert_eq!(
            NetworkOptions::beside(&artifact).unwrap(),
            NetworkOptions::default()
        );
        let json =
            r#"{"file": "my.onnx", "network": {"layout": "NHWC", "resize": 40, "size": [32, 32]}}"#;
        fs::write(folder.path().join("my.onnx.json"), json).unwrap();
        let flags = NetworkOptions {
            resize: Some(0),
            ..NetworkOptions::default()
        };
        let said = flags.or(NetworkOptions::beside(&artifact).unwrap());
        assert_eq!(said.layout, Some(Layout::Nhwc));
        assert_eq!((said.resize, said.size), (Some(0), Some([32, 32])));

        let json = r#"{"network": {"layuot": "NHWC"}}"#;
        fs::write(folder.path().join("my.onnx.json"), json).unwrap();
        let error = NetworkOptions::beside(&artifact).unwrap_err().to_string();
        assert!(
            error.contains("my.onnx.json") && error.contains("layuot"),
            "{error}"
        );
    }

    #[test]
    fn what_does_not_fit_is_named() {
        let fixed = [None, Some(3), Some(64), Some(64)];
        let said = NetworkOptions::default;
        for (shape, said, problem) in [
            (
                &[None, Some(10)][..],
                said(),
                "input \"images\" (float32 [?, 10]) has 2 dimensions",
            ),
            (
                &[None, Some(1), Some(8), Some(8)],
                said(),
                "not of pictures with three channels",
            ),
            (
                &fixed,
                NetworkOptions {
                    layout: Some(Layout::Nhwc),
                    ..said()
                },
                "in the order Nhwc",
            ),
            (
                &fixed,
                NetworkOptions {
                    size: Some([64, 65]),
                    ..said()
                },
                "say --size 64,64",
            ),
            (
                &fixed,
                NetworkOptions {
                    resize: Some(60),
                    ..said()
                },
                "give --resize 64 or more",
            ),
            (
                &fixed,
                NetworkOptions {
                    std: Some([1.0, 0.0, 1.0]),
                    ..said()
                },
                "deviations are above 0",
            ),
            (
                &fixed,
                NetworkOptions {
                    input: Some("x".into()),
                    ..said()
                },
                "it has no input \"x\"; it has input \"images\"",
            ),
        ] {
            let error = resolve(shape, &said).unwrap_err();
            assert!(error.contains(problem), "{error}");
        }
        let two = [port("a", &[None]), port("b", &[None])];
        let images = [port("images", &fixed)];
        let error = Network::resolve(&ARCHITECTURE, &said(), &images, &two).unwrap_err();
        assert!(error.contains("--output_name"), "{error}");
        let whole = Port {
            element: "uint8".into(),
            ..port("images", &fixed)
        };
        let error = Network::resolve(&ARCHITECTURE, &said(), &[whole], &two[..1]).unwrap_err();
        assert!(error.contains("is not float32"), "{error}");
    }

    #[test]
    fn numbers_come_with_commas() {
        assert_eq!(numbers::<f32, 3>("0.5, 1,-2"), Ok([0.5, 1.0, -2.0]));
        assert!(numbers::<usize, 2>("64").is_err());
    }
}
