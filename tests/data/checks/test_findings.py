from __future__ import annotations

from rfga.data.checks.findings import KINDS, Finding, Kind, by_kind, by_severity


def test_kinds_come_worst_first() -> None:
    order = ["error", "warning", "note"]
    severities = [order.index(kind.severity) for kind in KINDS.values()]
    assert severities == sorted(severities)
    assert len({kind.title for kind in KINDS.values()}) == len(KINDS)


def test_findings_are_sorted_out_and_counted() -> None:
    findings = [
        Finding(kind, f"{number}.jpg", "") for number, kind in enumerate(("cmyk", "tiny", "empty", "tiny"))
    ]
    found = by_kind(findings)
    assert [(kind, [one.file for one in some]) for kind, some in found.items()] == [
        ("empty", ["2.jpg"]),
        ("tiny", ["1.jpg", "3.jpg"]),
        ("cmyk", ["0.jpg"]),
    ]
    assert by_severity(findings) == {"error": 1, "warning": 2, "note": 1}


def test_json_names_others_only_where_there_are_some() -> None:
    alone = Finding("empty", "a.jpg", "expected more")
    assert alone.as_json() == {
        "kind": "empty",
        "severity": "error",
        "file": "a.jpg",
        "sentence": "expected more",
    }
    assert Finding("duplicate", "a.jpg", "", others=("b.jpg",)).as_json()["others"] == ["b.jpg"]
    assert KINDS["duplicate"] == Kind("warning", "same photograph twice")
