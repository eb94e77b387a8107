//! libtorch: computes the operations of an ONNX file one after the other.
//!
//! Both engines read the same ONNX file, so they compute the same artifact. The module `operation`
//! supports the operations of common convolutional networks; a file with others is an error that
//! names them.

mod operation;

use std::{
    collections::HashMap, env, fs, os::unix::process::CommandExt, path::Path, process::Command,
};

use model::Device;
use onnx::{Bytes, Dimension, GraphProto, Message, ModelProto, ValueInfoProto};
use tch::{TchError, Tensor};

use super::{
    cuda,
    interface::{ComputeResources, EngineError, EngineOutput, InferenceEngine},
};
use crate::{Error, Network, network::NetworkPort};
use operation::{TorchOperation, Weights};

/// A network as a list of steps on numbered values.
pub(crate) struct Libtorch {
    device: tch::Device,
    inputs: Vec<NetworkPort>,
    outputs: Vec<NetworkPort>,
    /// The number of each input and output.
    numbers: HashMap<String, usize>,
    steps: Vec<Step>,
}

/// One operation.
struct Step {
    operation: TorchOperation,
    inputs: Vec<usize>,
    output: usize,
    /// Values that no later step uses.
    dead: Vec<usize>,
}

impl Libtorch {
    /// Loads the ONNX file at `path`.
    pub(crate) fn load(path: &Path, resources: ComputeResources) -> Result<Libtorch, Error> {
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

impl InferenceEngine for Libtorch {
    /// Returns a constant: libtorch does not report its version, and the build accepts only this
    /// one.
    fn version(&self) -> String {
        "libtorch 2.13.0".to_owned()
    }

    fn inputs(&self) -> Vec<NetworkPort> {
        self.inputs.clone()
    }

    fn outputs(&self) -> Vec<NetworkPort> {
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
            Some(_) => Err(format!("the value {name:?} is computed twice")),
        }
    };
    for input in &inputs {
        number(&input.name, &mut numbers)?;
    }
    let mut steps = Vec::with_capacity(graph.node.len());
    for node in &graph.node {
        let (operation, taken) = TorchOperation::read(node, &mut weights)?;
        let find = |name: &String| {
            numbers.get(name).copied().ok_or_else(|| {
                format!(
                    "the node {:?} uses {name:?}, which nothing computes",
                    node.name
                )
            })
        };
        let taken = taken.iter().map(find).collect::<Result<Vec<_>, _>>()?;
        // Further outputs, such as the mask of a Dropout, are unused in evaluation.
        let output = node.output.first();
        let output = output.ok_or_else(|| format!("the node {:?} has no output", node.name))?;
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
        return Err(format!("nothing computes its output {:?}", port.name));
    }
    numbers.retain(|name, _| ports().any(|port| port.name == *name));
    let mut steps = fuse_relus(steps, &numbers);
    mark_dead_values(&mut steps, &numbers);
    Ok(Libtorch {
        device,
        inputs,
        outputs,
        numbers,
        steps,
    })
}

/// Fuses each ReLU into the step before it, to be computed in place, if no other step uses its
/// input.
fn fuse_relus(steps: Vec<Step>, kept: &HashMap<String, usize>) -> Vec<Step> {
    let mut uses: HashMap<usize, usize> = HashMap::new();
    let taken = steps.iter().flat_map(|step| &step.inputs);
    for value in taken.chain(kept.values()) {
        *uses.entry(*value).or_default() += 1;
    }
    let mut fused: Vec<Step> = Vec::with_capacity(steps.len());
    for step in steps {
        if let (TorchOperation::Relu, Some(before)) = (&step.operation, fused.last_mut())
            && step.inputs == [before.output]
            && uses[&before.output] == 1
            && before.operation.fuse_relu()
        {
            before.output = step.output;
        } else {
            fused.push(step);
        }
    }
    fused
}

/// Records for each step the values that are no longer needed after it.
fn mark_dead_values(steps: &mut [Step], kept: &HashMap<String, usize>) {
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

fn port(info: &ValueInfoProto) -> NetworkPort {
    let tensor = info.r#type.as_ref().and_then(|t| t.tensor_type.as_ref());
    let shape = tensor.and_then(|tensor| tensor.shape.as_ref());
    let sizes = shape.into_iter().flat_map(|shape| &shape.dim);
    NetworkPort {
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

/// Returns the device, initialised, with its threads or its share of the memory.
fn device(resources: ComputeResources) -> Result<tch::Device, Error> {
    let Device::Cuda(gpu) = resources.device else {
        tch::set_num_threads(i32::try_from(resources.threads).unwrap_or(i32::MAX));
        return Ok(tch::Device::Cpu);
    };
    cuda::memory(gpu, resources.gpu_mem_frac)?;
    let failed = |reason: &str| Error::Gpu {
        gpu,
        reason: cuda::explain(reason),
    };
    // The linker omits this library, because no function of it is called by name.
    ort::util::preload_dylib("libtorch_cuda.so").map_err(|error| failed(&error.to_string()))?;
    if !tch::Cuda::is_available() {
        return Err(failed(
            "libtorch finds no usable GPU: check that the NVIDIA driver supports CUDA 13",
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

/// Limits libtorch's share of the GPU's memory. libtorch reads the limit from the environment once,
/// before `main`; if it is not set there, the program executes itself again with it.
fn limit_memory(share: f32) -> std::io::Result<()> {
    const VARIABLE: &str = "PYTORCH_CUDA_ALLOC_CONF";
    const KEY: &str = "per_process_memory_fraction";
    let set = env::var(VARIABLE).unwrap_or_default();
    if set.contains(&format!("{KEY}:{share}")) {
        return Ok(());
    }
    if set.contains(KEY) {
        return Err(std::io::Error::other(format!(
            "{VARIABLE} is already set to {set}: unset it"
        )));
    }
    let comma = if set.is_empty() { "" } else { "," };
    let error = Command::new(env::current_exe()?)
        .args(env::args_os().skip(1))
        .env(VARIABLE, format!("{set}{comma}{KEY}:{share}"))
        .exec();
    Err(error)
}
