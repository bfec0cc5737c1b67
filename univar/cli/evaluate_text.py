"""The report of `univar evaluate` as tables for a person; every figure comes from the report."""

from __future__ import annotations

from typing import Any

from univar.cli.output import table

NOTES = (
    "95 % intervals are over questions. Chance is 1/labels; shuffled: 95th percentile of k-NN with shuffled\n"
    "train labels; in-question: labels shuffled among the answers to each question. TF-IDF is a linear\n"
    "classifier on the words of the answers alone; @5 and F1 (macro) are those of the better one."
)
TFIDF = "TF-IDF"
SETTINGS = {"unseen_question": "questions new", "seen": "questions seen", "unseen_model": "models new"}


def evaluation_text(report: dict[str, Any]) -> str:
    """All tables of a report, what was left out, and what the columns mean."""
    blocks = [_main(report), _controls(report), _left_out(report), NOTES]
    blocks += [_against(report, name) for name in (*report["against"], TFIDF)]
    blocks += [_bags(report), _settings(report), _unseen_model_bags(report), _gap(report)]
    blocks += [_content(report), _culture(report), _style(report), _translationese(report)]
    return "\n\n".join(block for block in blocks if block)


def comparison_text(found: dict[str, Any], path: str) -> str:
    """What `compare` found, as a table."""
    rows = [
        [target, classifier, f"{facts['questions']:,}", f"{facts['old']:.3f}", f"{facts['new']:.3f}",
         *_difference(facts["difference"]), "worse" if facts["worse"] else ""]
        for target, classifiers in found.items()
        for classifier, facts in classifiers.items()
    ]  # fmt: skip
    headers = ["target", "", "questions", "then", "now", "difference [95 %]", "p", ""]
    return table(headers, rows, f"compared with {path}")


def _main(report: dict[str, Any]) -> str:
    k = str(report["settings"]["headline_k"])
    rows = [[name, target, *_cells(facts, k)] for name, target, facts in _lines(report)]
    headers = ["group", "target", "labels", "rows", "kNN@1 [95 %]", "probe@1 [95 %]", "TF-IDF@1 [95 %]"]
    headers += ["@5", "F1", "chance", "shuffled"]
    return table(headers, rows, f"{report['encoder']['id']}, k = {k}")


def _cells(facts: dict[str, Any], k: str) -> list[str]:
    knn, probe = facts["knn"][k], facts.get("probe")
    better = max((knn, probe or knn), key=lambda scores: scores["accuracy"]["1"]["value"])
    cells = [
        f"{facts['labels']:,}" if "labels" in facts else "",
        f"{facts['rows']:,}",
        _at_1(knn),
        _at_1(probe),
        _at_1(facts.get("tfidf")),
        f"{better['accuracy']['5']['value']:.3f}",
        f"{better['macro_f1']['value']:.3f}",
        f"{facts['chance']:.3f}",
        f"{facts['permutation']['p95']:.3f}" if "permutation" in facts else "",
    ]
    return cells


def _controls(report: dict[str, Any]) -> str:
    rows = []
    for name, target, facts in _lines(report):
        if "length" in facts:
            alone = [_at_1(facts[kind]) for kind in ("length", "refusal", "language")]
            shuffled = [facts.get(f"within_question_{kind}") for kind in _KINDS]
            means = [f"{level['mean']:.3f}" if level else "" for level in shuffled]
            rows.append([name, target, f"{facts['chance']:.3f}", f"{facts['majority']:.3f}", *alone, *means])
    headers = ["group", "target", "chance", "majority", "length alone", "refusal alone", "language alone"]
    headers += ["kNN in-question", "probe in-question"]
    return table(headers, rows, "controls: what must not explain the accuracy") if rows else ""


def _lines(report: dict[str, Any]) -> list[tuple[str, str, dict[str, Any]]]:
    """(group, target, figures) of everything evaluated, and of all groups together if there are several."""
    lines: list[tuple[str, str, dict[str, Any]]] = []
    for group in report["groups"]:
        alike: dict[Any, tuple[str, str, dict[str, Any]]] = {}
        for target, facts in group["targets"].items():
            if "skipped" in facts:
                continue
            sizes = sorted((line["train_rows"], line["eval_rows"]) for line in facts["per_label"])
            key = facts["rows"], str(sizes)  # source and model are the same where there is one language
            names = f"{alike[key][1]}, {target}" if key in alike else target
            alike[key] = (_name(group), names, facts)
        lines += alike.values()
    if len(report["groups"]) > 1:
        lines += [("together", target, facts) for target, facts in report["overall"].items()]
    return lines


