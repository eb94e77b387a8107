"""Makes models of every kind (models/) and their scores by LightGBM's Python package (reference.json), and the scores
of doubles/timestamps.txt for times that float32 rounds to the same number (doubles/timestamps.json).

python3 -m pip install lightgbm==4.7.0 numpy==2.4.6 scipy==1.17.1
python3 reference.py
"""

import json
import pathlib

import lightgbm
import numpy as np

from data import CATEGORIES, CLASSES, points, strange_points

HERE = pathlib.Path(__file__).parent
MODELS = HERE / "models"

VALUES, LABELS = points(300, 1)
TARGETS = np.round(2 * LABELS + 1 + np.nan_to_num(VALUES[:, 0]) ** 2, 3)
HALVES = LABELS > 0
SHARES = LABELS / (CLASSES - 1)
COMMON = {
    "num_leaves": 4,
    "min_data_in_leaf": 5,
    "min_data_per_group": 5,
    "deterministic": True,
    "num_threads": 1,
    "seed": 1,
    "verbosity": -1,
}
CATEGORICAL = {"max_cat_to_onehot": 1}
MULTICLASS = {"objective": "multiclass", "num_class": CLASSES}
FOREST = {"boosting": "rf", "bagging_freq": 1, "bagging_fraction": 0.7}


def squares(scores, data):
    """A custom objective."""
    return scores - data.get_label(), np.ones_like(scores)


def class_squares(scores, data):
    """The custom objective for several classes."""
    return scores - np.eye(CLASSES)[data.get_label().astype(int)], np.ones_like(scores)


# Labels and parameters by name.
KINDS = {
    "regression": (TARGETS, {"objective": "regression"}),
    "regression_sqrt": (TARGETS, {"objective": "regression", "reg_sqrt": True}),
    "regression_l1": (TARGETS, {"objective": "regression_l1"}),
    "huber": (TARGETS, {"objective": "huber"}),
    "fair": (TARGETS, {"objective": "fair"}),
    "poisson": (TARGETS, {"objective": "poisson"}),
    "quantile": (TARGETS, {"objective": "quantile", "alpha": 0.8}),
    "mape": (TARGETS, {"objective": "mape"}),
    "gamma": (TARGETS, {"objective": "gamma"}),
    "tweedie": (TARGETS, {"objective": "tweedie"}),
    "binary": (HALVES, {"objective": "binary"}),
    "binary_sigmoid": (HALVES, {"objective": "binary", "sigmoid": 2.5, "is_unbalance": True}),
    "cross_entropy": (SHARES, {"objective": "cross_entropy"}),
    "cross_entropy_lambda": (SHARES, {"objective": "cross_entropy_lambda"}),
    "multiclass": (LABELS, MULTICLASS),
    "multiclassova": (LABELS, {**MULTICLASS, "objective": "multiclassova", "sigmoid": 0.7}),
    "lambdarank": (LABELS, {"objective": "lambdarank"}),
    "rank_xendcg": (LABELS, {"objective": "rank_xendcg"}),
    "own_objective": (TARGETS, {"objective": squares}),
    "own_objective_of_classes": (LABELS, {"objective": class_squares, "num_class": CLASSES}),
    "random_forest": (HALVES, {"objective": "binary", **FOREST}),
    "random_forest_of_classes": (LABELS, {**MULTICLASS, **FOREST}),
    "dart": (TARGETS, {"objective": "regression", "boosting": "dart", "drop_rate": 0.5}),
    "goss": (HALVES, {"objective": "binary", "data_sample_strategy": "goss", "top_rate": 0.4}),
    "linear_tree": (TARGETS, {"objective": "regression", "linear_tree": True}),
    "linear_tree_categorical": (HALVES, {"objective": "binary", "linear_tree": True, **CATEGORICAL}),
    "categorical": (LABELS, {**MULTICLASS, **CATEGORICAL}),
    "categorical_onehot": (TARGETS, {"objective": "regression", **CATEGORICAL, "max_cat_to_onehot": 50}),
    "zero_as_missing": (HALVES, {"objective": "binary", "zero_as_missing": True}),
    "no_missing": (HALVES, {"objective": "binary", "use_missing": False}),
    "monotone": (TARGETS, {"objective": "regression", "monotone_constraints": [1, -1, 0, 0, 0, 0]}),
    "one_leaf": (TARGETS, {"objective": "regression", "min_data_in_leaf": 200}),
    "linear_tree_absent_class": (LABELS, {**MULTICLASS, "num_class": 4, "linear_tree": True}),
    "early_stopping": (HALVES, {"objective": "binary", "early_stopping_round": 1, "learning_rate": 2}),
    "some_iterations": (LABELS, MULTICLASS),
    "names": (TARGETS, {"objective": "regression", **CATEGORICAL}),
}
NAMES = ["größe in cm", "a=b", "Tree=1", "色", "num_leaves=9", "end of trees"]


