//! Networks are served in batches if their output is proven to be one row per picture, else one
//! picture per call.

use featurizer::{EngineKind, Featurizer};
use model::{Batch, DataType, Model};
use tempfile::NamedTempFile;

use crate::{
    engines::{assert_close, everything, features, load, pictures},
    file::File,
};

/// Computes the means of the three channels, `[N, 3]`, as `means`.
fn means(batch: i64) -> File {
    File::new([batch, 3, 6, 6])
        .node("GlobalAveragePool", "images", "pooled", &[])
        .node("Flatten", "pooled", "means", &[])
}

/// Transposes the means from `[N, 3]` to `[3, N]`; the output is declared as `declared`.
fn transposed(batch: i64, declared: &[i64]) -> NamedTempFile {
    means(batch)
        .node("Transpose", "means", "features", &[("perm", &[1, 0])])
        .save("features", declared)
}

/// Outputs one row `[picture, channel]` for every channel whose mean is above `threshold`.
fn detections(threshold: f32) -> NamedTempFile {
    means(0)
        .number("threshold", threshold)
        .node("Greater", "means threshold", "found", &[])
        .node("NonZero", "found", "places", &[])
        .node("Transpose", "places", "rows", &[("perm", &[1, 0])])
        .node("Cast", "rows", "features", &[("to", &[1])])
        .save("features", &[0, 2])
}

/// Reshapes the means.
fn reshaped(to: &[i64], declared: &[i64]) -> NamedTempFile {
    means(0)
        .integers("shape", to)
        .node("Reshape", "means shape", "features", &[])
        .save("features", declared)
}

/// Outputs the means of a picture, `[rows, 3]`: no row for a black picture, two rows if the
/// brightness is above 1000, one otherwise.
fn brightness_detections() -> NamedTempFile {
    means(0)
        .number("lit", 0.5)
        .number("glaring", 1000.0)
        .integers("rows_of_three", &[-1, 3])
        .integers("list", &[-1])
        .node("ReduceMean", "means", "brightness", &[("axes", &[1])])
        .node("Greater", "brightness lit", "are_lit", &[])
        .node("Greater", "brightness glaring", "are_glaring", &[])
        .node("Concat", "are_lit are_glaring", "found", &[("axis", &[1])])
        .node("Reshape", "found list", "are_found", &[])
        .node("Concat", "means means", "twice", &[("axis", &[1])])
        .node("Reshape", "twice rows_of_three", "candidates", &[])
        .node(
            "Compress",
            "candidates are_found",
            "features",
            &[("axis", &[0])],
        )
        .save("features", &[0, 3])
}

/// Effect of a network on the rows of a call.
#[derive(Clone, Copy, Debug, PartialEq)]
enum Rows {
    Kept,
    Reversed,
    Averaged,
}

impl Rows {
    const DISTURBED: [Rows; 2] = [Rows::Reversed, Rows::Averaged];

    /// Computes `features`, `[N, 3]`, from `own`.
    fn save(self, file: File, batch: i64) -> NamedTempFile {
        let file = match self {
            Rows::Kept => file.node("Identity", "own", "features", &[]),
            Rows::Reversed => file
                .integers("from", &[-1])
                .integers("to", &[i64::MIN + 1])
                .integers("axis", &[0])
                .integers("step", &[-1])
                .node("Slice", "own from to axis step", "features", &[]),
            Rows::Averaged => file
                .number("none", 0.0)
                .node("ReduceMean", "own", "mean", &[("axes", &[0])])
                .node("Mul", "own none", "zeros", &[])
                .node("Add", "zeros mean", "features", &[]),
        };
        file.save("features", &[batch, 3])
    }
}

/// Compresses the means to slightly above 1, as `own`.
fn nearly_one(batch: i64) -> File {
    means(batch)
        .number("little", 1e-6)
        .number("one", 1.0)
        .node("Mul", "means little", "littles", &[])
        .node("Add", "littles one", "own", &[])
}