def _left_out(report: dict[str, Any]) -> str:
    notes = []
    for group in report["groups"]:
        for target, facts in group["targets"].items():
            if "skipped" in facts:
                notes.append(f"{_name(group)}, {target}: not evaluated, {facts['skipped']}")
            elif facts["unseen_label_rows"]:
                unseen = f"{facts['unseen_label_rows']:,} rows left out, their label has no train row"
                notes.append(f"{_name(group)}, {target}: {unseen}")
    counts = report["counts"]
    if "leaked_rows" in counts:
        notes.append(
            f"{counts['leaked_rows']:,} of {counts['eval_rows']:,} rows dropped: their question is in train "
            f"({counts['leaked_questions']:,} questions)"
        )
    if counts.get("rows_without_train_group"):
        notes.append(f"{counts['rows_without_train_group']:,} rows are in groups without train rows")
    return "\n".join(notes)


def _against(report: dict[str, Any], name: str) -> str:
    """The encoder beside another one, or beside TF-IDF."""
    k, own = str(report["settings"]["headline_k"]), report["encoder"]["id"]
    rows = []
    for group, target, facts in _lines(report):
        other = facts.get("tfidf", {}) if name == TFIDF else facts["against"][name]
        for kind, difference in other.get("difference", {}).items():
            ours = facts[kind][k] if kind == "knn" else facts[kind]
            theirs = other if name == TFIDF else other[kind][k] if kind == "knn" else other[kind]
            cells = [_at_1(ours), _at_1(theirs), *_difference(difference), _interval(other["times"][kind])]
            rows.append([group, target, kind, *cells])
    headers = ["group", "target", "", f"{own} @1", f"{name} @1", "difference [95 %]", "p", "times [95 %]"]
    return table(headers, rows, f"{own} against {name}, on the same rows") if rows else ""


def _bags(report: dict[str, Any]) -> str:
    target = report["settings"]["targets"][0]
    names = list(report["against"])
    rows = []
    for group in report["groups"]:
        for size, facts in group["targets"][target].get("bags", {}).items():
            others = [facts.get("against", {}).get(name, {}).get(kind) for name in names for kind in _KINDS]
            cells = [_interval(facts.get(kind)) for kind in (*_KINDS, "tfidf")]
            rows.append([_name(group), size, f"{facts['bags']:,}", *cells, *map(_interval, others)])
    headers = ["group", "answers", "bags", "kNN", "probe", "TF-IDF"]
    headers += [f"{kind} of {name}" for name in names for kind in ("kNN", "probe")]
    return table(headers, rows, f"{target} of several answers at once") if rows else ""


_KINDS = ("knn", "probe")


def _settings(report: dict[str, Any]) -> str:
    if "other_settings" not in report:
        return ""
    k, names = str(report["settings"]["headline_k"]), list(report["against"])
    parts = {"unseen_question": report, **report["other_settings"]}
    rows = []
    for setting, part in parts.items():
        for target, facts in part["overall"].items():
            others = [facts["against"][name] for name in names]
            cells = [_at_1(figures) for other in others for figures in (other["knn"][k], other.get("probe"))]
            scores = [_at_1(facts["knn"][k]), _at_1(facts.get("probe"))]
            chance = f"{facts['chance']:.3f}"
            rows.append([SETTINGS[setting], target, f"{facts['rows']:,}", chance, *scores, *cells])
    headers = ["setting", "target", "rows", "chance", "kNN@1 [95 %]", "probe@1 [95 %]"]
    headers += [f"{kind} of {name}" for name in names for kind in ("kNN", "probe")]
    return table(headers, rows, "seen and unseen")


