//! libtorch: the operations of an ONNX file, one after the other.
//!
//! The file is the one that ONNX Runtime takes, so both engines compute the same artifact. The operations are those of the
//! usual convolutional networks (see [`operation`]); a file with others is refused by name.

mod operation;

use std::{
    collections::HashMap, env, fs, os::unix::process::CommandExt, path::Path, process::Command,
};

use model::Device;
use onnx::{Bytes, Dimension, GraphProto, Message, ModelProto, ValueInfoProto};
use tch::{TchError, Tensor};

use super::{
    cuda,
    interface::{Engine, EngineError, EngineOutput, Resources},
};
use crate::{Error, Network, network::Port};
use operation::{Operation, Weights};

/// A network as steps on values that are numbered.
pub(crate) struct Libtorch {
    device: tch::Device,
    inputs: Vec<Port>,
    outputs: Vec<Port>,
    /// The number of each input and output.
    numbers: HashMap<String, usize>,
    steps: Vec<Step>,
}

/// One operation.
struct Step {
    operation: Operation,
    inputs: Vec<usize>,
    output: usize,
    /// Values that no later step takes.
    dead: Vec<usize>,
}

impl Libtorch {
    /// Loads the ONNX file at `path`.
    pub(crate) fn load(path: &Path, resources: Resources) -> Result<Libtorch, Error> {
        let unreadable = |reason: String| Error::Artifact {
            path: path.to_owned(),
            engine: "libtorch",
            reason,
        };
        let device = device(resources)?;
        let bytes = fs::read(path).map_err(|error| unreadable(error.to_string()))?;
        let model = ModelProto::decode(Bytes::from(bytes));
        let model = model.map_err(|error| unreadable(error.to_string()))?;
        let graph = model
            .graph
            .ok_or_else(|| unreadable("it holds no network".into()))?;
        build(graph, device).map_err(|reason| match resources.device {
            Device::Cuda(gpu) if cuda::is_about_gpu(&reason) => Error::Gpu {
                gpu,
                reason: cuda::explain(&reason),
            },
            _ => unreadable(reason),
        })
    }

    fn compute(&self, network: &Network, pictures: &[f32]) -> Result<EngineOutput, TchError> {
        let _no_gradients = tch::no_grad_guard();
        let shape = network.shape(pictures.len() / network.values());
        let shape = shape.map(|size| size as i64);
        let pictures = Tensor::f_from_slice(pictures)?
            .f_to_device(self.device)?
            .f_reshape(shape)?;
        let mut values = HashMap::from([(self.numbers[&network.input], pictures)]);
        for step in &self.steps {
            let inputs: Option<Vec<_>> = step.inputs.iter().map(|i| values.get(i)).collect();
            let inputs = inputs.ok_or_else(|| TchError::Shape("a value is missing".into()))?;
            let output = step.operation.apply(&inputs)?;
            values.insert(step.output, output);
            for dead in &step.dead {
                values.remove(dead);
            }
        }
        let features = values.get(&self.numbers[&network.output]);
        let features = features.ok_or_else(|| TchError::Shape("the output is missing".into()))?;
        let sizes = features.size();
        let sizes = sizes.iter().map(|&size| usize::try_from(size));
        let shape = sizes.collect::<Result<_, _>>();
        let mut values = vec![0.0; features.numel()];
        features
            .f_contiguous()?
            .f_copy_data(&mut values, features.numel())?;
        Ok(EngineOutput {
            shape: shape.map_err(|error| TchError::Shape(error.to_string()))?,
            values,
        })
    }
}

impl Engine for Libtorch {
    /// libtorch does not tell its version; the build accepts no other than this.
    fn version(&self) -> String {
        "libtorch 2.13.0".to_owned()
    }

    fn inputs(&self) -> Vec<Port> {
        self.inputs.clone()
    }

    fn outputs(&self) -> Vec<Port> {
        self.outputs.clone()
    }

    fn run(&mut self, network: &Network, pictures: &[f32]) -> Result<EngineOutput, EngineError> {
        self.compute(network, pictures)
            .map_err(|error| EngineError(error.to_string()))
    }
}

