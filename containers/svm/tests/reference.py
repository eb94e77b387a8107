"""Makes reference.json: what scikit-learn computes for a small problem.

python3 -m pip install scikit-learn==1.9.1 numpy==2.4.6 scipy==1.17.1
python3 reference.py > reference.json
"""

import json

import numpy as np
from sklearn.decomposition import KernelPCA
from sklearn.svm import SVC

FEATURES, CLASSES, COMPONENTS = 8, 4, 5
PCA_GAMMA, SVM_GAMMA, C = 0.05, 0.5, 10.0

random = np.random.default_rng(1)
centres = random.normal(scale=3.0, size=(CLASSES, FEATURES))


def points(count):
    labels = np.arange(count) % CLASSES
    return np.round(centres[labels] + random.normal(size=(count, FEATURES)), 6), labels


def flat(values):
    return [float(f"{value:.12g}") for value in np.ravel(values)]


train, train_labels = points(40)
new, _ = points(10)
pca = KernelPCA(n_components=COMPONENTS, kernel="rbf", gamma=PCA_GAMMA, eigen_solver="dense")
train_projections = pca.fit_transform(train)
svc = SVC(C=C, gamma=SVM_GAMMA).fit(train, train_labels)

print(
    json.dumps(
        {
            "features": FEATURES,
            "classes": CLASSES,
            "components": COMPONENTS,
            "pca_gamma": PCA_GAMMA,
            "svm_gamma": SVM_GAMMA,
            "c": C,
            "train": flat(train),
            "train_labels": train_labels.tolist(),
            "new": flat(new),
            "train_projections": flat(train_projections),
            "new_projections": flat(pca.transform(new)),
            "new_labels": svc.predict(new).tolist(),
        }
    )
)
