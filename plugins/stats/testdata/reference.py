"""Computes the reference values of this package's tests with other libraries.

Needs numpy, scipy, statsmodels, scikit-learn, krippendorff and crowd-kit; the
tests name the versions that their values are from. Data that the tests share
come from the generator below, which is theirs too (source in the tests).
"""
import csv, itertools, math, pathlib
import numpy as np
import pandas as pd
import krippendorff
import statsmodels.api as sm
from crowdkit.aggregation import MACE, DawidSkene
from scipy import optimize, special, stats
from sklearn.metrics import cohen_kappa_score, f1_score
from statsmodels.stats.contingency_tables import mcnemar
from statsmodels.stats.inter_rater import cohens_kappa, fleiss_kappa
from statsmodels.stats.multitest import multipletests
from statsmodels.stats.power import TTestPower
from statsmodels.stats.proportion import proportion_confint

ITERATIONS = 500  # of expectation maximisation: all have converged by then
here = pathlib.Path(__file__).parent


class Numbers:
    """A linear congruential generator: numbers below n, the same in Go."""

    def __init__(self, seed):
        self.state = seed

    def below(self, n):
        self.state = (1103515245 * self.state + 12345) % 2**31
        return (self.state >> 8) % n


def show(name, *values):
    print(f"{name:46}", *(f"{float(v):.8f}" for v in np.ravel(np.array(values, dtype=float))))


def skewed(seed, n):
    r = Numbers(seed)
    return np.array([-math.log((r.below(1000) + 1) / 1001) for _ in range(n)])


def bca(x, statistic, seed, confidence, resamples=2000):
    r = Numbers(seed)
    draws = np.array([statistic(x[[r.below(len(x)) for _ in x]]) for _ in range(resamples)])
    given = stats._resampling.BootstrapResult(None, draws, None)
    out = stats.bootstrap((x,), statistic, vectorized=False, n_resamples=0, bootstrap_result=given,
                          confidence_level=confidence, method="BCa")
    return out.confidence_interval.low, out.confidence_interval.high, out.standard_error


def clustered(values, groups, confidence=0.95):
    fit = sm.OLS(values, np.ones(len(values))).fit(cov_type="cluster", cov_kwds={"groups": groups}, use_t=True)
    return fit.params[0], *fit.conf_int(1 - confidence)[0], fit.bse[0]


def effective_wilson(values, groups, confidence=0.95):
    p, _, _, se = clustered(values, groups)
    z = stats.norm.ppf(1 - (1 - confidence) / 2)
    t = stats.t.ppf(1 - (1 - confidence) / 2, len(set(groups)) - 1)
    n = min(p * (1 - p) / se**2 * (z / t) ** 2, len(values))
    return p, *proportion_confint(p * n, n, 1 - confidence, "wilson")


def tango(b, c, n, confidence=0.95):
    """By its definition: the constrained likelihood maximised numerically."""
    z2 = stats.chi2.ppf(confidence, 1)

    def score2(d):
        def loss(q):  # q: the share only the second hits; q + d: only the first
            terms = [(b, q + d), (c, q), (n - b - c, 1 - 2 * q - d)]
            return -sum(k * math.log(max(p, 1e-300)) for k, p in terms if k > 0)
        low, high = max(0, -d), (1 - d) / 2
        q = optimize.minimize_scalar(loss, bounds=(low, high), method="bounded", options={"xatol": 1e-13}).x
        q = min([q, low, high], key=loss)
        return (b - c - n * d) ** 2 / (n * (2 * q + d - d * d)) - z2

    est, eps = (b - c) / n, 1e-9
    return est, optimize.brentq(score2, -1 + 1e-6, est - eps), optimize.brentq(score2, est + eps, 1 - 1e-6)


