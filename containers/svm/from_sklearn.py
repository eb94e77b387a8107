"""Converts a trained scikit-learn pipeline to an artifact of the `svm` model server, which predicts the same labels.

    python3 -m pip install scikit-learn==1.9.1 numpy==2.4.6 safetensors==0.8.0 joblib==1.6.0
    python3 from_sklearn.py pipeline.joblib svm.safetensors
    CLIPPER_MODEL_PATH=svm.safetensors svm

Features that float32 cannot hold (times in seconds, ids) need --doubles, and CLIPPER_INPUT_TYPE=doubles for the server.

The pipeline is Pipeline([StandardScaler,] KernelPCA(kernel="rbf"), SVC(kernel="rbf")), saved with joblib.dump by the
scikit-learn version above. Loading a joblib file runs code: load only your own files. In a notebook, call
`save(pipeline, "svm.safetensors")`. README.md describes the file.
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

# Largest error of projections in the served precision, relative to the largest projection.
TOLERANCE = 1e-3


class UnsupportedPipeline(Exception):
    """The pipeline has a part that the server cannot compute like scikit-learn."""


def save(pipeline, path, provenance=None, doubles=False):
    """Writes the artifact `path` (.safetensors), in float64 if `doubles`, and its metadata file `path`.json."""
    arrays, labels = convert(pipeline, np.float64 if doubles else np.float32)
    path = Path(path)
    path.write_bytes(to_bytes(arrays, metadata={"labels": json.dumps(labels)}))
    points, components = arrays["pca.weights"].shape
    made = f"scikit-learn {sklearn.__version__} pipeline: KernelPCA ({components} components of {points} points) and SVC"
    artifact = {"file": path.name, "provenance": provenance or made, "trained": True}
    path.with_name(path.name + ".json").write_text(json.dumps(artifact, indent=2) + "\n")


def convert(pipeline, precision=np.float32):
    """Returns the artifact's arrays by name, and its labels."""
    scaler, pca, svc = steps(pipeline)
    served = in_precision(kernel_pca(scaler, pca) | support_vectors(pca, svc), precision)
    check_projections(pca, served)
    check_labels(pca, svc, served)
    return served, [str(label) for label in svc.classes_.tolist()]


def steps(pipeline):
    """Returns the fitted StandardScaler or None, KernelPCA and SVC."""
    if not isinstance(pipeline, Pipeline):
        raise UnsupportedPipeline(f"this is a {type(pipeline).__name__}; a Pipeline is needed")
    found = [step for _, step in pipeline.steps if step not in (None, "passthrough")]
    scaler = found.pop(0) if found and type(found[0]) is StandardScaler else None
    if [type(step) for step in found] != [KernelPCA, SVC]:
        names = ", ".join(type(step).__name__ for _, step in pipeline.steps)
        raise UnsupportedPipeline(f"the steps are {names}; they must be KernelPCA and SVC, after a StandardScaler or nothing")
    pca, svc = found
    for step in filter(None, (scaler, pca, svc)):
        check_is_fitted(step)
    for step in (pca, svc):
        if step.kernel != "rbf":
            raise UnsupportedPipeline(f"the kernel of {type(step).__name__} is {step.kernel!r}; the server has 'rbf' only")
    if issparse(pca.X_fit_) or issparse(svc.support_vectors_):
        raise UnsupportedPipeline("it was trained on a sparse matrix; train it on a dense one")
    if svc.break_ties and len(svc.classes_) > 2:
        raise UnsupportedPipeline("SVC has break_ties=True; the server resolves a tie to the first class, as break_ties=False does")
    return scaler, pca, svc