/// Limits the means to 1, as `own`; of the first three sample pictures only the black one is below.
fn at_most_one(batch: i64) -> File {
    means(batch)
        .number("one", 1.0)
        .node("Min", "means one", "own", &[])
}

/// Computes the excess of the means over 200, as `own`; only the white sample picture has any.
fn above_200(batch: i64) -> File {
    means(batch)
        .number("threshold", 200.0)
        .node("Sub", "means threshold", "above", &[])
        .node("Relu", "above", "own", &[])
}

/// Outputs ones as `own` for every picture.
fn constant(batch: i64) -> File {
    means(batch)
        .number("none", 0.0)
        .number("one", 1.0)
        .node("Mul", "means none", "zeros_of", &[])
        .node("Add", "zeros_of one", "own", &[])
}

/// Returns the largest batch that the model server declares for this network.
#[track_caller]
fn max_batch(file: &NamedTempFile) -> Option<usize> {
    on(EngineKind::Ort, file).info().max_batch
}

/// Computes a softmax over the pictures of a call.
fn softmax(batch: i64) -> NamedTempFile {
    means(batch)
        .node("Softmax", "means", "features", &[("axis", &[0])])
        .save("features", &[batch, 3])
}

fn on(engine: EngineKind, file: &NamedTempFile) -> Featurizer {
    load(file, engine).unwrap()
}

fn load_error(file: &NamedTempFile, engine: EngineKind) -> String {
    load(file, engine).err().expect("the network is rejected")
}

/// Asserts that each picture of a batch has the same output as alone, and that the model declares a
/// largest batch of 1. Returns the outputs.
#[track_caller]
fn assert_served_one_by_one(file: &NamedTempFile, engine: EngineKind) -> Vec<Vec<f32>> {
    let inputs = pictures(5);
    let mut model = on(engine, file);
    let together = features(&mut model, &inputs);
    let alone: Vec<_> = inputs
        .iter()
        .flat_map(|input| features(&mut model, std::slice::from_ref(input)))
        .collect();
    assert_eq!(together, alone);
    assert_eq!(model.info().max_batch, Some(1));
    together
}

#[test]
fn outputs_with_pictures_last_are_served_one_by_one() {
    let by_picture = means(0).node("Identity", "means", "features", &[]);
    let by_picture = by_picture.save("features", &[0, 3]);
    for engine in EngineKind::in_this_build() {
        let expected = features(&mut on(engine, &by_picture), &pictures(5));
        for declared in [&[3, 0], &[0, 0]] {
            let found = assert_served_one_by_one(&transposed(0, declared), engine);
            assert_close(&found, &expected);
        }
    }
}

#[test]
fn detections_are_assigned_to_their_own_picture() {
    // These inputs are -1 to 1 and the sample pictures 0 to 255, so all channels exceed the
    // threshold.
    let found = assert_served_one_by_one(&detections(-10.0), EngineKind::Ort);
    assert_eq!(found, vec![vec![0.0, 0.0, 0.0, 1.0, 0.0, 2.0]; 5]);
}

#[test]
fn as_many_detections_as_pictures_are_not_one_row_each() {
    let file = brightness_detections();
    let mut model = on(EngineKind::Ort, &file);
    let picture = |value: f32| value.to_le_bytes().repeat(108);
    let [none, one, two] = [-1.0, 500.0, 2000.0].map(picture);
    let found = features(&mut model, &[none, two, one]);
    let expected = [vec![], vec![2000.0; 6], vec![500.0; 3]];
    assert_eq!(found, expected);
    assert_eq!(model.info().max_batch, Some(1));
}