def _unseen_model_bags(report: dict[str, Any]) -> str:
    names = list(report["against"])
    rows = []
    for size, all_groups in report.get("unseen_model_bags", {}).items():
        for group, facts in {**all_groups["groups"], "together": all_groups}.items():
            others = [facts["against"][name] for name in names]
            cells = [_interval(other[kind]) for other in others for kind in ("same_model", "ratio")]
            figures = [f"{facts['models']:,}", f"{facts['bags']:g}", f"{facts['chance']:.3f}"]
            rows.append([group, size, *figures, _interval(facts["same_model"]), *cells])
    headers = ["group", "answers", "models", "bags", "chance", "same model [95 %]"]
    headers += [text for name in names for text in (f"{name} [95 %]", f"times {name} [95 %]")]
    return table(headers, rows, "new models: nearest other bag is of the same model") if rows else ""


def _gap(report: dict[str, Any]) -> str:
    rows = [
        [target, name, classifier, _interval(facts["value"]), _interval(facts["non_value"]),
         _interval(facts["ratio"]), "yes" if facts["holds"] else "no"]
        for target, encoders in report.get("non_value", {}).items()
        for name, classifiers in encoders.items()
        for classifier, facts in classifiers.items()
    ]  # fmt: skip
    headers = [
        "target",
        "against",
        "",
        "value gain [95 %]",
        "non-value gain [95 %]",
        "ratio [95 %]",
        "<= 0.5",
    ]
    control = ", ".join(report["settings"]["non_value"])
    return (
        table(headers, rows, f"control: gain on corpora that are not about values ({control})")
        if rows
        else ""
    )


def _content(report: dict[str, Any]) -> str:
    if "fulcra" not in report:
        return ""
    found = report["fulcra"]
    rows = [
        [
            name,
            _interval(facts["macro_auc"]),
            *(_difference(facts["difference"]) if "difference" in facts else ""),
        ]
        for name, facts in found["representations"].items()
    ]
    title = f"Schwartz values in {found['rows']:,} labelled answers, {len(found['labels'])} labels"
    return table(["", "macro AUC [95 %]", "minus [95 %]", "p"], rows, title)


def _culture(report: dict[str, Any]) -> str:
    rows = [
        [name, culture, f"{len(facts['languages'])}", f"{facts['r']:.3f}", f"{facts['p']:.3f}"]
        for name, cultures in report.get("culture", {}).items()
        for culture, facts in cultures.items()
    ]
    title = "agreement of languages with human cultures (Mantel)"
    return table(["", "table", "languages", "r", "p"], rows, title) if rows else ""


def _style(report: dict[str, Any]) -> str:
    rows = [
        [group, name, f"{facts['rows']:,}", *(_at_1(facts[kind]) for kind in ("knn", "knn_stripped")),
         *(_at_1(facts[kind]) for kind in ("probe", "probe_stripped"))]
        for group, encoders in report.get("style_stripped", {}).items()
        for name, facts in encoders.items()
    ]  # fmt: skip
    headers = ["group", "encoder", "rows", "kNN@1", "kNN@1 stripped", "probe@1", "probe@1 stripped"]
    return table(headers, rows, "control: sentences shuffled, formatting and names removed") if rows else ""


def _translationese(report: dict[str, Any]) -> str:
    if "translationese" not in report:
        return ""
    found = report["translationese"]
    rows = [
        [name, text, _at_1(scores["knn"]), _at_1(scores["probe"])]
        for name, texts in found["encoders"].items()
        for text, scores in texts.items()
    ]
    title = f"control: source language of translations, {found['labels']} languages"
    return table(["encoder", "text", "kNN@1 [95 %]", "probe@1 [95 %]"], rows, title)


def _name(group: dict[str, Any]) -> str:
    return "all" if group["group"] is None else group["group"]


def _at_1(scores: dict[str, Any] | None) -> str:
    return _interval(scores["accuracy"]["1"]) if scores else ""


def _interval(value: dict[str, float] | None) -> str:
    return f"{value['value']:.3f} [{value['low']:.3f}, {value['high']:.3f}]" if value else ""


def _difference(value: dict[str, float]) -> list[str]:
    return [f"{value['value']:+.3f} [{value['low']:+.3f}, {value['high']:+.3f}]", f"{value['p']:.4f}"]
