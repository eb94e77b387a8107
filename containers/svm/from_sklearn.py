"""Carries a trained scikit-learn pipeline over: what this makes of it is served by `svm`, and predicts the same labels.

    python3 -m pip install scikit-learn==1.9.1 numpy==2.4.6 safetensors==0.8.0 joblib==1.6.0
    python3 from_sklearn.py pipeline.joblib svm.safetensors
    CLIPPER_MODEL_PATH=svm.safetensors svm

Features that float32 cannot hold (times in seconds, ids) need --doubles, and CLIPPER_INPUT_TYPE=doubles when it is served.

The pipeline is Pipeline([StandardScaler,] KernelPCA(kernel="rbf"), SVC(kernel="rbf")), saved with joblib.dump by the
scikit-learn named above. joblib files run code when they are loaded: take only your own. In a notebook, call
`save(pipeline, "svm.safetensors")`. README.md says what the file holds.
"""

import argparse
import json
import sys
from pathlib import Path

import joblib
import numpy as np
import sklearn
from safetensors.numpy import save as to_bytes
from scipy.sparse import issparse
from sklearn.decomposition import KernelPCA
from sklearn.exceptions import NotFittedError
from sklearn.pipeline import Pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC
from sklearn.utils.validation import check_is_fitted

# How far projections may be off as they are served, relative to the largest.
TOLERANCE = 1e-3


class CannotCarry(Exception):
    """The pipeline has something that the server cannot do as scikit-learn does."""


def save(pipeline, path, provenance=None, doubles=False):
    """Writes the artifact `path` (.safetensors), in float64 if `doubles`, and the description beside it (`path`.json)."""
    arrays, labels = convert(pipeline, np.float64 if doubles else np.float32)
    path = Path(path)
    path.write_bytes(to_bytes(arrays, metadata={"labels": json.dumps(labels)}))
    points, components = arrays["pca.weights"].shape
    made = f"scikit-learn {sklearn.__version__} pipeline: KernelPCA ({components} components of {points} points) and SVC"
    artifact = {"file": path.name, "provenance": provenance or made, "trained": True}
    path.with_name(path.name + ".json").write_text(json.dumps(artifact, indent=2) + "\n")


def convert(pipeline, precision=np.float32):
    """The artifact's arrays by name, and its labels."""
    scaler, pca, svc = steps(pipeline)
    served = in_precision(kernel_pca(scaler, pca) | support_vectors(pca, svc), precision)
    check_projections(pca, served)
    check_labels(pca, svc, served)
    return served, [str(label) for label in svc.classes_.tolist()]


def steps(pipeline):
    """The fitted StandardScaler or None, KernelPCA and SVC."""
    if not isinstance(pipeline, Pipeline):
        raise CannotCarry(f"this is a {type(pipeline).__name__}; a Pipeline is needed")
    found = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    scaler = found.pop(0) if found and type(found[0]) is StandardScaler else None
    if [type(step) for step in found] != [KernelPCA, SVC]:
        names = ", ".join(type(step).__name__ for _, step in pipeline.steps)
        raise CannotCarry(f"the steps are {names}; they must be KernelPCA and SVC, after a StandardScaler or nothing")
    pca, svc = found
    for step in filter(None, (scaler, pca, svc)):
        check_is_fitted(step)
    for step in (pca, svc):
        if step.kernel != "rbf":
            raise CannotCarry(f"the kernel of {type(step).__name__} is {step.kernel!r}; the server has 'rbf' only")
    if issparse(pca.X_fit_) or issparse(svc.support_vectors_):
        raise CannotCarry("it was trained on a sparse matrix; train it on a dense one")
    if svc.break_ties and len(svc.classes_) > 2:
        raise CannotCarry("SVC has break_ties=True; the server gives a tie to the first of the classes, as break_ties=False does")
    return scaler, pca, svc


def kernel_pca(scaler, pca):
    """The first stage in float64: f(x) = k(x) weights - offsets.

    scikit-learn projects the centred kernel, k - means less its mean, onto the scaled eigenvectors. Those sum to zero, so
    the last mean falls out. The scaler goes into points and gammas.
    """
    kept = np.flatnonzero(pca.eigenvalues_)
    scaled = np.zeros_like(pca.eigenvectors_)
    scaled[:, kept] = pca.eigenvectors_[:, kept] / np.sqrt(pca.eigenvalues_[kept])
    points, gamma = pca.X_fit_, np.array([pca.gamma_])
    if scaler is not None and scaler.with_std:
        points, gamma = points * scaler.scale_, pca.gamma_ / scaler.scale_**2
    if scaler is not None and scaler.with_mean:
        points = points + scaler.mean_
    return {
        "pca.points": points,
        "pca.gamma": gamma,
        "pca.weights": scaled,
        "pca.offsets": pca._centerer.K_fit_rows_ @ scaled,
    }


