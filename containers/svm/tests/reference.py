"""Makes the tests' references: results of scikit-learn for a problem with overlapping classes.

    python3 -m pip install scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1 safetensors==0.8.0 joblib==1.6.0
    python3 reference.py

Five overlapping classes of unequal size lie far from zero, with features of unequal spread. The script writes beside
itself:

  reference.safetensors         points (as bytes: `value = 500 + byte / 8`), labels and projections
  exported.safetensors          a pipeline for the five classes, by name, converted by from_sklearn.py
  exported_binary.safetensors   a pipeline for the first class against the others, as 1 and 0
  exported_doubles.safetensors  a float64 pipeline for the thirds of a quarter of an hour, by times in seconds, which
                                float32 cannot hold
  doubles.safetensors           new times and their labels
"""

import sys
from pathlib import Path

import numpy as np
from safetensors.numpy import save
from sklearn.decomposition import KernelPCA
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler
from sklearn.svm import SVC

HERE = Path(__file__).parent
sys.path.append(str(HERE.parent))
import from_sklearn

SHARES = [0.35, 0.25, 0.2, 0.12, 0.08]
NAMES = np.array(["elm", "ash", "oak", "yew", "fir"])
TRAIN, NEW, FEATURES, COMPONENTS, C = 400, 600, 40, 12, 10.0
EXPORTED, BINARY, PROJECTED = 150, 60, 100

random = np.random.default_rng(1)
centres = random.normal(scale=0.55, size=(len(SHARES), FEATURES))
spreads = random.uniform(4, 24, size=FEATURES)


def points(count):
    """Returns bytes, values and classes."""
    labels = random.choice(len(SHARES), size=count, p=SHARES)
    values = 128 + spreads * (centres[labels] + random.normal(size=(count, FEATURES)))
    packed = np.clip(np.round(values), 0, 255).astype(np.uint8)
    return packed, 500 + packed / 8, labels.astype(np.uint8)


packed_train, train, train_labels = points(TRAIN)
packed_new, new, new_truth = points(NEW)

gamma = 1 / train.var(axis=0).sum()
pca = KernelPCA(COMPONENTS, kernel="rbf", gamma=gamma, eigen_solver="dense")
pipeline = make_pipeline(pca, SVC(C=C)).fit(train, train_labels)
exported = make_pipeline(StandardScaler(), KernelPCA(COMPONENTS, kernel="rbf", eigen_solver="dense"), SVC(C=C))
exported.fit(train[:EXPORTED], NAMES[train_labels[:EXPORTED]])
from_sklearn.save(exported, HERE / "exported.safetensors")
binary = make_pipeline(StandardScaler(with_mean=False), KernelPCA(COMPONENTS, kernel="rbf", gamma=0.02), SVC(C=C, gamma="auto"))
binary.fit(train[:BINARY], (train_labels[:BINARY] == 0).astype(int))
from_sklearn.save(binary, HERE / "exported_binary.safetensors")

arrays = {
    "train": packed_train,
    "train_labels": train_labels,
    "new": packed_new,
    "new_truth": new_truth,
    "new_labels": pipeline.predict(new),
    "exported_labels": np.searchsorted(exported.classes_, exported.predict(new)).astype(np.uint8),
    "binary_labels": binary.predict(new).astype(np.uint8),
    "gamma": np.array([gamma]),
    "c": np.array([C]),
    "train_projections": pca.transform(train[:PROJECTED]),
    "new_projections": pca.transform(new[:PROJECTED]),
}
(HERE / "reference.safetensors").write_bytes(save(arrays))
# Seconds since 1970, which float32 rounds to multiples of 128, and a feature of ordinary size. A class is 5 minutes long.
times = np.random.default_rng(2)


def seconds(count):
    """Returns times in float64, and their classes."""
    moments = 1_700_000_000 + times.uniform(0, 900, size=count)
    return np.stack([moments, times.normal(size=count)], axis=1), ((moments - 1_700_000_000) // 300).astype(int)


known, thirds = seconds(80)
unknown, truth = seconds(200)
doubles = make_pipeline(StandardScaler(), KernelPCA(10, kernel="rbf", eigen_solver="dense"), SVC(C=C))
doubles.fit(known, NAMES[thirds])
from_sklearn.save(doubles, HERE / "exported_doubles.safetensors", doubles=True)
named = {"points": unknown, "labels": np.searchsorted(doubles.classes_, doubles.predict(unknown)).astype(np.uint8)}
(HERE / "doubles.safetensors").write_bytes(save(named))

print("accuracy on the new points:")
print("  the reference", np.mean(pipeline.predict(new) == new_truth))
print("  exported", np.mean(exported.predict(new) == NAMES[new_truth]))
print("  exported_doubles", np.mean(doubles.predict(unknown) == NAMES[truth]))
print("  exported_binary", np.mean(binary.predict(new) == (new_truth == 0)))
