"""Computes references with torchvision: preprocessed photographs, and their features with the seeded weights.

make setup
cargo run --release -p xtask -- state_dicts target/state_dicts
python3 -m pip install torch==2.13.0 torchvision==0.28.0 safetensors==0.8.0 numpy==2.4.6 pillow==13.0.0
python3 crates/featurizer/tests/reference.py target/state_dicts

The photographs are PNG files of scikit-image 0.26.0, which `make setup` fetches. The script writes, beside itself and
in the tests of vgg and inception:

  data/{vgg,inception}_crop.npy        uint8 [3, n, n, 3]: photographs resized and cropped by torchvision's preset, RGB
  data/{vgg,inception}_stretch.npy     uint8 [3, n, n, 3]: whole photographs resized to a square, RGB
  data/{vgg,inception}_normalised.npy  float32 [3, n, n]: the network's input for the first photograph, channels first
  tests/reference.npy                  float32 [4, features]: features of the centre of four photographs

Every 16th pixel in both directions is kept, so n is 14 for vgg (of 224) and 19 for inception (of 299). The features
are computed in float64.
"""

import sys
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from safetensors.torch import load_file
from torchvision import models
from torchvision.transforms import functional

ROOT = Path(__file__).resolve().parents[3]
DATA = Path(__file__).resolve().parent / "data"
STATE_DICTS = Path(sys.argv[1])
# Landscape; portrait, grey; banner with a height below either network's input, grey.
PREPROCESSED = ["coffee.png", "cell.png", "text.png"]
# In RGB, and no side below 299 pixels.
FEATURED = ["astronaut.png", "coffee.png", "chelsea.png", "motorcycle_left.png"]
STEP = 16


def photograph(name):
    return Image.open(ROOT / ".deps/python/skimage/data" / name).convert("RGB")


def pixels(picture):
    return np.asarray(picture, dtype=np.uint8)[::STEP, ::STEP]


def preprocessing(name, preset, transform_input):
    """Saves the photographs as preprocessed by torchvision's preset: cropped, resized as a whole, and normalised."""
    side = preset.crop_size[0]
    photographs = [photograph(file) for file in PREPROCESSED]
    kind = preset.interpolation

    def crop(picture):
        resized = functional.resize(picture, preset.resize_size, kind, antialias=preset.antialias)
        return functional.center_crop(resized, [side, side])

    def stretch(picture):
        return functional.resize(picture, [side, side], kind, antialias=preset.antialias)

    np.save(DATA / f"{name}_crop.npy", np.stack([pixels(crop(p)) for p in photographs]))
    np.save(DATA / f"{name}_stretch.npy", np.stack([pixels(stretch(p)) for p in photographs]))
    normalised = transform_input(preset(photographs[0])[None])[0]
    np.save(DATA / f"{name}_normalised.npy", normalised[:, ::STEP, ::STEP].numpy())


def centre(name, side):
    """Returns the middle of a photograph, not resized, as the tensor that torchvision normalises."""
    picture = np.asarray(photograph(name))
    top, left = ((length - side) // 2 for length in picture.shape[:2])
    square = picture[top : top + side, left : left + side]
    return torch.from_numpy(square.copy()).permute(2, 0, 1).double() / 255


def load(network, name, unused):
    """Loads the seeded weights into the network; layers whose names start with one of `unused` may be missing."""
    missing, unexpected = network.load_state_dict(load_file(STATE_DICTS / f"{name}.safetensors"), strict=False)
    assert not unexpected and all(key.startswith(unused) for key in missing), (missing, unexpected)
    return network.double().eval()


@torch.no_grad()
def features(name, preset, compute):
    side = preset.crop_size[0]
    centres = [functional.normalize(centre(file, side), preset.mean, preset.std) for file in FEATURED]
    values = compute(torch.stack(centres)).float().numpy()
    np.save(ROOT / "containers" / name / "tests/reference.npy", values)
    print(name, values.shape, "largest", values.max(axis=1))


vgg_preset = models.VGG16_Weights.IMAGENET1K_V1.transforms()
vgg = load(models.vgg16(init_weights=False), "vgg", ("classifier.6.",))
preprocessing("vgg", vgg_preset, lambda x: x)
features("vgg", vgg_preset, lambda x: vgg.classifier[:5](vgg.avgpool(vgg.features(x)).flatten(1)))

# With transform_input, as torchvision makes it for its pretrained weights.
inception_preset = models.Inception_V3_Weights.IMAGENET1K_V1.transforms()
inception = models.inception_v3(init_weights=False, aux_logits=False, transform_input=True)
inception = load(inception, "inception", ("fc.",))
inception.fc = torch.nn.Identity()
preprocessing("inception", inception_preset, inception._transform_input)
features("inception", inception_preset, inception)