def support_vectors(pca, svc):
    """The second stage: one column of weights per pair of classes, (0, 1), (0, 2), ... (1, 2), ..., in which the first
    class of the pair is the positive one.

    libsvm keeps, for a support vector of class a, the coefficient of its pair with class b in row b of those of the
    other classes. With two classes scikit-learn turns the sign around.
    """
    classes = len(svc.classes_)
    first = np.concatenate([[0], np.cumsum(svc.n_support_)])
    rows = [slice(first[a], first[a + 1]) for a in range(classes)]
    pairs = [(a, b) for a in range(classes) for b in range(a + 1, classes)]
    weights = np.zeros((len(svc.support_vectors_), len(pairs)))
    for column, (a, b) in enumerate(pairs):
        weights[rows[a], column] = svc.dual_coef_[b - 1, rows[a]]
        weights[rows[b], column] = svc.dual_coef_[a, rows[b]]
    sign = -1 if classes == 2 else 1
    return {
        "svm.points": svc.support_vectors_,
        "svm.gamma": np.array([svc._gamma]),
        "svm.weights": sign * weights,
        "svm.offsets": -sign * svc.intercept_,
    }


def in_precision(arrays, precision):
    """The arrays as they are served, if float32 or float64 can hold them."""
    with np.errstate(over="ignore", under="ignore"):
        served = {name: np.ascontiguousarray(array, dtype=precision) for name, array in arrays.items()}
    for name, array in served.items():
        if not np.isfinite(array).all():
            raise CannotCarry(f"{name} has values that {array.dtype} cannot hold; scale the features, or take --doubles")
        if name.endswith("gamma") and not (array > 0).all():
            raise CannotCarry(f"{name} is zero in {array.dtype}; scale the features, or take another gamma, or --doubles")
    return served


def check_projections(pca, served):
    """Refuses what the precision would spoil: components with eigenvalues so small that dividing by them shows every rounding."""
    expected, found = pca.transform(pca.X_fit_), project(served)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    if not error <= TOLERANCE:
        raise CannotCarry(
            f"the server computes in {found.dtype}, and there the projections of the training points are off by {error:.1e} of "
            f"the largest ({TOLERANCE:g} is allowed); keep fewer components (n_components), or scale the features, or take "
            "--doubles"
        )


def check_labels(pca, svc, served):
    """Refuses coefficients so large that the precision decides otherwise: labels of the training points must stay."""
    decisions = kernel(project(served), served["svm.points"], served["svm.gamma"]) @ served["svm.weights"]
    votes = np.zeros((len(decisions), len(svc.classes_)), dtype=int)
    pairs = [(a, b) for a in range(votes.shape[1]) for b in range(a + 1, votes.shape[1])]
    for decision, (a, b) in zip((decisions - served["svm.offsets"]).T, pairs):
        votes[:, a] += decision > 0
        votes[:, b] += decision <= 0
    found = svc.classes_[votes.argmax(axis=1)]
    different = np.mean(found != svc.predict(pca.transform(pca.X_fit_)))
    if different > TOLERANCE:
        raise CannotCarry(
            f"the server computes in {decisions.dtype}, and there {different:.1%} of the training points get another label; "
            "train with a smaller C, or a smaller gamma, or take --doubles"
        )


def project(arrays):
    """The first stage on its own points, as the server computes it."""
    points = arrays["pca.points"]
    return kernel(points, points, arrays["pca.gamma"]) @ arrays["pca.weights"] - arrays["pca.offsets"]


def kernel(inputs, points, gamma):
    """Every input against every point, by norms and a matrix product."""
    origin = points.mean(axis=0)
    inputs, points = (inputs - origin) * np.sqrt(gamma), (points - origin) * np.sqrt(gamma)
    norms = [np.einsum("ij,ij->i", rows, rows) for rows in (inputs, points)]
    return np.exp(-np.maximum(norms[0][:, None] + norms[1] - 2 * inputs @ points.T, 0))


def main():
    parser = argparse.ArgumentParser(description="Makes an artifact for svm of a trained scikit-learn pipeline.")
    parser.add_argument("pipeline", type=Path, help="what joblib.dump(pipeline, ...) wrote; load only your own files")
    parser.add_argument("artifact", type=Path, help="the .safetensors file to write; its description goes to ARTIFACT.json")
    parser.add_argument("--doubles", action="store_true", help="keep float64; serve it with CLIPPER_INPUT_TYPE=doubles")
    parser.add_argument("--provenance", help="what the description says of the training")
    told = parser.parse_args()
    try:
        pipeline = joblib.load(told.pipeline)
    except Exception as error:  # unpickling can raise anything
        sys.exit(f"{told.pipeline} cannot be loaded with joblib: {type(error).__name__}: {error}")
    try:
        save(pipeline, told.artifact, told.provenance, told.doubles)
    except (CannotCarry, NotFittedError) as error:
        sys.exit(f"{told.pipeline} cannot be carried over: {error}")
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
