//! Tests of resolving a network.

use super::*;

const ARCHITECTURE: Architecture = Architecture {
    name: "tiny",
    side: 224,
    resize: 256,
    scaling: Scaling {
        mean: Channels::all(0.5),
        std: Channels::all(0.25),
    },
};

fn port(name: &str, shape: &[Option<usize>]) -> NetworkPort {
    NetworkPort {
        name: name.into(),
        element: "float32".into(),
        shape: shape.to_vec(),
    }
}

fn resolve(shape: &[Option<usize>], options: &NetworkOptions) -> Result<Network, String> {
    let output = port("features", &[None, Some(7)]);
    Network::resolve(&ARCHITECTURE, options, &[port("images", shape)], &[output])
}

#[test]
fn the_input_shape_determines_layout_and_size() {
    let nchw = resolve(
        &[None, Some(3), Some(64), Some(96)],
        &NetworkOptions::default(),
    )
    .unwrap();
    assert_eq!(
        (nchw.layout, nchw.height, nchw.width, nchw.batch),
        (Layout::Nchw, 64, 96, None)
    );
    assert_eq!(nchw.resize, Some(109), "256 / 224 of 96");
    let nhwc = resolve(
        &[Some(1), Some(64), Some(96), Some(3)],
        &NetworkOptions::default(),
    )
    .unwrap();
    assert_eq!(
        (nhwc.layout, nhwc.height, nhwc.width, nhwc.batch),
        (Layout::Nhwc, 64, 96, Some(1))
    );
    assert_eq!(nhwc.shape(5), [5, 64, 96, 3]);
}

#[test]
fn open_dimensions_come_from_options_then_architecture() {
    let open = [None; 4];
    for size in [[0, 224], [224, 5_000_000_000]] {
        let options = NetworkOptions {
            size: Some(size.into()),
            ..NetworkOptions::default()
        };
        let error = resolve(&open, &options).unwrap_err();
        assert!(error.contains("sizes range from 1"), "{error}");
    }
    let own = resolve(&open, &NetworkOptions::default()).unwrap();
    assert_eq!(
        (own.layout, own.height, own.width, own.resize),
        (Layout::Nchw, 224, 224, Some(256))
    );
    assert_eq!(own.scaling, ARCHITECTURE.scaling);
    let options = NetworkOptions {
        layout: Some(Layout::Nhwc),
        size: Some([32, 48].into()),
        resize: Some(0),
        mean: Some(Channels::all(0.0)),
        ..NetworkOptions::default()
    };
    let network = resolve(&open, &options).unwrap();
    assert_eq!(network.shape(1), [1, 32, 48, 3]);
    assert_eq!(network.resize, None);
    assert_eq!(network.scaling.mean, Channels::all(0.0));
    assert_eq!(network.scaling.std, Channels::all(0.25));
}

#[test]
fn flags_override_the_metadata_file() {
    let folder = tempfile::tempdir().unwrap();
    let artifact = folder.path().join("my.onnx");
    assert_eq!(
        NetworkOptions::beside(&artifact).unwrap(),
        NetworkOptions::default()
    );
    let json =
        r#"{"file": "my.onnx", "network": {"layout": "NHWC", "resize": 40, "size": [32, 32]}}"#;
    fs::write(folder.path().join("my.onnx.json"), json).unwrap();
    let flags = NetworkOptions {
        resize: Some(0),
        ..NetworkOptions::default()
    };
    let options = flags.or(NetworkOptions::beside(&artifact).unwrap());
    assert_eq!(options.layout, Some(Layout::Nhwc));
    assert_eq!(
        (options.resize, options.size),
        (Some(0), Some([32, 32].into()))
    );

    let json = r#"{"network": {"layuot": "NHWC"}}"#;
    fs::write(folder.path().join("my.onnx.json"), json).unwrap();
    let error = NetworkOptions::beside(&artifact).unwrap_err().to_string();
    assert!(
        error.contains("my.onnx.json") && error.contains("layuot"),
        "{error}"
    );
}

#[test]
fn errors_name_what_does_not_fit() {
    let fixed = [None, Some(3), Some(64), Some(64)];
    let none = NetworkOptions::default;
    for (shape, options, problem) in [
        (
            &[None, Some(10)][..],
            none(),
            "input \"images\" (float32 [?, 10]) has 2 dimensions",
        ),
        (
            &[None, Some(1), Some(8), Some(8)],
            none(),
            "not pictures with three channels",
        ),
        (
            &fixed,
            NetworkOptions {
                layout: Some(Layout::Nhwc),
                ..none()
            },
            "in the order Nhwc",
        ),
        (
            &fixed,
            NetworkOptions {
                size: Some([64, 65].into()),
                ..none()
            },
            "use --size 64,64",
        ),
        (
            &fixed,
            NetworkOptions {
                resize: Some(60),
                ..none()
            },
            "use --resize 64 or more",
        ),
        (
            &[None, Some(3), Some(usize::MAX), Some(usize::MAX)],
            none(),
            "sizes range from 1 to 16384",
        ),
        (
            &fixed,
            NetworkOptions {
                std: Some(Channels::new(1.0, 0.0, 1.0)),
                ..none()
            },
            "deviations must be above 0",
        ),
    ] {
        let error = resolve(shape, &options).unwrap_err();
        assert!(error.contains(problem), "{error}");
    }
    let two = [port("a", &[None]), port("b", &[None])];
    let images = [port("images", &fixed)];
    let error = Network::resolve(&ARCHITECTURE, &none(), &images, &two).unwrap_err();
    assert!(error.contains("--output_name"), "{error}");
    let (pair, one) = ([images[0].clone(), images[0].clone()], &two[..1]);
    let error = Network::resolve(&ARCHITECTURE, &none(), &pair, one).unwrap_err();
    assert!(error.contains("must have exactly one input"), "{error}");
    let integers = NetworkPort {
        element: "uint8".into(),
        ..port("images", &fixed)
    };
    let error = Network::resolve(&ARCHITECTURE, &none(), &[integers], &two[..1]).unwrap_err();
    assert!(error.contains("is not float32"), "{error}");
}

#[test]
fn numbers_are_comma_separated() {
    assert_eq!(numbers::<f32, 3>("0.5, 1,-2"), Ok([0.5, 1.0, -2.0]));
    assert!(numbers::<usize, 2>("64").is_err());
}
