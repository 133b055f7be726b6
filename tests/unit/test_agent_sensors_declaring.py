"""What a sensor's declaration says, and which are refused."""

import math
from collections.abc import Callable, Mapping

import pytest

from iotxmpp.about import Channel
from iotxmpp.agent.sensors import Rhythm
from tests.unit.agent_house import fault
from tests.unit.sensor_bench import one_float, sensor


def test_the_type_comes_from_the_annotation() -> None:
    def number() -> float: ...  # type: ignore[empty-body]  # only declared
    def whole() -> int | None: ...
    def truth() -> bool: ...  # type: ignore[empty-body]  # only declared
    async def text() -> str: ...  # type: ignore[empty-body]  # only declared

    kinds = [sensor(each, "c").channels["c"].type for each in (number, whole, truth, text)]
    assert kinds == ["float", "int", "bool", "str"]


def test_several_types_come_from_a_tuple_or_a_dict() -> None:
    def pair() -> tuple[float, bool]: ...  # type: ignore[empty-body]  # only declared
    def mapping() -> Mapping[str, int] | None: ...

    assert [each.type for each in sensor(pair, {"a": "Cel", "b": None}).channels.values()] == [
        "float",
        "bool",
    ]
    assert [each.type for each in sensor(mapping, {"a": None, "b": None}).channels.values()] == ["int", "int"]


def test_a_whole_channel_needs_no_annotation() -> None:
    channel = Channel(type="bool", description="Is it open?")
    assert sensor(dict, {"door": channel}).channels == {"door": channel}


def test_the_description_is_given_or_the_docstring() -> None:
    def air() -> float:
        """Of the air.

        More.
        """
        return 1.0

    assert sensor(air, "a").channels["a"].description == "Of the air."
    assert sensor(air, "a", description="Else").channels["a"].description == "Else"


def _untyped():  # type: ignore[no-untyped-def]  # noqa: ANN202  # a sensor of no type is refused
    return 1.0


def _list() -> list[float]:
    return [1.0]


def _mixed() -> dict[str, float | bool]:
    return {}


def _short() -> tuple[float]:
    return (1.0,)


def _unresolved() -> "Nowhere":  # type: ignore[name-defined]  # noqa: F821  # a type that is nowhere is refused
    return None


@pytest.mark.parametrize(
    ("declare", "text"),
    [
        (lambda: sensor(_untyped, "a"), "sensor a: annotate what the function returns"),
        (lambda: sensor(_list, "a"), "sensor a: annotate"),
        (lambda: sensor(_unresolved, "a"), "cannot be resolved"),
        (lambda: sensor(_mixed, {"a": None}), "sensor a: annotate"),
        (lambda: sensor(_short, {"a": None, "b": None}), "sensor a: annotate"),
        (lambda: sensor(one_float, {}), "at least one channel"),
        (lambda: sensor(one_float, "a b"), "name 'a b'"),
        (lambda: sensor(one_float, "a", unit="C"), "channel a: unit C"),
        (lambda: sensor(one_float, "a", bounds=(5, 5)), "range 5 to 5 is empty"),
        (lambda: sensor(one_float, "a", bounds=(math.nan, 5)), "range"),
        (lambda: sensor(one_float, "a", bounds={"b": (1, 5)}), "'b' is none of the sensor's channels"),
        (lambda: sensor(one_float, {"a": "Cel"}, unit="Cel"), "give each its unit"),
        (lambda: sensor(one_float, {"a": Channel(type="str", range=(0, 1))}), "a str has no range"),
        (lambda: Rhythm(every=0), "every: 0 s"),
        (lambda: Rhythm(every=math.inf), "every"),
        (lambda: Rhythm(every=math.nan), "every"),
        (lambda: Rhythm(on_change=True, delta=-1), "delta"),
        (lambda: Rhythm(delta=1), "only with on_change=True"),
        (lambda: Rhythm(on_change=True, at_least=-1), "at_least"),
    ],
)
def test_a_wrong_declaration_is_refused(declare: Callable[[], object], text: str) -> None:
    assert text in fault(declare)
