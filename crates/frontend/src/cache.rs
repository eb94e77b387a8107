//! The prediction cache: outputs by model version and input, as many as a number of bytes holds.

use std::hash::{BuildHasher, Hash, Hasher, RandomState};

use model::DataType;
use quick_cache::{Weighter, unsync};
use scheduler::{Fingerprint, ModelVersion};
use siphasher::sip128::{Hasher128, SipHasher13};

/// What an entry takes beside its output, about.
const OVERHEAD: usize = 128;

/// A model's answer.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Cached {
    pub(crate) output_type: DataType,
    pub(crate) output: Box<[u8]>,
}

#[derive(Debug)]
pub(crate) struct Cache {
    secret: (u64, u64),
    outputs: unsync::Cache<Fingerprint, Cached, Bytes, RandomState>,
}

#[derive(Clone, Copy, Debug)]
struct Bytes;

impl Weighter<Fingerprint, Cached> for Bytes {
    fn weight(&self, _: &Fingerprint, cached: &Cached) -> u64 {
        (cached.output.len() + OVERHEAD) as u64
    }
}

impl Cache {
    /// A cache of `bytes`; `None` if there is to be none.
    pub(crate) fn new(bytes: usize) -> Option<Cache> {
        let entries = bytes / (2 * OVERHEAD);
        let hasher = RandomState::new();
        let secret = (hasher.hash_one(0), hasher.hash_one(1));
        let outputs = unsync::Cache::with(entries, bytes as u64, Bytes, hasher, Default::default());
        (bytes > 0).then_some(Cache { secret, outputs })
    }

    /// Names an input to a model version. Whoever does not know the process's secret finds no two inputs with one name.
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

    pub(crate) fn get(&self, input: Fingerprint) -> Option<&Cached> {
        self.outputs.get(&input)
    }

    pub(crate) fn insert(&mut self, input: Fingerprint, output_type: DataType, output: &[u8]) {
        let output = output.into();
        let cached = Cached {
            output_type,
            output,
        };
        self.outputs.insert(input, cached);
    }

    /// Forgets all: a model version has gone, and its name may come back for something else.
    pub(crate) fn clear(&mut self) {
        self.outputs.clear();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn outputs_are_found_by_model_version_type_and_input_until_there_is_no_room() {
        let model = |version: &str| ModelVersion {
            name: "m".into(),
            version: version.into(),
        };
        let mut cache = Cache::new(100 * OVERHEAD).unwrap();
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
            cache.insert(key, DataType::Floats, &[0; OVERHEAD]);
        }
        assert!(cache.outputs.weight() <= 100 * OVERHEAD as u64);
        assert!(cache.outputs.len() > 20);
        cache.clear();
        assert_eq!(cache.get(key), None);
        assert!(Cache::new(0).is_none());
    }
}
