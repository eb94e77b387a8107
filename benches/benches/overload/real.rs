//! Real models under overload, up to twice their capacity, over ZeroMQ.
//!
//! The artifact of svm has few training points: its model is faster than 16 KB of input per query
//! can be received. Its points are therefore repeated, as if it had been trained on more.

use std::{
    fs,
    path::{Path, PathBuf},
    time::{Duration, Instant},
};

use anyhow::Context;
use loadgen::{Arrivals, Client};
use safetensors::{SafeTensors, tensor::TensorView};
use simulation::Law;
use transport::Frame;
use wire::query::AnswerStatus;

use crate::{
    case::{Case, Policy, SETTLED},
    figures::Figures,
    offered::{Load, offer},
    required::Required,
    served::{App, Deployment, Protocol, Server},
    steady::{against, check_figures},
    table::{Rows, words},
};

/// Repetitions of svm's training points.
const REPEATED: usize = 14;

/// A model server, the size of its inputs and its batch.
struct Real {
    program: &'static str,
    artifact: &'static str,
    floats: usize,
    batch: usize,
    loads: &'static [f64],
}

/// The inputs of svm are features of vgg, those of inception pictures of 299 times 299 pixels.
const MODELS: [Real; 2] = [
    Real {
        program: "svm",
        artifact: "svm.safetensors",
        floats: 4_096,
        batch: 32,
        loads: &[0.5, 0.9, 1.1, 1.5, 2.0],
    },
    Real {
        program: "inception",
        artifact: "inception.onnx",
        floats: 3 * 299 * 299,
        batch: 4,
        loads: &[0.5, 1.1, 2.0],
    },
];

/// Objective, as a multiple of a full batch's time.
const OBJECTIVE: u32 = 5;

/// Time in which the capacity is measured, in a closed loop.
const MEASURED: Duration = Duration::from_secs(3);

pub(crate) fn run(frontend: &Path, seconds: f64, required: &mut Required) -> anyhow::Result<()> {
    let mut rows = Rows::new();
    let folder = std::env::temp_dir().join(format!("overload-{}", std::process::id()));
    fs::create_dir_all(&folder)?;
    let repeated = repeat_points(&folder)?;
    for model in &MODELS {
        let inputs: Vec<Frame> = benches::floats(8, model.floats, 1.0)
            .into_iter()
            .map(Frame::from)
            .collect();
        let file = match model.program {
            "svm" => repeated.clone(),
            _ => benches::artifact(model.artifact),
        };
        let capacity = model.capacity(frontend, &file, &inputs)?;
        // A window of at least 200 queries.
        let seconds = seconds.max(200.0 / capacity);
        let each = Duration::from_secs_f64(1.0 / capacity);
        for load in model.loads {
            let case = Case {
                protocol: Protocol::Native,
                rpc_version: 4,
                law: Law {
                    start: Duration::ZERO,
                    each,
                    spread: 0.0,
                },
                policy: Policy::Fixed(model.batch),
                objective: each * model.batch as u32 * OBJECTIVE,
                rate: load * capacity,
            };
            eprintln!("{}, {}", model.program, words(&case));
            let figures = model.measure(
                &model.deploy(frontend, &file, case.objective),
                &case,
                seconds,
                &inputs,
            )?;
            let against = against(&case, &figures, seconds);
            rows.add(&format!("{}, ", model.program), &case, &figures, against);
            let row = format!("{}, {}", model.program, words(&case));
            check_figures(required, &row, &figures);
            required.at_least(&row, "goodput over the reference", against.reference, 0.95);
        }
    }
    fs::remove_dir_all(&folder)?;
    println!(
        "\nReal models; the capacity is that of a closed loop:\n{}",
        rows.0
    );
    Ok(())
}

impl Real {
    fn deploy(&self, frontend: &Path, artifact: &Path, objective: Duration) -> Deployment {
        let app = App {
            name: "app",
            objective,
        };
        Deployment {
            frontend: frontend.to_owned(),
            server: Server {
                program: self.program,
                // The other core is for frontend and client.
                flags: vec![
                    "--threads=1".to_owned(),
                    "--input_type=floats".to_owned(),
                    format!("--model_path={}", artifact.display()),
                ],
                rpc_version: 4,
            },
            max: Some(self.batch),
            policy: "aimd",
            apps: vec![app],
        }
    }

    /// Answers per second with three batches in flight.
    fn capacity(&self, frontend: &Path, artifact: &Path, inputs: &[Frame]) -> anyhow::Result<f64> {
        let deployment = self.deploy(frontend, artifact, Duration::from_secs(3_600));
        let served = deployment.start()?;
        let mut client = served.connect(Protocol::Native, &deployment.apps[0], 0.0)?;
        // The first batches are slow.
        closed(&mut *client, inputs, 3 * self.batch, MEASURED / 2)?;
        closed(&mut *client, inputs, 3 * self.batch, MEASURED)
    }

    fn measure(
        &self,
        deployment: &Deployment,
        case: &Case,
        seconds: f64,
        inputs: &[Frame],
    ) -> anyhow::Result<Figures> {
        let served = deployment.start()?;
        let mut client = served.connect(case.protocol, &deployment.apps[0], case.rate)?;
        let window = SETTLED..SETTLED + Duration::from_secs_f64(seconds);
        let load = Load {
            arrivals: Arrivals::poisson(case.rate),
            seed: 1,
            duration: window.end + case.objective,
            objective: case.objective,
            inputs,
        };
        let queries = offer(&mut *client, &load)?;
        Ok(Figures::of(&queries, case.objective, &window))
    }
}

/// Answers per second of a closed loop.
fn closed(
    client: &mut dyn Client,
    inputs: &[Frame],
    in_flight: usize,
    time: Duration,
) -> anyhow::Result<f64> {
    let began = Instant::now();
    let (mut sent, mut answered) = (0_u32, 0_u32);
    while began.elapsed() < time || answered < sent {
        while began.elapsed() < time && ((sent - answered) as usize) < in_flight {
            client.send(sent, &inputs[sent as usize % inputs.len()])?;
            sent += 1;
        }
        match client.receive()? {
            Some(answer) => {
                let ok = answer.status == AnswerStatus::Ok;
                anyhow::ensure!(ok, "the model does not answer: {}", answer.reason);
                answered += 1;
            }
            None => client.wait(None)?,
        }
    }
    Ok(f64::from(answered) / began.elapsed().as_secs_f64())
}

/// Writes svm's artifact with its training points repeated, and returns its path.
fn repeat_points(folder: &Path) -> anyhow::Result<PathBuf> {
    let file = benches::artifact("svm.safetensors");
    let bytes = fs::read(&file)
        .with_context(|| format!("{}: `make artifacts` makes it", file.display()))?;
    let arrays = SafeTensors::deserialize(&bytes)?;
    let mut data = Vec::new();
    for (name, array) in arrays.tensors() {
        let times = match &name[..] {
            "pca.points" | "pca.weights" => REPEATED,
            _ => 1,
        };
        let mut shape = array.shape().to_vec();
        shape[0] *= times;
        data.push((name, array.dtype(), shape, array.data().repeat(times)));
    }
    let views = data.iter().map(|(name, dtype, shape, data)| {
        let view = TensorView::new(*dtype, shape.clone(), data);
        view.map(|view| (name, view))
    });
    let views: Vec<_> = views.collect::<Result<_, _>>()?;
    let (_, head) = SafeTensors::read_metadata(&bytes)?;
    let path = folder.join("svm.safetensors");
    safetensors::serialize_to_file(views, head.metadata().clone(), &path)?;
    Ok(path)
}
