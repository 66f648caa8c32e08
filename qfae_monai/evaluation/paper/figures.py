"""Questions on figures, intervals, rivals, groups and failures."""

from __future__ import annotations

from collections.abc import Sequence

from qfae_monai.evaluation.detection import RULES
from qfae_monai.evaluation.groups import FEW
from qfae_monai.evaluation.levels import FEATURES, MAPS, measure_name
from qfae_monai.evaluation.paper.line import Facts, Line, left_to_author, line
from qfae_monai.evaluation.paper.methods import INTERVALS_BY
from qfae_monai.evaluation.rendering import interval, number, percent
from qfae_monai.reading.left_aside import counted

EVALUATION, PERFORMANCE, OTHER = (
    f"CLAIM 2024, {part}" for part in ("Methods: Evaluation", "Results: Model Performance", "Other Information")
)
SELECTION, APPLICATION = ("Metrics Reloaded, metric selection", "Metrics Reloaded, metric application")


def figure_lines(facts: Facts) -> Sequence[Line]:
    """Lines in the order of the guideline."""
    return [
        _measures(facts),
        _unit(facts),
        _smaller_class(facts),
        _without_interval(facts),
        _lesions(facts),
        _chosen(facts),
        _rivals(facts),
        _groups(facts),
        _failures(facts),
        left_to_author(
            "Was it tested on data from elsewhere?",
            EVALUATION,
            "State whether site, device and time of the test set are others than those of the training.",
        ),
        left_to_author(
            "What is available, and who paid?",
            OTHER,
            f"QFAE for MONAI {facts.run['versions'].get('qfae-monai', '')} is under Apache-2.0; state where data, code "
            "and weights are, the weights' licence, and the funding.",
        ),
    ]


def _measures(facts: Facts) -> Line:
    metrics = facts.summary["metrics"]
    parts = [
        f"{number(values['auroc']['value'])} ({interval(values['auroc'])}) of {level}s"
        for level, values in metrics.items()
    ]
    named = "; ".join(dict.fromkeys(measure_name(name) for values in metrics.values() for name in values))
    undefined = [level for level, values in metrics.items() if values["auroc"]["value"] is None]
    return line(
        "Which measures, at which level?",
        SELECTION,
        f"{named}. {measure_name('auroc')}: {'; '.join(parts)}.",
        concern=undefined,
    )


def _unit(facts: Facts) -> Line:
    intervals = facts.summary["intervals"]
    return line(
        "What are the intervals, and over which unit?",
        APPLICATION,
        f"{100 * intervals['level']:.0f} %, over {intervals['unit']}s, who keep all of their slices. {INTERVALS_BY}",
    )


def _smaller_class(facts: Facts) -> Line:
    counts = {level: values["auroc"]["smaller_class"] for level, values in facts.summary["metrics"].items()}
    listed = ", ".join(f"{count} ({level}s)" for level, count in counts.items())
    few = [level for level, count in counts.items() if count < FEW]
    hint = f" Below {FEW}, a figure is a hint and no verdict." if few else ""
    return line("How many patients has the smaller class?", APPLICATION, f"{listed}.{hint}", concern=few)


def _without_interval(facts: Facts) -> Line:
    reasons = {
        f"{level} {measure_name(name)}": value["reason"]
        for level, values in facts.summary["metrics"].items()
        for name, value in values.items()
        if value["reason"]
    }
    listed = "; ".join(f"{name}: {reason}" for name, reason in reasons.items())
    return line("Which results have no interval, and why?", APPLICATION, f"{listed or 'None'}.", concern=reasons)


def _lesions(facts: Facts) -> Line:
    question = "When is a lesion found?"
    rules = (facts.threshold.get("pixel") or {}).get("detection", {})
    if not rules:
        why = "no lesion has a mask" if not facts.counts["lesions"] else "there is no pixel threshold"
        return line(question, SELECTION, f"Not judged: {why}.", concern=facts.counts["lesions"])
    shares = "; ".join(f"{RULES[rule]}: {percent(row['sensitivity']['value'])}" for rule, row in rules.items())
    return line(
        question,
        SELECTION,
        f"By {counted(len(rules), 'rule')}, at a threshold set beforehand: {shares}. The first is the most lenient.",
        concern=len(rules) < len(RULES),
    )


def _chosen(facts: Facts) -> Line:
    chosen = facts.summary["chosen_on_test_set"]
    beside = "each beside that at the calibrated threshold" if facts.threshold else "with no calibrated one beside them"
    return line(
        "Are figures chosen on the test set marked?",
        APPLICATION,
        f"{counted(len(chosen), 'best figure')} over all thresholds, marked so, {beside}."
        if chosen
        else "There are none.",
        concern=chosen and not facts.threshold,
    )


def _rivals(facts: Facts) -> Line:
    """Simple features and maps that the model was held against."""
    shortcuts = facts.summary["shortcuts"]
    maps = [name for name, values in facts.summary["maps"].items() if values["average_precision"] is not None]
    question = "What would a simple rule reach on the same test set?"
    if not shortcuts and not maps:
        return line(question, EVALUATION, "Not known: nothing could be compared.", concern=True)
    named = [f"{FEATURES.get(row['feature'], row['feature'])} ({row['level']}s)" for row in shortcuts if row["rivals"]]
    named += [f"map: {MAPS.get(name, name)}" for name in facts.summary["maps_rivals"]]
    absent = [MAPS[name] for name in ("mean_distance", "neighbours") if name not in maps]
    lacking = f" Not compared: {', '.join(absent)}." if absent else ""
    return line(
        question,
        EVALUATION,
        f"{counted(len(shortcuts), 'comparison')} with simple features, {counted(len(maps), 'map')}; as good as the "
        f"model: {', '.join(named) or 'none'}.{lacking}",
        concern=named or absent,
    )


def _groups(facts: Facts) -> Line:
    question, classes, strata = "Are results given by subgroup?", facts.summary["classes"], facts.summary["strata"]
    if not classes and not strata:
        return left_to_author(
            question, PERFORMANCE, "None was asked for; state why, or name classes and columns (`--by`)."
        )
    groups = [*classes, *(group for found in strata.values() for group in found["groups"])]
    few = sum(group["smaller_class"] < FEW for group in groups)
    tests = sum(len(found["differences"]) for found in strata.values())
    parts = [f"{len(classes)} classes"] if classes else []
    parts += [f"{len(found['groups'])} groups by {column}" for column, found in strata.items()]
    return line(
        question,
        PERFORMANCE,
        f"{', '.join(parts)}; {few} of {counted(len(groups), 'group')} below {FEW} patients in the smaller class; "
        f"{counted(tests, 'difference')} tested, p after Holm's correction within each column.",
        concern=few,
    )


def _failures(facts: Facts) -> Line:
    """What is missed at the threshold, and whether it can be looked at."""
    missed = [
        f"{percent(1 - row['sensitivity'])} of abnormal {level}s are missed at the threshold"
        for level, row in facts.rates.items()
        if row["sensitivity"] is not None
    ]
    shown = (
        "The report shows the lowest-scored abnormal and the highest-scored normal slices"
        if facts.pictures
        else "No pictures were saved"
    )
    answer = "; ".join([shown, *missed])
    return line("Are failures shown?", PERFORMANCE, f"{answer}.", concern=not facts.pictures)
