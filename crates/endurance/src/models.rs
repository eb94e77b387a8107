//! The deployed models, with their workloads.

use std::{
    fs::File,
    io::BufReader,
    path::{Path, PathBuf},
    sync::Arc,
    time::Duration,
};

use anyhow::Context;
use host::machine::workspace;
use model::{DataType, Output};
use npyz::NpyFile;
use rand::{Rng, SeedableRng};
use rand_xoshiro::Xoshiro256PlusPlus;

use crate::{cluster::DeployedModel, workload::Workload};

/// Number of rows of a model's `.npy` file that are used as inputs.
const ROWS: usize = 64;

/// Latency objective of all models except inception.
pub const OBJECTIVE: Duration = Duration::from_millis(500);

/// Returns the model `digest`, whose answers identify their queries, with small and large inputs.
pub fn digest(replicas: usize) -> DeployedModel {
    // One input in eight is large enough for a frame of its own.
    let lengths = vec![2, 10, 10, 100, 10, 10, 10, 2_000];
    model("digest", "digest", replicas, Workload::Digest { lengths })
}

/// Returns the no-op model under this name, with inputs of one type and of these lengths in elements.
pub fn noop(
    name: &'static str,
    replicas: usize,
    input_type: DataType,
    lengths: &[usize],
) -> DeployedModel {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let inputs = lengths.iter().map(|length| match input_type {
        // Numbers that JSON represents exactly.
        DataType::Floats => (0..*length)
            .flat_map(|i| (i as f32 / 8.0).to_le_bytes())
            .collect(),
        DataType::Strings => vec![b'x'; *length],
        other => {
            let mut bytes = vec![0; length * other.element_size()];
            random.fill_bytes(&mut bytes);
            bytes
        }
    });
    let answer = Output::Floats(vec![0.0]);
    model(
        name,
        "noop",
        replicas,
        Workload::with_answer(input_type, inputs.collect(), &answer),
    )
}

/// Returns a model on rows of floats, if `make artifacts` has created its artifact and inputs.
pub fn classifier(name: &'static str, replicas: usize) -> anyhow::Result<Option<DeployedModel>> {
    let Some(file) = artifact(&format!("{name}.npy")) else {
        return Ok(None);
    };
    let workload = Workload::known(DataType::Floats, rows(&file)?);
    Ok(Some(model(name, name, replicas, workload)))
}

/// Returns inception with seeded noise as inputs, if `make artifacts` has created its artifact.
pub fn inception() -> Option<DeployedModel> {
    artifact("inception.onnx")?;
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let inputs = (0..4).map(|_| {
        let mut pixels = vec![0; 299 * 299 * 3];
        random.fill_bytes(&mut pixels);
        pixels
            .into_iter()
            .flat_map(|pixel: u8| f32::from(pixel).to_le_bytes())
            .collect()
    });
    let workload = Workload::known(DataType::Floats, inputs.collect());
    Some(DeployedModel {
        objective: Duration::from_secs(5),
        ..model("inception", "inception", 1, workload)
    })
}

/// Returns a model with the default batch size and objective.
fn model(
    name: &'static str,
    program: &'static str,
    replicas: usize,
    workload: Workload,
) -> DeployedModel {
    DeployedModel {
        name,
        program,
        replicas,
        batch_size: 32,
        objective: OBJECTIVE,
        workload: Arc::new(workload),
    }
}

/// Returns the path of a file in the folder `artifacts`, if it exists.
fn artifact(name: &str) -> Option<PathBuf> {
    let file = workspace()?.join("artifacts").join(name);
    file.is_file().then_some(file)
}

/// Reads the first rows of a two-dimensional `.npy` file of floats, as little-endian bytes.
fn rows(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let read = || -> anyhow::Result<Vec<Vec<u8>>> {
        let array = NpyFile::new(BufReader::new(File::open(file)?))?;
        let [_, columns] = array.shape()[..] else {
            anyhow::bail!("the array is not two-dimensional");
        };
        let columns = usize::try_from(columns)?;
        let values: Vec<f32> = array
            .data()?
            .take(ROWS * columns)
            .collect::<Result<_, _>>()?;
        let bytes = |row: &[f32]| row.iter().flat_map(|value| value.to_le_bytes()).collect();
        Ok(values.chunks_exact(columns).map(bytes).collect())
    };
    read().with_context(|| format!("cannot read {}", file.display()))
}
