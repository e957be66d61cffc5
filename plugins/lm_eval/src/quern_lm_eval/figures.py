"""The figures that the harness reports, and differences from a baseline."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from quern import stats
from quern.stats import Difference, Figure

if TYPE_CHECKING:
    from . import Score
    from .results import Results


def metrics(results: Results, scores: Sequence[Score], confidence: float) -> dict[str, dict[str, Figure]]:
    """The figures that the harness reports, by task or group, and by metric and filter.

    A figure that is the mean of its documents' scores has their interval. Another, such as BLEU or the figure of a
    group, has the one that follows from the harness's own standard error.
    """
    columns: dict[tuple[str, str], list[float]] = {}
    for s in scores:
        columns.setdefault((s.task, f"{s.metric},{s.filter}"), []).append(s.score)
    out: dict[str, dict[str, Figure]] = {}
    for task, reported, n in reports(results):
        of = out.setdefault(task, {})
        for name, value in reported.items():
            if "," not in name or "_stderr," in name or not isinstance(value, (int, float)):
                continue
            own = stats.figure(columns.get((task, name), []), confidence)
            if own.value is not None and abs(own.value - value) < 1e-9:
                of[name] = own
                continue
            metric, filter = name.split(",", 1)
            of[name] = normal(value, reported.get(f"{metric}_stderr,{filter}"), n, confidence)
    return out


def reports(results: Results) -> Iterator[tuple[str, Mapping[str, Any], int]]:
    """What the harness reports of each task and group, and of how many documents."""
    for part in ("results", "groups"):
        for task, reported in results.whole.get(part, {}).items():
            n = reported.get("sample_len") or results.whole.get("n-samples", {}).get(task, {}).get("effective", 0)
            yield task, reported, int(n)


def normal(value: float, stderr: Any, n: int, confidence: float) -> Figure:
    """A figure with the interval of a normal distribution, if there is a standard error."""
    from scipy.stats import norm

    if not isinstance(stderr, (int, float)) or not stderr > 0:
        return Figure(stats.known(value), None, None, n)
    z = float(norm.ppf((1 + confidence) / 2))
    return Figure(stats.known(value), stats.known(value - z * stderr), stats.known(value + z * stderr), n)


def differences(scores: Sequence[Score], baseline: Sequence[Mapping[str, Any]], confidence: float) -> dict[str, dict[str, Difference]]:
    """The differences from the baseline, by task, and by metric and filter."""
    ours: dict[tuple[str, str], dict[int, Score]] = {}
    for s in scores:
        ours.setdefault((s.task, f"{s.metric},{s.filter}"), {})[s.document] = s
    theirs: dict[tuple[str, str], dict[int, Mapping[str, Any]]] = {}
    for row in baseline:
        theirs.setdefault((row["task"], f"{row['metric']},{row['filter']}"), {})[row["document"]] = row
    out: dict[str, dict[str, Difference]] = {}
    for (task, name), mine in ours.items():
        out.setdefault(task, {})[name] = difference(mine, theirs.get((task, name), {}), confidence)
    return out


def difference(ours: Mapping[int, Score], theirs: Mapping[int, Mapping[str, Any]], confidence: float) -> Difference:
    both = sorted(set(ours) & set(theirs))
    if reason := incomparable(ours, theirs, both):
        return Difference(None, None, None, None, len(both), False, reason)
    return stats.difference([ours[d].score for d in both], [float(theirs[d]["score"]) for d in both], confidence)


def incomparable(ours: Mapping[int, Score], theirs: Mapping[int, Mapping[str, Any]], both: Sequence[int]) -> str:
    """Why two results cannot be compared, or "" if they can."""
    if not theirs:
        return "the baseline does not have this metric"
    if not both:
        return "no document is in both results"
    if any(ours[d].settings != theirs[d]["settings"] for d in both):
        return "the version of the task or of the harness, the number of few-shot examples, the generation settings, the metrics, or the system message differ"
    if any(ours[d].content_hash != theirs[d]["content_hash"] for d in both):
        return "the documents of the task differ"
    if any(ours[d].request_hash != theirs[d]["request_hash"] for d in both):
        return "the requests differ, for example by their few-shot examples"
    return ""
