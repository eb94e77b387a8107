"""Seeded points to learn from and to score: four numbers, two categories; some values are missing."""

import numpy as np

FEATURES, CLASSES, CATEGORIES = 6, 3, [4, 5]


def points(count, seed):
    """float32 [count, FEATURES], and a class of each: 0, 1 or 2."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % CLASSES
    values = random.normal(size=(count, FEATURES)) + np.eye(CLASSES, FEATURES)[labels]
    values[:, 4] = (random.randint(0, 4, count) + 2 * labels) % 9
    values[:, 5] = (random.randint(0, 30, count) + 10 * labels) % 40
    values[random.uniform(size=values.shape) < 0.05] = np.nan
    values[random.uniform(size=values.shape) < 0.05] = 0
    return values.astype(np.float32), labels


def strange_points():
    """What no example looked like: other categories, no whole ones, infinities, the very small, the very large."""
    values, _ = points(12, 3)
    values[0] = np.nan
    values[1] = 0
    values[2, 4:] = [-1, 41]
    values[3, 4:] = [2.7, 1e9]
    values[4, :3] = [np.inf, -np.inf, -0.0]
    values[5, :3] = [1e-36, -1e-36, 3e38]
    return values