def train(kind):
    labels, parameters = KINDS[kind]
    ranking = kind in ["lambdarank", "rank_xendcg"]
    group = [10] * (len(labels) // 10) if ranking else None
    names = NAMES if kind == "names" else "auto"
    categories = CATEGORIES if "max_cat_to_onehot" in parameters else "auto"
    data = lightgbm.Dataset(VALUES, labels, group=group, feature_name=names, categorical_feature=categories)
    stopping = "early_stopping_round" in parameters
    valid = [data.create_valid(VALUES[:50], 1 - labels[:50])] if stopping else None
    return lightgbm.train({**COMMON, **parameters}, data, 5 if stopping else 3, valid_sets=valid)


def text(kind):
    booster = train(kind)
    if kind == "names":
        booster.pandas_categorical = [["blue", "rot", "黒"], [1, 2.5]]
        return booster.model_to_string(importance_type="gain")
    if kind == "some_iterations":
        return booster.model_to_string(start_iteration=1, num_iteration=1)
    return booster.model_to_string()


def rows(scores):
    """Returns one list per input. Numbers that are not finite become null, because JSON lacks them; linear trees return
    them for infinite inputs."""
    finite = lambda score: score if np.isfinite(score) else None
    return [[finite(score) for score in row] for row in scores.reshape(len(scores), -1).tolist()]


def timestamps():
    """Scores four times that fall into four leaves; float32 rounds each to 1700001024."""
    times = [1700000990, 1700001010, 1700000965, 1700001050]
    inputs = np.array([[time, other] for other in [0, -1.25, 0.1, np.nan] for time in times], dtype=np.float64)
    booster = lightgbm.Booster(model_file=HERE / "doubles" / "timestamps.txt")
    # NaN becomes null, because JSON lacks it.
    rows = [[None if np.isnan(value) else value for value in row] for row in inputs.tolist()]
    reference = {"inputs": rows, "predictions": booster.predict(inputs).tolist()}
    (HERE / "doubles" / "timestamps.json").write_text(json.dumps(reference, allow_nan=False) + "\n")


def main():
    timestamps()
    MODELS.mkdir(exist_ok=True)
    for kind in KINDS:
        (MODELS / f"{kind}.txt").write_text(text(kind))
    inputs = np.concatenate([points(8, 2)[0], strange_points()])
    scores = {}
    for path in sorted(MODELS.glob("*.txt")):
        booster = lightgbm.Booster(model_file=path)
        raw, predictions = booster.predict(inputs, raw_score=True), booster.predict(inputs)
        scores[path.stem] = {"raw": rows(raw), "predictions": rows(predictions)}
    # Inputs are stored as the bits of float32.
    reference = {"inputs": inputs.view(np.uint32).tolist(), "scores": scores}
    lines = json.dumps(reference, allow_nan=False).replace('{"raw"', '\n{"raw"')
    (HERE / "reference.json").write_text(lines + "\n")


main()
