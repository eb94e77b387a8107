//! The prediction cache: outputs by model version and input, within a limit in bytes.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use model::DataType;
use quick_cache::{Weighter, unsync};
use scheduler::{Fingerprint, ModelVersion};
use siphasher::sip128::{Hasher128, SipHasher13};

/// Approximate size of an entry without its output, in bytes.
const ENTRY_OVERHEAD: usize = 128;

/// A cached output of a model.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct CachedOutput {
    pub(crate) output_type: DataType,
    pub(crate) output: Box<[u8]>,
}

/// Outputs of models by the fingerprints of their inputs.
#[derive(Debug)]
pub(crate) struct PredictionCache {
    /// Key of the fingerprints' hash, random per process.
    secret: (u64, u64),
    outputs: unsync::Cache<Fingerprint, CachedOutput, ByteWeight, RandomState>,
}

#[derive(Clone, Copy, Debug)]
struct ByteWeight;

impl Weighter<Fingerprint, CachedOutput> for ByteWeight {
    fn weight(&self, _: &Fingerprint, cached: &CachedOutput) -> u64 {
        (cached.output.len() + ENTRY_OVERHEAD) as u64
    }
}

impl PredictionCache {
    /// Returns a cache of at most `bytes` bytes, or `None` if `bytes` is 0.
    pub(crate) fn new(bytes: usize) -> Option<PredictionCache> {
        let entries = bytes / (2 * ENTRY_OVERHEAD);
        let hasher = RandomState::new();
        let secret = (hasher.hash_one(0), hasher.hash_one(1));
        let outputs = unsync::Cache::with(
            entries,
            bytes as u64,
            ByteWeight,
            hasher,
            Default::default(),
        );
        (bytes > 0).then_some(PredictionCache { secret, outputs })
    }

    /// Returns the 128-bit hash of a model version and an input. The hash is keyed, so that clients
    /// cannot construct collisions.
    pub(crate) fn fingerprint(
        &self,
        model: &ModelVersion,
        input_type: DataType,
        input: &[u8],
    ) -> Fingerprint {
        let mut hasher = SipHasher13::new_with_keys(self.secret.0, self.secret.1);
        model.hash(&mut hasher);
        hasher.write_u32(input_type.code());
        hasher.write(input);
        Fingerprint(hasher.finish128().as_u128())
    }

    pub(crate) fn get(&self, input: Fingerprint) -> Option<&CachedOutput> {
        self.outputs.get(&input)
    }

    pub(crate) fn insert(&mut self, input: Fingerprint, output_type: DataType, output: &[u8]) {
        let output = output.into();
        let cached = CachedOutput {
            output_type,
            output,
        };
        self.outputs.insert(input, cached);
    }

    /// Removes all entries. Called when a model version is deleted, because its name may be reused
    /// for another model.
    pub(crate) fn clear(&mut self) {
        self.outputs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn finds_outputs_by_version_type_and_input_within_its_size() {
        let model = |version: &str| ModelVersion {
            name: "m".into(),
            version: version.into(),
        };
        let mut cache = PredictionCache::new(100 * ENTRY_OVERHEAD).unwrap();
        let key = cache.fingerprint(&model("1"), DataType::Ints, &[1; 4]);
        cache.insert(key, DataType::Floats, b"abcd");
        let found = cache.get(cache.fingerprint(&model("1"), DataType::Ints, &[1; 4]));
        let found = found.unwrap();
        assert_eq!(
            (found.output_type, &found.output[..]),
            (DataType::Floats, &b"abcd"[..])
        );
        for other in [
            cache.fingerprint(&model("2"), DataType::Ints, &[1; 4]),
            cache.fingerprint(&model("1"), DataType::Floats, &[1; 4]),
            cache.fingerprint(&model("1"), DataType::Ints, &[1; 8]),
        ] {
            assert_eq!(cache.get(other), None);
        }
        for input in 0..1_000_u32 {
            let key = cache.fingerprint(&model("1"), DataType::Ints, &input.to_le_bytes());
            cache.insert(key, DataType::Floats, &[0; ENTRY_OVERHEAD]);
        }
        assert!(cache.outputs.weight() <= 100 * ENTRY_OVERHEAD as u64);
        assert!(cache.outputs.len() > 20);
        cache.clear();
        assert_eq!(cache.get(key), None);
        assert!(PredictionCache::new(0).is_none());
    }
}
