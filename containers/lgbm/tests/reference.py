"""Makes reference.txt and reference.json: a model, and what LightGBM's Python package scores with it.

python3 -m pip install lightgbm==4.7.0 numpy==2.4.6 scipy==1.17.1
python3 reference.py
"""

import json
import pathlib

import lightgbm
import numpy as np

FEATURES, CLASSES = 6, 3
HERE = pathlib.Path(__file__).parent

random = np.random.default_rng(1)


def points(count):
    labels = np.arange(count) % CLASSES
    values = random.normal(size=(count, FEATURES)) + np.eye(CLASSES, FEATURES)[labels]
    return values.astype(np.float32), labels


train, labels = points(300)
parameters = {
    "objective": "multiclass",
    "num_class": CLASSES,
    "num_leaves": 4,
    "deterministic": True,
    "seed": 1,
    "verbosity": -1,
}
booster = lightgbm.train(parameters, lightgbm.Dataset(train, labels), num_boost_round=5)
text = booster.model_to_string()
(HERE / "reference.txt").write_text(text)

new, _ = points(20)
new[3, 2] = np.nan
scores = lightgbm.Booster(model_str=text).predict(new)
reference = {
    "inputs": [[None if np.isnan(value) else float(value) for value in row] for row in new],
    "scores": scores.tolist(),
}
(HERE / "reference.json").write_text(json.dumps(reference) + "\n")