#[test]
fn networks_that_fail_on_black_are_served_one_by_one() {
    let lit_only = means(0)
        .number("lit", 0.5)
        .integers("shape", &[1, 3])
        .node(
            "ReduceMean",
            "means",
            "brightness",
            &[("axes", &[1]), ("keepdims", &[0])],
        )
        .node("Greater", "brightness lit", "are_lit", &[])
        .node("Compress", "means are_lit", "rows", &[("axis", &[0])])
        .node("Reshape", "rows shape", "features", &[])
        .save("features", &[0, 3]);
    let mut model = on(EngineKind::Ort, &lit_only);
    assert_eq!(model.info().max_batch, Some(1));
    let lit = 500.0_f32.to_le_bytes().repeat(108);
    assert_eq!(features(&mut model, &[lit.clone(), lit]).len(), 2);
}

#[test]
fn equal_rows_are_distinguished_by_further_sample_pictures() {
    for network in [nearly_one, at_most_one, above_200] {
        for batch in [0, 2, 5] {
            assert_eq!(max_batch(&Rows::Kept.save(network(batch), batch)), None);
        }
        for rows in Rows::DISTURBED {
            assert_served_one_by_one(&rows.save(network(0), 0), EngineKind::Ort);
            let error = load_error(&rows.save(network(5), 5), EngineKind::Ort);
            assert!(error.contains("depend on its place"), "{rows:?}: {error}");
        }
    }
}

#[test]
fn networks_with_constant_output_are_served_one_by_one() {
    for rows in [Rows::Kept, Rows::Reversed, Rows::Averaged] {
        let found = assert_served_one_by_one(&rows.save(constant(0), 0), EngineKind::Ort);
        assert_eq!(found, vec![vec![1.0; 3]; 5]);
    }
    let error = load_error(&Rows::Kept.save(constant(4), 4), EngineKind::Ort);
    assert!(error.contains("takes 4 pictures per call"), "{error}");
    assert!(
        error.contains("its output is the same for every sample picture"),
        "{error}"
    );
}

#[test]
fn one_output_for_all_pictures_is_served_one_by_one() {
    let axis_0: (&str, &[i64]) = ("axes", &[0]);
    let mean_row = means(0)
        .node(
            "ReduceMean",
            "means",
            "features",
            &[axis_0, ("keepdims", &[0])],
        )
        .save("features", &[3]);
    let single_value = means(0)
        .node("ReduceMean", "means", "features", &[("keepdims", &[0])])
        .save("features", &[]);
    for (file, width) in [(mean_row, 3), (single_value, 1)] {
        let found = assert_served_one_by_one(&file, EngineKind::Ort);
        assert_eq!(found[0].len(), width);
    }
}

#[test]
fn two_rows_for_every_picture_are_served_one_by_one() {
    let twice = means(0)
        .node("Concat", "means means", "features", &[("axis", &[0])])
        .save("features", &[0, 3]);
    for engine in EngineKind::in_this_build() {
        let found = assert_served_one_by_one(&twice, engine);
        assert_eq!(found[0].len(), 6);
    }
}

#[test]
fn a_hard_coded_batch_size_is_served_one_by_one() {
    for (to, declared) in [
        (&[1, 3][..], &[1, 3][..]),
        (&[1, 3], &[0, 3]),
        (&[1, -1], &[0, 0]),
        (&[3, -1], &[0, 0]),
    ] {
        let found = assert_served_one_by_one(&reshaped(to, declared), EngineKind::Ort);
        assert_eq!(found[4].len(), 3, "{to:?}");
    }
}

#[test]
fn rows_that_depend_on_neighbours_are_served_one_by_one() {
    let found = assert_served_one_by_one(&softmax(0), EngineKind::Ort);
    assert_eq!(found, vec![vec![1.0; 3]; 5]);
}

#[test]
fn networks_with_proven_rows_are_served_in_batches() {
    for engine in EngineKind::in_this_build() {
        for batch in [0, 2, 5] {
            assert_eq!(on(engine, &everything(batch)).info().max_batch, None);
        }
        assert_eq!(on(engine, &everything(1)).info().max_batch, Some(1));
    }
}

