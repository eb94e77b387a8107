//! The models that can be deployed, with their input types, engines, artifacts and libraries.

use model::DataType;

/// A model that the driver can deploy.
#[derive(Debug)]
pub struct KnownModel {
    /// Name of the package, program, application and model.
    pub name: &'static str,
    /// Supported input types, the default first.
    pub input_types: &'static [DataType],
    /// Kind and size of an input.
    pub input: InputKind,
    /// Supported inference engines on CPU or GPU, the default first; empty for a model that has its own
    /// implementation on the CPU.
    pub engines: &'static [&'static str],
    /// File name of the default artifact in a folder `artifacts`; `None` if the model needs none.
    pub artifact: Option<&'static str>,
    /// Library that the model server loads and that `make setup` fetches, if any.
    pub library: Option<&'static Library>,
}

/// A shared library that a model server loads at start-up.
#[derive(Debug)]
pub struct Library {
    /// Name in error messages.
    pub name: &'static str,
    /// File name in a folder `.deps/lib` or `lib` above the program.
    pub file: &'static str,
    /// Environment variable that overrides the location: the file, or a folder that contains it.
    pub variable: &'static str,
}

const ONNX_RUNTIME: Library = Library {
    name: "ONNX Runtime",
    file: "libonnxruntime.so",
    variable: "ORT_DYLIB_PATH",
};

const LIGHTGBM: Library = Library {
    name: "LightGBM",
    file: "lib_lightgbm.so",
    variable: "LIGHTGBM_LIB_DIR",
};

const ENGINES: &[&str] = &["ort", "tch"];

/// Kind and size of a model's input.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// Square RGB picture of this width in pixels: floats 0 to 255, channels last, or base64 of a JPEG or
    /// PNG file.
    Picture(u32),
    /// Vector of this many floats or doubles.
    Vector(usize),
    /// This many elements of any type and value.
    Anything(usize),
}

/// A model, engine or input type that does not exist or does not fit the others.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// No model has this name.
    #[error("there is no model {name:?}; --model_name takes one of {models}")]
    Unknown {
        /// Requested name.
        name: String,
        /// Known models.
        models: String,
    },
    /// The model has no choice of engines.
    #[error("{0} has no choice of engines: remove --engine, or unset CLIPPER_ENGINE")]
    NoEngine(&'static str),
    /// The model does not support this engine.
    #[error("--engine takes {engines}, not {requested:?}")]
    Engine {
        /// Supported engines.
        engines: String,
        /// Requested engine.
        requested: String,
    },
    /// The model does not support this input type.
    #[error("{model} does not take --input_type {requested}; it takes {types}")]
    InputType {
        /// Name of the model.
        model: &'static str,
        /// Requested type.
        requested: String,
        /// Supported types.
        types: String,
    },
}

/// All models that can be deployed.
pub const MODELS: [KnownModel; 5] = [
    KnownModel {
        name: "vgg",
        input_types: &[DataType::Floats, DataType::Strings],
        input: InputKind::Picture(224),
        engines: ENGINES,
        artifact: Some("vgg.onnx"),
        library: Some(&ONNX_RUNTIME),
    },
    KnownModel {
        name: "inception",
        input_types: &[DataType::Strings, DataType::Floats],
        input: InputKind::Picture(299),
        engines: ENGINES,
        artifact: Some("inception.onnx"),
        library: Some(&ONNX_RUNTIME),
    },
    KnownModel {
        name: "svm",
        input_types: &[DataType::Floats, DataType::Doubles],
        input: InputKind::Vector(4096),
        engines: &[],
        artifact: Some("svm.safetensors"),
        library: None,
    },
    KnownModel {
        name: "lgbm",
        input_types: &[DataType::Floats, DataType::Doubles],
        input: InputKind::Vector(2048),
        engines: &[],
        artifact: Some("lgbm.txt"),
        library: Some(&LIGHTGBM),
    },
    KnownModel {
        name: "noop",
        input_types: &[
            DataType::Floats,
            DataType::Strings,
            DataType::Doubles,
            DataType::Ints,
            DataType::Bytes,
        ],
        input: InputKind::Anything(10),
        engines: &[],
        artifact: None,
        library: None,
    },
];

/// Returns the model with this name.
///
/// # Errors
/// `Unknown` if no model has it.
pub fn find(name: &str) -> Result<&'static KnownModel, ModelError> {
    MODELS.iter().find(|m| m.name == name).ok_or_else(|| {
        let names: Vec<_> = MODELS.iter().map(|m| m.name).collect();
        ModelError::Unknown {
            name: name.to_owned(),
            models: names.join(", "),
        }
    })
}

impl KnownModel {
    /// Returns the `requested` engine if the model supports it; `None` if none is requested.
    ///
    /// # Errors
    /// `NoEngine` or `Engine` if the model does not support it.
    pub fn engine(&self, requested: Option<&str>) -> Result<Option<&'static str>, ModelError> {
        let Some(requested) = requested else {
            return Ok(None);
        };
        let engine = self.engines.iter().find(|&&engine| engine == requested);
        engine.copied().map(Some).ok_or_else(|| match self.engines {
            [] => ModelError::NoEngine(self.name),
            engines => ModelError::Engine {
                engines: engines.join(" or "),
                requested: requested.to_owned(),
            },
        })
    }

    /// Returns true if the outputs are class names, so that accuracy can be measured. The models on
    /// feature vectors are classifiers.
    pub fn is_classifier(&self) -> bool {
        matches!(self.input, InputKind::Vector(_))
    }

    /// Returns the `requested` input type if the model supports it; without a request, the default.
    ///
    /// # Errors
    /// `InputType` if the model does not support it.
    pub fn input_type(&self, requested: Option<&str>) -> Result<DataType, ModelError> {
        let Some(requested) = requested else {
            return Ok(self.input_types[0]);
        };
        let parsed = requested.parse().ok();
        let supported = parsed.filter(|parsed| self.input_types.contains(parsed));
        supported.ok_or_else(|| {
            let names: Vec<_> = self.input_types.iter().map(|t| t.name()).collect();
            ModelError::InputType {
                model: self.name,
                requested: requested.to_owned(),
                types: names.join(" or "),
            }
        })
    }
}