def kernel_pca(scaler, pca):
    """Returns the first stage in float64: f(x) = k(x) weights - offsets.

    scikit-learn projects the centred kernel, k - means less its mean, onto the scaled eigenvectors. These sum to zero, so
    the last mean has no effect. The scaler becomes part of points and gammas.
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
    """Returns the second stage: one column of weights per pair of classes, (0, 1), (0, 2), ... (1, 2), ..., with the first
    class of the pair positive.

    For a support vector of class a, libsvm stores the coefficient of its pair with class b in row b of the other classes'
    rows. With two classes, scikit-learn inverts the sign.
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
    """Returns the arrays in the served precision, if it can hold them."""
    with np.errstate(over="ignore", under="ignore"):
        served = {name: np.ascontiguousarray(array, dtype=precision) for name, array in arrays.items()}
    for name, array in served.items():
        if not np.isfinite(array).all():
            raise UnsupportedPipeline(f"{name} has values that {array.dtype} cannot hold; scale the features, or use --doubles")
        if name.endswith("gamma") and not (array > 0).all():
            raise UnsupportedPipeline(f"{name} is zero in {array.dtype}; scale the features, use another gamma, or use --doubles")
    return served


def check_projections(pca, served):
    """Rejects components with eigenvalues so small that dividing by them amplifies rounding errors beyond the tolerance."""
    expected, found = pca.transform(pca.X_fit_), project(served)
    error = np.abs(found - expected).max() / np.abs(expected).max()
    if not error <= TOLERANCE:
        raise UnsupportedPipeline(
            f"the server computes in {found.dtype}, where the projections of the training points have an error of {error:.1e} "
            f"of the largest ({TOLERANCE:g} is allowed); keep fewer components (n_components), scale the features, or use "
            "--doubles"
        )


def check_labels(pca, svc, served):
    """Rejects coefficients so large that the precision changes labels of training points."""
    decisions = kernel(project(served), served["svm.points"], served["svm.gamma"]) @ served["svm.weights"]
    votes = np.zeros((len(decisions), len(svc.classes_)), dtype=int)
    pairs = [(a, b) for a in range(votes.shape[1]) for b in range(a + 1, votes.shape[1])]
    for decision, (a, b) in zip((decisions - served["svm.offsets"]).T, pairs):
        votes[:, a] += decision > 0
        votes[:, b] += decision <= 0
    found = svc.classes_[votes.argmax(axis=1)]
    different = np.mean(found != svc.predict(pca.transform(pca.X_fit_)))
    if different > TOLERANCE:
        raise UnsupportedPipeline(
            f"the server computes in {decisions.dtype}, where {different:.1%} of the training points have another label; "
            "train with a smaller C or gamma, or use --doubles"
        )


def project(arrays):
    """Computes the first stage on its own points, like the server."""
    points = arrays["pca.points"]
    return kernel(points, points, arrays["pca.gamma"]) @ arrays["pca.weights"] - arrays["pca.offsets"]


def kernel(inputs, points, gamma):
    """Computes the kernel of every input against every point, by norms and a matrix product."""
    origin = points.mean(axis=0)
    inputs, points = (inputs - origin) * np.sqrt(gamma), (points - origin) * np.sqrt(gamma)
    norms = [np.einsum("ij,ij->i", rows, rows) for rows in (inputs, points)]
    return np.exp(-np.maximum(norms[0][:, None] + norms[1] - 2 * inputs @ points.T, 0))


def main():
    parser = argparse.ArgumentParser(description="Converts a trained scikit-learn pipeline to an artifact of the svm model server.")
    parser.add_argument("pipeline", type=Path, help="file written by joblib.dump(pipeline, ...); load only your own files")
    parser.add_argument("artifact", type=Path, help="the .safetensors file to write; its metadata goes to ARTIFACT.json")
    parser.add_argument("--doubles", action="store_true", help="keep float64; serve it with CLIPPER_INPUT_TYPE=doubles")
    parser.add_argument("--provenance", help="text about the training for the metadata")
    options = parser.parse_args()
    try:
        pipeline = joblib.load(options.pipeline)
    except Exception as error:  # unpickling can raise anything
        sys.exit(f"cannot load {options.pipeline} with joblib: {type(error).__name__}: {error}")
    try:
        save(pipeline, options.artifact, options.provenance, options.doubles)
    except (UnsupportedPipeline, NotFittedError) as error:
        sys.exit(f"cannot convert {options.pipeline}: {error}")
    except OSError as error:
        sys.exit(str(error))


if __name__ == "__main__":
    main()
