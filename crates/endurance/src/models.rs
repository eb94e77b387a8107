//! What is deployed, and what it is asked.

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

use crate::{questions::Questions, scene::Deployed};

/// Rows of a model's `.npy` file that are asked.
const ROWS: usize = 64;

/// The latency objective of every fast model.
pub const OBJECTIVE: Duration = Duration::from_millis(500);

/// The model server whose answers cannot be mistaken, with small and large inputs.
pub fn digest(replicas: usize) -> Deployed {
    // One in eight is large enough to be a frame of its own.
    let lengths = vec![2, 10, 10, 100, 10, 10, 10, 2_000];
    deployed("digest", "digest", replicas, Questions::Digest { lengths })
}

/// The no-op model under a name of its own, for inputs of one type and so many elements each.
pub fn noop(
    name: &'static str,
    replicas: usize,
    input_type: DataType,
    lengths: &[usize],
) -> Deployed {
    let mut random = Xoshiro256PlusPlus::seed_from_u64(1);
    let inputs = lengths.iter().map(|length| match input_type {
        // Numbers that JSON has.
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
    deployed(
        name,
        "noop",
        replicas,
        Questions::answered(input_type, inputs.collect(), &answer),
    )
}

/// A model on rows of floats, if `make artifacts` has made it and them.
pub fn classifier(name: &'static str, replicas: usize) -> anyhow::Result<Option<Deployed>> {
    let Some(file) = artifact(&format!("{name}.npy")) else {
        return Ok(None);
    };
    let questions = Questions::known(DataType::Floats, rows(&file)?);
    Ok(Some(deployed(name, name, replicas, questions)))
}

/// Inception on seeded noise, if `make artifacts` has made it.
pub fn inception() -> Option<Deployed> {
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
    let questions = Questions::known(DataType::Floats, inputs.collect());
    Some(Deployed {
        objective: Duration::from_secs(5),
        ..deployed("inception", "inception", 1, questions)
    })
}

fn deployed(
    name: &'static str,
    program: &'static str,
    replicas: usize,
    questions: Questions,
) -> Deployed {
    Deployed {
        name,
        program,
        replicas,
        batch_size: 32,
        objective: OBJECTIVE,
        questions: Arc::new(questions),
    }
}

/// A file of the folder `artifacts`, if it is there.
fn artifact(name: &str) -> Option<PathBuf> {
    let file = workspace()?.join("artifacts").join(name);
    file.is_file().then_some(file)
}

fn rows(file: &Path) -> anyhow::Result<Vec<Vec<u8>>> {
    let read = || -> anyhow::Result<Vec<Vec<u8>>> {
        let array = NpyFile::new(BufReader::new(File::open(file)?))?;
        let [_, columns] = array.shape()[..] else {
            anyhow::bail!("it has no rows");
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
