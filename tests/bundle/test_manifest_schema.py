# SPDX-License-Identifier: Apache-2.0
"""The strict reader and schemas/manifest.schema.json give the same verdicts."""

from __future__ import annotations

import copy
import json
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jsonschema
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from vnetkb.bundle.manifest import Contradiction, ManifestFault, parse_manifest

if TYPE_CHECKING:
    from collections.abc import Iterator

    from bundle.maker import Maker

SCHEMA = json.loads((Path(__file__).resolve().parents[2] / "schemas" / "manifest.schema.json").read_text())
VALIDATOR = jsonschema.Draft202012Validator(SCHEMA)


def reader_accepts(document: object) -> bool:
    try:
        parse_manifest(json.dumps(document).encode())
    except Contradiction:
        # no schema can say that a capture is named once
        return True
    except ManifestFault:
        return False
    return True


def places(document: object, path: tuple[str | int, ...] = ()) -> Iterator[tuple[str | int, ...]]:
    yield path
    items: Any = ()
    if isinstance(document, dict):
        items = document.items()
    elif isinstance(document, list):
        items = enumerate(document)
    for key, value in items:
        yield from places(value, (*path, key))


def test_the_schema_itself_is_sound() -> None:
    jsonschema.Draft202012Validator.check_schema(SCHEMA)


def test_both_accept_a_whole_manifest(make: Maker) -> None:
    assert VALIDATOR.is_valid(make.manifest())
    assert reader_accepts(make.manifest())


def test_both_want_the_same_keys(make: Maker) -> None:
    manifest = make.manifest() | {"trace": {"clock": "boot", "lost_events": 0}}
    for path in places(manifest):
        if not path or not isinstance(path[-1], str):
            continue
        changed = copy.deepcopy(manifest)
        parent: Any = changed
        for key in path[:-1]:
            parent = parent[key]
        del parent[path[-1]]
        assert reader_accepts(changed) == VALIDATOR.is_valid(changed), path


values = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(10**20), 10**20)
    | st.floats(allow_nan=False, allow_infinity=False)
    # jsonschema lets a pattern end before a last line feed, which JSON Schema does not
    | st.text(max_size=8).filter(lambda text: not text.endswith("\n"))
    | st.sampled_from(["", "1.0", "1.5", "2.0", "sysfs-net", "host", "guest:a", "f" * 64, 1.0, 0, -1, 0.5]),
    lambda inner: (
        st.lists(inner, max_size=2) | st.dictionaries(st.sampled_from(["n", "reason", "detail"]), inner)
    ),
    max_leaves=4,
)


@given(data=st.data())
@settings(deadline=None, max_examples=400, suppress_health_check=[HealthCheck.function_scoped_fixture])
def test_both_judge_any_change_alike(make: Maker, data: st.DataObject) -> None:
    manifest = make.manifest() | {"trace": {"clock": "boot", "start_monotonic_s": 1.5, "lost_events": 0}}
    for _ in range(data.draw(st.integers(1, 2))):
        path = data.draw(st.sampled_from([path for path in places(manifest) if path]))
        parent: Any = manifest
        for key in path[:-1]:
            parent = parent[key]
        if data.draw(st.booleans()):
            parent[path[-1]] = data.draw(values)
        else:
            del parent[path[-1]]
    assert reader_accepts(manifest) == VALIDATOR.is_valid(manifest), list(VALIDATOR.iter_errors(manifest))


@pytest.mark.parametrize("document", [None, [], "x", 1])
def test_both_refuse_what_is_no_object(document: object) -> None:
    assert not reader_accepts(document)
    assert not VALIDATOR.is_valid(document)