/// Numbers the values of a graph and turns its nodes into steps.
fn build(graph: GraphProto, device: tch::Device) -> Result<Libtorch, String> {
    let mut weights = Weights::new(graph.initializer, device);
    let is_weight = |port: &&ValueInfoProto| !weights.has(&port.name);
    let inputs: Vec<_> = graph.input.iter().filter(is_weight).map(port).collect();
    let outputs: Vec<_> = graph.output.iter().map(port).collect();
    let mut numbers = HashMap::new();
    let number = |name: &String, numbers: &mut HashMap<String, usize>| {
        let next = numbers.len();
        match numbers.insert(name.clone(), next) {
            None => Ok(next),
            Some(_) => Err(format!("the value {name:?} is made twice")),
        }
    };
    for input in &inputs {
        number(&input.name, &mut numbers)?;
    }
    let mut steps = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let (operation, taken) = Operation::read(node, &mut weights)?;
        let find = |name: &String| {
            numbers.get(name).copied().ok_or_else(|| {
                format!(
                    "the node {:?} takes {name:?}, which nothing makes",
                    node.name
                )
            })
        };
        let taken = taken.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        // What else an operation can make, such as the mask of a Dropout, nothing takes in evaluation.
        let output = node.output.first();
        let output = output.ok_or_else(|| format!("the node {:?} makes nothing", node.name))?;
        let output_number = number(output, &mut numbers)?;
        steps.push(Step {
            operation,
            inputs: taken,
            output: output_number,
            dead: Vec::new(),
        });
    }
    let ports = || inputs.iter().chain(&outputs);
    if let Some(port) = ports().find(|port| !numbers.contains_key(&port.name)) {
        return Err(format!("nothing makes its output {:?}", port.name));
    }
    numbers.retain(|name, _| ports().any(|port| port.name == *name));
    let mut steps = fuse(steps, &numbers);
    bury(&mut steps, &numbers);
    Ok(Libtorch {
        device,
        inputs,
        outputs,
        numbers,
        steps,
    })
}

/// A ReLU of what nothing else takes is done in place, by the step before.
fn fuse(steps: Vec<Step>, kept: &HashMap<String, usize>) -> Vec<Step> {
    let mut uses: HashMap<usize, usize> = HashMap::new();
    let taken = steps.iter().flat_map(|step| &step.inputs);
    for value in taken.chain(kept.values()) {
        *uses.entry(*value).or_default() += 1;
    }
    let mut fused: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps {
        if let (Operation::Relu, Some(before)) = (&step.operation, fused.last_mut())
            && step.inputs == [before.output]
            && uses[&before.output] == 1
            && before.operation.rectify()
        {
            before.output = step.output;
        } else {
            fused.push(step);
        }
    }
    fused
}

/// Notes after which step each value is no longer needed.
fn bury(steps: &mut [Step], kept: &HashMap<String, usize>) {
    let mut seen: Vec<usize> = kept.values().copied().collect();
    for step in steps.iter_mut().rev() {
        for &input in &step.inputs {
            if !seen.contains(&input) {
                seen.push(input);
                step.dead.push(input);
            }
        }
    }
}

fn port(info: &ValueInfoProto) -> Port {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let sizes = shape.into_iter().flat_map(|shape| &shape.dim);
    Port {
        name: info.name.clone(),
        element: match tensor.map(|tensor| tensor.elem_type) {
            Some(onnx::FLOAT) => "float32".to_owned(),
            Some(code) => format!("element type {code}"),
            None => "no tensor".to_owned(),
        },
        shape: sizes
            .map(|dimension| match dimension.value {
                Some(Dimension::Size(size)) => usize::try_from(size).ok(),
                _ => None,
            })
            .collect(),
    }
}

/// The device, ready, with its threads or its share of the memory.
fn device(resources: Resources) -> Result<tch::Device, Error> {
    let Device::Cuda(gpu) = resources.device else {
        tch::set_num_threads(i32::try_from(resources.threads).unwrap_or(i32::MAX));
        return Ok(tch::Device::Cpu);
    };
    cuda::memory(gpu, resources.gpu_mem_frac)?;
    let failed = |reason: &str| Error::Gpu {
        gpu,
        reason: cuda::explain(reason),
    };
    // The linker leaves it out: no function of it is called by name.
    ort::util::preload_dylib("libtorch_cuda.so").map_err(|error| failed(&error.to_string()))?;
    if !tch::Cuda::is_available() {
        return Err(failed(
            "libtorch finds no GPU that it can use: is the NVIDIA driver recent enough for CUDA 13?",
        ));
    }
    limit_memory(resources.gpu_mem_frac)
        .map_err(|error| failed(&format!("cannot limit its memory: {error}")))?;
    tch::Cuda::cudnn_set_benchmark(true);
    let device = tch::Device::Cuda(gpu as usize);
    let first = Tensor::f_from_slice(&[0.0_f32]).and_then(|x| x.f_to_device(device));
    drop(first.map_err(|error| failed(&error.to_string()))?);
    Ok(device)
}

/// libtorch reads the share of the memory that it may take from the environment, once, before `main`: where it is not there
/// yet, the program starts itself again with it.
fn limit_memory(share: f32) -> std::io::Result<()> {
    const VARIABLE: &str = "PYTORCH_CUDA_ALLOC_CONF";
    const KEY: &str = "per_process_memory_fraction";
    let set = env::var(VARIABLE).unwrap_or_default();
    if set.contains(&format!("{KEY}:{share}")) {
        return Ok(());
    }
    if set.contains(KEY) {
        return Err(std::io::Error::other(format!(
            "{VARIABLE} says {set}: unset it"
        )));
    }
    let comma = if set.is_empty() { "" } else { "," };
    let error = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(VARIABLE, format!("{set}{comma}{KEY}:{share}"))
        .exec();
    Err(error)
}
