"""Makes small state dicts as torch saves them, in data/: the format up to PyTorch 1.5, that since, and safetensors.

python3 -m pip install torch==2.13.0 safetensors==0.8.0 numpy==2.4.6
python3 crates/xtask/tests/state_dicts.py
"""

from collections import OrderedDict
from pathlib import Path

import torch
from safetensors.torch import save_file

DATA = Path(__file__).resolve().parent / "data"
count = torch.arange(6, dtype=torch.float32)
tensors = OrderedDict(
    whole=count.reshape(2, 3),
    # Views: the values are not in the order, or not at the place, in which the file has them.
    transposed=count.reshape(2, 3).t(),
    part=count[2:4],
    parameter=torch.nn.Parameter(torch.tensor([7.0])),
    half=torch.tensor([0.5, -2.0], dtype=torch.float16),
    brain=torch.tensor([1.5], dtype=torch.bfloat16),
    batches=torch.tensor(3),
)
torch.save(tensors, DATA / "legacy.pth", _use_new_zipfile_serialization=False)
torch.save(tensors, DATA / "zip.pth")
save_file({name: tensor.detach().clone().contiguous() for name, tensor in tensors.items()}, DATA / "state_dict.safetensors")
