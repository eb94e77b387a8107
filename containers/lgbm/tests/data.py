"""Seeded points for training and scoring: four numeric and two categorical features, with missing values."""

import numpy as np

FEATURES, CLASSES, CATEGORIES = 6, 3, [4, 5]


def points(count, seed):
    """Returns float32 [count, FEATURES], and the class of each point: 0, 1 or 2."""
    random = np.random.RandomState(seed)
    labels = np.arange(count) % CLASSES
    values = random.normal(size=(count, FEATURES)) + np.eye(CLASSES, FEATURES)[labels]
    values[:, 4] = (random.randint(0, 4, count) + 2 * labels) % 9
    values[:, 5] = (random.randint(0, 30, count) + 10 * labels) % 40
    values[random.uniform(size=values.shape) < 0.05] = np.nan
    values[random.uniform(size=values.shape) < 0.05] = 0
    return values.astype(np.float32), labels


def strange_points():
    """Returns unusual points: unknown and fractional categories, infinities, very small and very large numbers."""
    values, _ = points(12, 3)
    values[0] = np.nan
    values[1] = 0
    values[2, 4:] = [-1, 41]
    values[3, 4:] = [2.7, 1e9]
    values[4, :3] = [np.inf, -np.inf, -0.0]
    values[5, :3] = [1e-36, -1e-36, 3e38]
    return values
