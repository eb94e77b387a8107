//! The models that can be measured, and what each takes.

use model::DataType;

/// A model that the driver can deploy.
#[derive(Debug)]
pub struct KnownModel {
    /// Package, program, application, model.
    pub name: &'static str,
    /// The types of input it takes, its usual one first.
    pub input_types: &'static [DataType],
    /// What an input is.
    pub input: InputKind,
    /// The engines that it runs on, on CPU or GPU, its usual one first; none if it has only its own way, on CPU.
    pub engines: &'static [&'static str],
    /// The file name of its own artifact in a folder `artifacts`; `None` if it needs none.
    pub artifact: Option<&'static str>,
    /// The library that its program loads and that `make setup` fetches, if any.
    pub library: Option<&'static Library>,
}

/// A library that a model server's program loads when it starts.
#[derive(Debug)]
pub struct Library {
    /// What it is.
    pub name: &'static str,
    /// Its file name in a folder `.deps/lib` or `lib` above the program.
    pub file: &'static str,
    /// The variable that names another place: the file, or a folder with it.
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

/// What an input of a model is.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum InputKind {
    /// A square RGB picture, this many pixels wide: floats 0 to 255, channels last, or base64 of a JPEG or PNG file.
    Picture(u32),
    /// This many floats or doubles.
    Vector(usize),
    /// This many elements of any type, whatever they are.
    Anything(usize),
}

/// Why a model cannot be measured as asked.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// There is no model of this name.
    #[error("there is no model {name:?}; --model_name takes one of {models}")]
    Unknown {
        /// What was asked for.
        name: String,
        /// The models that there are.
        models: String,
    },
    /// The model computes in one way only.
    #[error("{0} has no engine to choose: leave --engine (or CLIPPER_ENGINE) out")]
    NoEngine(&'static str),
    /// The model does not run on this engine.
    #[error("--engine takes {engines}, not {asked:?}")]
    Engine {
        /// Those that it runs on.
        engines: String,
        /// What was asked for.
        asked: String,
    },
    /// The model does not take inputs of this type.
    #[error("{model} does not take --input_type {asked}; it takes {types}")]
    InputType {
        /// The model.
        model: &'static str,
        /// What was asked for.
        asked: String,
        /// The types that it takes.
        types: String,
    },
}

/// All of them.
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

/// The model with this name.
///
/// # Errors
/// `Unknown` if there is none.
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
    /// The engine asked for, if the model runs on it; `None` if none was asked for.
    ///
    /// # Errors
    /// `NoEngine` or `Engine` if it does not.
    pub fn engine(&self, asked: Option<&str>) -> Result<Option<&'static str>, ModelError> {
        let Some(asked) = asked else { return Ok(None) };
        let engine = self.engines.iter().find(|&&engine| engine == asked);
        engine.copied().map(Some).ok_or_else(|| match self.engines {
            [] => ModelError::NoEngine(self.name),
            engines => ModelError::Engine {
                engines: engines.join(" or "),
                asked: asked.to_owned(),
            },
        })
    }

    /// True if its outputs name classes, which can be right or wrong: the models on vectors of features do.
    pub fn is_classifier(&self) -> bool {
        matches!(self.input, InputKind::Vector(_))
    }

    /// The type of input to send: the one asked for, if the model takes it, or its usual one.
    ///
    /// # Errors
    /// `InputType` if the model does not take it.
    pub fn input_type(&self, asked: Option<&str>) -> Result<DataType, ModelError> {
        let Some(asked) = asked else {
            return Ok(self.input_types[0]);
        };
        let parsed = asked.parse().ok();
        let taken = parsed.filter(|asked| self.input_types.contains(asked));
        taken.ok_or_else(|| {
            let names: Vec<_> = self.input_types.iter().map(|t| t.name()).collect();
            ModelError::InputType {
                model: self.name,
                asked: asked.to_owned(),
                types: names.join(" or "),
            }
        })
    }
}
