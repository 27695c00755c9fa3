"""The spread of several methods' differences, each helped by what the others show.

Ten splits know a standard deviation to within a third, and Holm's correction asks for quantiles far
out, where so few degrees of freedom cost the most. Differences to one reference scatter alike,
though not equally: an empirical Bayes estimate draws each variance towards the typical one, as far
as they resemble each other (Smyth, Stat. Appl. Genet. Mol. Biol. 3, 2004). Two corrections, because
differences to one reference are correlated: variances then resemble each other by themselves, which
must not count as evidence that they are equal, and what is known of the typical one is bounded.
"""

import numpy as np
from scipy import special

FEWEST = 3  # methods whose variances tell what is typical
UNBOUNDED = 1e6  # prior degrees of freedom where the variances differ no more than by chance


def share_variances(gaps):
    """(variances (..., M), degrees of freedom (...)) of M methods' differences (..., M, n).

    The differences of a method must not all be the same. Below three methods these are the plain
    variances with n - 1 degrees of freedom.
    """
    methods, count = gaps.shape[-2:]
    freedom = count - 1
    centred = gaps - gaps.mean(axis=-1, keepdims=True)
    covariance = centred @ np.swapaxes(centred, -1, -2) / freedom
    variances = np.diagonal(covariance, axis1=-2, axis2=-1)
    if methods < FEWEST or freedom < 2:
        return variances, np.full(gaps.shape[:-2], float(freedom))
    prior, typical = _fit_prior(variances, _share_correlation(covariance, freedom), freedom)
    total = prior + freedom
    shared = (prior[..., None] * typical[..., None] + freedom * variances) / total[..., None]
    return shared, np.minimum(total, _freedom_of_mean(covariance, freedom))


def _fit_prior(variances, correlation, freedom):
    """Prior degrees of freedom and typical variance, by the moments of log variances.

    correlation: of the variances among each other; they differ by so much less than by chance
    """
    logs = np.log(variances)
    by_chance = special.polygamma(1, freedom / 2) * (1 - correlation)
    excess = np.maximum(logs.var(axis=-1, ddof=1) - by_chance, 1 / UNBOUNDED)
    prior = 2 * _invert_trigamma(excess)
    centre = logs.mean(axis=-1) - special.digamma(freedom / 2) + np.log(freedom / 2)
    typical = np.exp(centre + special.digamma(prior / 2) - np.log(prior / 2))
    return np.minimum(prior, UNBOUNDED), typical


def _share_correlation(covariance, freedom):
    """Mean squared correlation of two methods' differences (...): that of their variances.

    Less what so few splits give by chance.
    """
    methods = covariance.shape[-1]
    spread = np.sqrt(np.diagonal(covariance, axis1=-2, axis2=-1))
    squared = (covariance / (spread[..., :, None] * spread[..., None, :])) ** 2
    mean = (squared.sum(axis=(-2, -1)) - methods) / (methods * (methods - 1))
    return np.clip((mean * freedom - 1) / (freedom - 1), 0, 0.95)


def _freedom_of_mean(covariance, freedom):
    """Degrees of freedom of the mean variance of correlated methods (...), by Satterthwaite.

    trace(S)**2 / trace(S**2) times those of one, with trace(S**2) of the true covariance as
    Srivastava estimates it (J. Japan Statist. Soc. 35, 2005).
    """
    methods = covariance.shape[-1]
    trace = np.trace(covariance, axis1=-2, axis2=-1)
    raw = (covariance**2).sum(axis=(-2, -1))
    factor = freedom**2 / ((freedom - 1) * (freedom + 2))
    of_squares = np.maximum(factor * (raw - trace**2 / freedom), trace**2 / methods)
    return freedom * np.minimum(methods, trace**2 / of_squares)


def _invert_trigamma(value):
    """x with trigamma(x) = value, by Newton's method as Smyth (2004) gives it."""
    x = 0.5 + 1 / value
    for _ in range(20):
        trigamma = special.polygamma(1, x)
        x = x + trigamma * (1 - trigamma / value) / special.polygamma(2, x)
    return x
