"""Makes models/saved_by_VERSION.txt, a model saved by an older LightGBM. For instance, with Python 3.11:

python3 -m pip install lightgbm==3.3.5 numpy==1.26.4 scipy==1.11.4    # and again with lightgbm==2.3.1, lightgbm==2.0.12
python3 older.py
"""

import pathlib

import lightgbm

from data import CATEGORIES, CLASSES, points

values, labels = points(300, 1)
parameters = {
    "objective": "multiclass",
    "num_class": CLASSES,
    "num_leaves": 4,
    "min_data_in_leaf": 5,
    "min_data_per_group": 5,
    "num_threads": 1,
    "verbose": -1,
}
data = lightgbm.Dataset(values, labels, categorical_feature=CATEGORIES)
booster = lightgbm.train(parameters, data, 3)
models = pathlib.Path(__file__).parent / "models"
booster.save_model(str(models / f"saved_by_{lightgbm.__version__}.txt"))
