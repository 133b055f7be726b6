"""Whatever a model accepts, shown and submitted back unchanged, arrives equal."""

from datetime import UTC, date, datetime, timedelta
from typing import Any, Literal

from hypothesis import given
from hypothesis import strategies as st

from iotxmpp.dataforms import form_element, read_submitted
from iotxmpp.errors import ArgumentsError
from tests.unit.forms import FLOATS, JSON, TEXT, Mode, Point, over_the_wire, spec_of, submitted, unchanged


def everything(  # noqa: PLR0913, PLR0917  # one of each kind
    integer: int,
    number: float,
    truth: bool,
    text: str,
    line: str | None,
    lines: list[str],
    point: Point,
    points: list[Point],
    choice: Literal[1, "1", "on", "", '"'],
    level: Mode | None,
    modes: list[Mode],
    moment: datetime,
    day: date | None,
    span: timedelta,
    either: int | str,
    anything: Any,  # noqa: ANN401  # what is tested
    default_text: str = "abc",
    default_lines: list[str] = ["a"],  # noqa: B006  # only its annotation is used
    maybe_number: float | None = 1.5,
    maybe_truth: bool | None = True,
    maybe_modes: list[Mode] | None = None,
    maybe_lines: list[str] | None = None,
    words: set[str] = set(),  # noqa: B006  # only its annotation is used
    pairs: dict[str, int] = {},  # noqa: B006  # only its annotation is used
) -> None: ...


POINTS = st.builds(Point, x=st.integers(), y=FLOATS)
MODES = st.sampled_from(Mode)

ARGUMENTS = st.fixed_dictionaries(
    {
        "integer": st.integers(),
        "number": FLOATS | st.integers(-(2**70), 2**70).map(float),
        "truth": st.booleans(),
        "text": TEXT,
        "line": st.none() | TEXT,
        "lines": st.lists(TEXT, max_size=4),
        "point": POINTS,
        "points": st.lists(POINTS, max_size=3),
        "choice": st.sampled_from([1, "1", "on", "", '"']),
        "level": st.none() | MODES,
        "modes": st.lists(MODES, max_size=3),
        "moment": st.datetimes(timezones=st.just(UTC)),
        "day": st.none() | st.dates(),
        "span": st.timedeltas(timedelta(days=-1000), timedelta(days=1000)),
        "either": st.integers() | TEXT,
        "anything": JSON,
    },
    optional={
        "default_text": TEXT,
        "default_lines": st.lists(TEXT, max_size=3),
        "maybe_number": st.none() | FLOATS,
        "maybe_truth": st.none() | st.booleans(),
        "maybe_modes": st.none() | st.lists(MODES, max_size=3),
        "maybe_lines": st.none() | st.lists(TEXT, max_size=3),
        "words": st.sets(TEXT, max_size=3),
        "pairs": st.dictionaries(TEXT, st.integers(), max_size=3),
    },
)

EVERYTHING = spec_of(everything)
EVERYTHING_ABOUT = EVERYTHING.about()


@given(ARGUMENTS)
def test_what_is_submitted_unchanged_arrives_equal(arguments: dict[str, Any]) -> None:
    accepted = EVERYTHING.parse(arguments)
    form = over_the_wire(form_element(EVERYTHING_ABOUT, "go", given=arguments))
    entered = read_submitted(over_the_wire(unchanged(form)), EVERYTHING_ABOUT, "go")
    assert EVERYTHING.parse(entered) == accepted


@given(
    st.dictionaries(
        st.sampled_from([*EVERYTHING_ABOUT.arguments["properties"], "other"]), TEXT | st.lists(TEXT)
    )
)
def test_whatever_is_entered_is_read_or_refused(entered: dict[str, str | list[str]]) -> None:
    try:
        arguments = read_submitted(submitted(entered), EVERYTHING_ABOUT, "go")
    except ArgumentsError as error:
        assert str(error).startswith("command go: ")  # noqa: PT017  # there is also no error
    else:
        assert arguments.keys() <= EVERYTHING_ABOUT.arguments["properties"].keys()