def detectable_share(discordant, n, confidence=0.95, power=0.8):
    def rejects(k, m):
        return stats.binomtest(k, m, 0.5).pvalue <= 1 - confidence
    most = {m: max((k for k in range(m // 2 + 1) if rejects(k, m)), default=-1) for m in range(1, min(n, 200) + 1)}

    def found(d):
        psi = max(d, discordant)
        return sum(stats.binom.pmf(m, n, psi) * stats.binom.cdf(k, m, (psi - d) / (2 * psi))
                   for m, k in most.items() if k >= 0)
    return optimize.brentq(lambda d: found(d) - power, 1e-9, 0.4, xtol=1e-9)


def flip(d):
    d = np.array(d, float)
    return stats.permutation_test((d, np.zeros(len(d))), lambda a, b: (a - b).sum(), permutation_type="samples",
                                  n_resamples=np.inf, vectorized=False).pvalue


def pair(seed, n, k, same):
    r, a, b = Numbers(seed), [], []
    for _ in range(n):
        x = r.below(k)
        a.append(x)
        b.append(x if r.below(100) < same else r.below(k))
    return np.array(a), np.array(b)


def votes(name):
    with open(here / name) as f:
        return pd.DataFrame(list(csv.DictReader(f))).rename(columns={"item": "task", "annotator": "worker"})


def dawid_skene(data):
    """The formulas of the paper, over arrays; what was never seen is not impossible, but 1e-10."""
    codes = [data[c].astype("category").cat.codes.to_numpy() for c in ["task", "worker", "label"]]
    counts = np.zeros([c.max() + 1 for c in codes])
    np.add.at(counts, tuple(codes), 1)
    truth = counts.sum(axis=1) / counts.sum(axis=(1, 2))[:, None]
    for _ in range(ITERATIONS):
        priors = truth.mean(axis=0)
        errors = np.einsum("ik,ial->akl", truth, counts).clip(1e-10)
        errors /= errors.sum(axis=2, keepdims=True)
        joint = np.log(priors.clip(1e-10)) + np.einsum("ial,akl->ik", counts, np.log(errors))
        truth = special.softmax(joint, axis=1)
    return priors, errors, truth, special.logsumexp(joint, axis=1).sum()


def dawid_skene_and_crowd_kit(name):
    data = votes(name)
    priors, errors, truth, likelihood = dawid_skene(data)
    show(name + " priors", priors)
    show(name + " confidence, mean and least", truth.max(axis=1).mean(), truth.max(axis=1).min())
    show(name + " errors of the first", errors[0])
    show(name + " log likelihood", likelihood)
    gold = here / name.replace(".csv", "-gold.csv")
    if gold.exists():
        with open(gold) as f:
            right = {row["item"]: row["gold"] for row in csv.DictReader(f)}
        labels, tasks = sorted(data.label.unique()), sorted(data.task.unique())
        show(name + " right", sum(right[t] == labels[k] for t, k in zip(tasks, truth.argmax(axis=1))))
    # Its own stopping rule counts the priors once a vote and stops too early. Of a label that an annotator never saw
    # it takes the labels that they gave for alike, and not all, so that site-rating.csv comes to another optimum.
    m = DawidSkene(n_iter=ITERATIONS, tol=-math.inf).fit(data)
    show(name + " priors of crowd-kit", m.priors_.sort_index())
    show(name + " errors of the first, crowd-kit", m.errors_.loc[sorted(data.worker.unique())[0]].sort_index().T.sort_index())


def mace(name):
    data = votes(name)
    # Names in the order in which they come: crowd-kit takes that order for the alphabetical one.
    coded, names = data.copy(), {}
    for column in data.columns:
        codes, names[column] = pd.factorize(data[column])
        coded[column] = [f"{code:06}" for code in codes]
    p = MACE(n_restarts=1, n_iter=200).fit_predict_proba(coded)
    p.index, p.columns = [names["task"][int(t)] for t in p.index], [names["label"][int(k)] for k in p.columns]
    p = p.sort_index().sort_index(axis=1)
    show(name + " MACE, confidence, mean and least", p.max(axis=1).mean(), p.max(axis=1).min())
    show(name + " MACE, the first items", p.iloc[:3])


x, groups = skewed(1, 40), [i * i % 11 for i in range(40)]
show("mean bca 95", x.mean(), *bca(x, np.mean, 2, 0.95))
show("mean bca 90", x.mean(), *bca(x, np.mean, 2, 0.90))
show("variance bca 95", x.var(), *bca(x, np.var, 3, 0.95))
wide = 2 * stats.norm.cdf(math.sqrt(40 / 39) * stats.t.ppf(0.975, 39)) - 1
show("mean bca 95, widened", x.mean(), *bca(x, np.mean, 2, wide))
show("variance bca 95, widened", x.var(), *bca(x, np.var, 3, wide))
show("student", x.mean(), *stats.t.interval(0.95, 39, x.mean(), stats.sem(x)), stats.sem(x))
show("student, clusters", *clustered(x, groups))
show("student 99, clusters", *clustered(x, groups, 0.99))
hits = np.array([Numbers(7 + i // 5).below(10) < 6 or i % 5 == 0 for i in range(60)], float)
show("wilson, clusters", *effective_wilson(hits, [i // 5 for i in range(60)]))

for b, c in [(86, 150), (10, 5), (9, 1), (7, 0), (3, 3)]:
    show(f"mcnemar {b} {c}", mcnemar([[0, b], [c, 0]], exact=True).pvalue)
for b, c, n in [(150, 86, 1600), (1, 7, 21), (0, 0, 20), (5, 0, 20), (0, 1, 44), (0, 30, 30)]:
    if abs(b - c) != n:
        show(f"tango {b} {c} {n}", *tango(b, c, n))
show("tango 3 8 50, 99", *tango(3, 8, 50, 0.99))

d = skewed(4, 14) - 0.6
show("sign flip", flip(d))
dc = skewed(5, 40) - 0.75
show("sign flip, clusters", flip([dc[np.array(groups) == g].sum() for g in sorted(set(groups))]))
show("holm", multipletests([0.01, 0.04, 0.03, 0.005, 0.2, 0.03], method="holm")[1])
# statsmodels' own solver stops at an error of 2e-5.
for n, alpha, power in [(5, 0.05, 0.8), (10, 0.05, 0.8), (50, 0.05, 0.8), (1000, 0.05, 0.8), (20, 0.01, 0.9)]:
    effect = optimize.brentq(lambda e, n=n, alpha=alpha, power=power: TTestPower().power(e, n, alpha) - power,
                             1 / math.sqrt(n), 5 / math.sqrt(n), xtol=1e-12)
    show(f"detectable {n}", effect)
for p, n in [(0, 20), (0.1, 100), (0.3, 200), (0.02, 400)]:
    show(f"detectable share {p} {n}", detectable_share(p, n))

a, b = pair(6, 80, 4, 55)
for w in [None, "linear", "quadratic"]:
    show(f"cohen {w}", cohen_kappa_score(a, b, weights=w))
table = np.array([[0, 4, 1], [0, 8, 0], [0, 1, 5]])
show("cohen of statsmodels' table", cohens_kappa(table).kappa, cohens_kappa(table, weights=[0, 1, 2]).kappa)
wikipedia = [[0, 0, 0, 0, 14], [0, 2, 6, 4, 2], [0, 0, 3, 5, 6], [0, 3, 9, 2, 0], [2, 2, 8, 1, 1],
             [7, 7, 0, 0, 0], [3, 2, 6, 3, 0], [2, 5, 3, 2, 2], [6, 5, 2, 1, 0], [0, 2, 2, 3, 7]]
show("fleiss", fleiss_kappa(wikipedia))

N = np.nan
four = [[1, 2, 3, 3, 2, 1, 4, 1, 2, N, N, N], [1, 2, 3, 3, 2, 2, 4, 1, 2, 5, N, 3],
        [N, 3, 3, 3, 2, 3, 4, 2, 2, 5, 1, N], [1, 2, 3, 3, 2, 4, 4, 1, 2, 5, 1, N]]
small = votes("krippendorff-3x15.csv").astype(int).pivot(index="worker", columns="task", values="label").to_numpy(float)
r = Numbers(8)
many = np.array([[v if (v := r.below(8)) < 7 else N for _ in range(30)] for _ in range(5)]) ** 1.5
for name, data in [("four", four), ("small", small), ("many", many)]:
    for level in ["nominal", "ordinal", "interval"]:
        show(f"alpha {name} {level}", krippendorff.alpha(reliability_data=data, level_of_measurement=level))

# Ten rows, all 2^10 exchanges of two subjects' labels: the difference of macro F1.
target, first = pair(9, 10, 3, 75)
second = pair(10, 10, 3, 40)[1]
def f1(x): return f1_score(target, x, average="macro", zero_division=0, labels=[0, 1, 2])
seen = f1(first) - f1(second)
def swapped(s): return f1(np.where(s, second, first)) - f1(np.where(s, first, second))
every = [swapped(np.array(s)) for s in itertools.product([False, True], repeat=10)]
show("macro F1 exchanges", seen, np.mean(np.abs(every) >= abs(seen) - 1e-12))

for name in ["dawid-skene-1979.csv", "binary5.csv", "site-rating.csv"]:
    dawid_skene_and_crowd_kit(name)
    mace(name)