#[test]
fn networks_of_one_picture_may_output_any_shape() {
    for engine in EngineKind::in_this_build() {
        let found = assert_served_one_by_one(&transposed(1, &[3, 1]), engine);
        assert_eq!(found[0].len(), 3);
    }
}

/// Adds a share of the mean over all pictures of the call, as if rounding depended on the
/// neighbours.
#[test]
fn rows_may_differ_by_rounding() {
    for (share, most) in [(1e-3, None), (0.2, Some(1))] {
        let file = means(0)
            .number("share", share)
            .node("ReduceMean", "means", "all", &[("axes", &[0])])
            .node("Mul", "all share", "little", &[])
            .node("Add", "means little", "features", &[])
            .save("features", &[0, 3]);
        let info = on(EngineKind::Ort, &file).info();
        assert_eq!(info.max_batch, most, "{share}");
    }
}

#[test]
fn nan_in_both_rows_is_no_difference() {
    let roots = means(0)
        .number("down", -1.0)
        .node("Mul", "means down", "negative", &[])
        .node("Sqrt", "negative", "roots", &[])
        .node("Concat", "means roots", "features", &[("axis", &[1])])
        .save("features", &[0, 6]);
    assert_eq!(on(EngineKind::Ort, &roots).info().max_batch, None);
}

#[test]
fn fixed_batches_without_one_row_per_picture_are_rejected() {
    let error = load_error(&softmax(4), EngineKind::Ort);
    assert!(error.contains("takes 4 pictures per call"), "{error}");
    assert!(error.contains("depend on its place"), "{error}");
    for engine in EngineKind::in_this_build() {
        for declared in [&[3, 4], &[0, 0]] {
            let error = load_error(&transposed(4, declared), engine);
            assert!(error.contains("takes 4 pictures per call"), "{error}");
            assert!(error.contains("[3, "), "{error}");
        }
    }
}

#[test]
fn networks_that_fail_on_one_picture_are_rejected() {
    let error = load_error(&reshaped(&[1, 4], &[0, 4]), EngineKind::Ort);
    assert!(error.contains("fails on one picture"), "{error}");
    assert!(!error.contains('\n'), "{error}");
}

#[test]
fn networks_with_empty_output_are_rejected() {
    let error = load_error(&detections(1e9), EngineKind::Ort);
    assert!(
        error.contains("for a black picture: its shape is [0, 2]"),
        "{error}"
    );
    let no_columns = means(0)
        .integers("none", &[])
        .node("Gather", "means none", "features", &[("axis", &[1])])
        .save("features", &[0, 0]);
    let error = load_error(&no_columns, EngineKind::Ort);
    assert!(
        error.contains("for a black picture: its shape is [1, 0]"),
        "{error}"
    );
}

/// The network drops the rows of pictures with a low mean; no sample picture has one.
#[test]
fn fewer_rows_than_pictures_are_an_error() {
    let some = means(0)
        .number("limit", -0.5)
        .node(
            "ReduceMean",
            "means",
            "brightness",
            &[("axes", &[1]), ("keepdims", &[0])],
        )
        .node("Greater", "brightness limit", "bright", &[])
        .node("Compress", "means bright", "features", &[("axis", &[0])])
        .save("features", &[0, 3]);
    let mut model = on(EngineKind::Ort, &some);
    assert_eq!(model.info().max_batch, None);
    let picture = |value: f32| value.to_le_bytes().repeat(108);
    let (bright, dark) = (picture(1.0), picture(-1.0));
    let mut predict = |inputs: &[&[u8]]| {
        model.predict(&Batch {
            data_type: DataType::Floats,
            inputs: inputs.to_vec(),
        })
    };
    assert!(predict(&[&bright, &bright]).is_ok());
    let error = predict(&[&bright, &dark, &bright]).unwrap_err().0;
    assert!(error.contains("[2, 3], where 3 was expected"), "{error}");
    assert!(predict(&[&dark]).is_err());
}
