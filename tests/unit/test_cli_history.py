"""`iotxmpp history`: what it prints, and what it says of bad input."""

import csv
import io
import json
import sys
import time
from collections.abc import Callable
from dataclasses import dataclass, replace
from pathlib import Path

import pytest

from iotxmpp.cli import main
from iotxmpp.controller.store import Batch, Event, Retention, StateChange, Store, sweep
from iotxmpp.durations import duration, moment
from iotxmpp.errors import InvalidError
from iotxmpp.readings import Value
from tests.store.samples import arrival, lost, reading, take

STEERING = "\x1b]0;owned\x07\x9b31m\u202e"


@dataclass(frozen=True)
class Ended:
    code: int
    out: str
    err: str


Run = Callable[..., Ended]


@pytest.fixture
def url(tmp_path: Path) -> str:
    return f"sqlite:///{tmp_path / 'controller.db'}"


@pytest.fixture
def run(url: str, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]) -> Run:
    def history(*arguments: str) -> Ended:
        monkeypatch.setenv("COLUMNS", "200")
        monkeypatch.setattr(sys, "argv", ["iotxmpp", "history", *arguments, "--store", url])
        with pytest.raises(SystemExit) as ended:
            main()
        out, err = capsys.readouterr()
        return Ended(int(ended.value.code or 0), out, err)

    return history


def fill(url: str, *values: Value, channel: str = "temperature", ago: float = 100.0) -> None:
    """Readings of the hall, a second apart; the first was read so many seconds ago."""
    store = Store(url)
    now = time.time()
    unit = None if channel != "temperature" else "Cel"
    some = [
        replace(reading(seq, channel=channel, value=value), time=now - ago + seq, unit=unit, epoch=channel)
        for seq, value in enumerate(values, 1)
    ]
    given = arrival(*range(1, len(values) + 1), epoch=channel)
    take(store, replace(given, readings=tuple(some), received=now - ago))
    store.close()


def lines(out: str) -> list[dict[str, object]]:
    return [json.loads(line) for line in out.splitlines()]


def cells(out: str) -> list[dict[str, str]]:
    return list(csv.DictReader(io.StringIO(out, newline="")))


def test_the_table_is_the_default(url: str, run: Run) -> None:
    fill(url, 21.5, 22.0)
    ended = run("hall")
    assert ended.code == 0
    assert "temperature" in ended.out
    assert "21.5 °C" in ended.out


def test_the_table_shows_the_newest(url: str, run: Run) -> None:
    fill(url, *(float(number) for number in range(50)))
    ended = run("hall", "--limit", "5")
    assert "45 °C" in ended.out
    assert "44 °C" not in ended.out
    assert ended.err == "the newest 5 of 50; --limit, --csv and --json show more\n"


def test_json_is_an_object_a_line(url: str, run: Run) -> None:
    fill(url, 1.5, True, 7, "open")
    found = lines(run("hall@example.org", "--since", "2h", "--json").out)
    assert [each["value"] for each in found] == [1.5, True, 7, "open"]
    assert {each["what"] for each in found} == {"reading"}
    assert {"device", "time", "channel", "unit", "historical", "received", "epoch", "seq"} <= found[0].keys()


def test_a_span_and_a_channel(url: str, run: Run) -> None:
    fill(url, 1.0, 2.0, ago=7300)
    fill(url, 3.0, ago=60)
    fill(url, 4.0, channel="door", ago=60)
    assert [each["value"] for each in lines(run("hall", "temperature", "--json").out)] == [1.0, 2.0]
    assert [each["value"] for each in lines(run("hall", "--since", "2h", "--json").out)] == [4.0]
    assert [each["value"] for each in lines(run("hall", "--until", "1h", "--json").out)] == [1.0, 2.0]


def test_csv_is_of_rfc_4180(url: str, run: Run) -> None:
    fill(url, -1.5, True, 'say "yes", or no')
    out = run("hall", "--csv").out
    assert out.startswith("time,what,channel,value,unit,late,seconds,count,least,greatest,text\r\n")
    assert out.count("\r\n") == out.count("\n") == 4
    found = cells(out)
    assert [each["value"] for each in found] == ["-1.5", "true", 'say "yes", or no']
    assert (found[0]["unit"], found[0]["late"], found[0]["what"]) == ("Cel", "false", "reading")
    assert found[0]["time"].endswith("Z")


FORMULAS = ["=1+1", "+1", "-1", "@SUM(A1)", " =1", "\t=1", "\r=1", "=HYPERLINK(1)", "＝1"]  # noqa: RUF001  # a wide one


@pytest.mark.parametrize("text", FORMULAS)
def test_text_never_is_a_formula_in_csv(url: str, run: Run, text: str) -> None:
    fill(url, text)
    (row,) = cells(run("hall", "--csv").out)
    assert not row["value"].strip().startswith(("=", "+", "-", "@", "＝"))  # noqa: RUF001  # a wide one
    assert lines(run("hall", "--json").out)[0]["value"] == text


@pytest.mark.parametrize("how", [(), ("--json",), ("--csv",)])
def test_text_never_steers_the_terminal(url: str, run: Run, how: tuple[str, ...]) -> None:
    fill(url, STEERING + "[bold]")
    store = Store(url)
    event = Event(device="hall", kind="clone", text=STEERING, time=time.time() - 5)
    store.take(
        Batch(records=[event, StateChange(device="hall", state="lost", why=STEERING, time=event.time)])
    )
    store.close()
    out = run("hall", "--events", *how).out
    assert "owned" in out
    assert "[bold]" in out
    assert all(each.isprintable() or each in "\r\n" for each in out)
    if how == ("--json",):
        assert lines(out)[0]["value"] == STEERING + "[bold]"


def test_summaries_gaps_states_and_events(url: str, run: Run) -> None:
    fill(url, *(float(number) for number in range(120)), ago=7200)
    store = Store(url)
    for _ in sweep(store.database, Retention(raw="1h", minutes="9d")):
        pass
    now = time.time()
    take(store, replace(lost(200, 209, epoch="temperature"), received=now - 30))
    store.take(Batch(records=[StateChange(device="hall", state="lost", why="silent", time=now - 20)]))
    store.take(Batch(records=[Event(device="hall", kind="clone", text="two of them", time=now - 10)]))
    store.close()
    table = run("hall", "--events").out
    assert "mean of 60 in 1 min" in table
    assert "10 lost (full): 200 to 209 of temperature" in table
    assert "lost: silent" in table
    assert "clone: two of them" in table
    found = lines(run("hall", "--events", "--json").out)
    assert [each["what"] for each in found][-4:] == ["reading", "gap", "state", "event"]
    assert found[0]["what"] == "summary"
    assert sum(each["count"] for each in cells_of(run("hall", "--csv").out)) == 119


def cells_of(out: str) -> list[dict[str, int]]:
    return [{"count": int(each["count"] or 0)} for each in cells(out)]


def test_a_plot_in_the_terminal(url: str, run: Run) -> None:
    fill(url, *(float(number % 10) for number in range(90)))
    fill(url, True, channel="door")
    ended = run("hall", "--plot")
    assert ended.code == 0
    assert "hall temperature (°C)" in ended.out
    assert "hall door" in ended.out
    assert any("⠀" < each <= "⣿" for each in ended.out), "braille"
    assert "\x1b" not in ended.out


def test_a_plot_as_a_picture(url: str, run: Run, tmp_path: Path) -> None:
    fill(url, *(float(number % 10) for number in range(90)))
    picture = tmp_path / "hall.png"
    assert run("hall", "--png", str(picture)).code == 0
    assert picture.read_bytes().startswith(b"\x89PNG\r\n")
    ended = run("hall", "--png", str(tmp_path / "none" / "hall.png"))
    assert (ended.code, "--png" in ended.err) == (2, True)


@pytest.mark.parametrize(("library", "option"), [("plotext", "--plot"), ("matplotlib", "--png=x.png")])
def test_a_missing_library_is_told(
    url: str, run: Run, monkeypatch: pytest.MonkeyPatch, library: str, option: str
) -> None:
    fill(url, 1.0)
    monkeypatch.setitem(sys.modules, library, None)
    monkeypatch.setitem(sys.modules, f"{library}.figure", None)
    ended = run("hall", option)
    assert ended.code == 2
    extra = option[2:].partition("=")[0]
    assert f"pip install 'iotxmpp[{extra}]'" in ended.err


def test_nothing_to_plot_and_too_much_of_it(url: str, run: Run) -> None:
    fill(url, "open", channel="door")
    assert run("hall", "--plot").code == 1
    for number in range(13):
        fill(url, 1.0, channel=f"c{number}")
    ended = run("hall", "--plot")
    assert ended.code == 2
    assert "name one of c0, " in ended.err


@pytest.mark.parametrize(
    ("arguments", "says"),
    [
        (("--since", "soon"), "--since 'soon': give a duration such as"),
        (("--since", "-2h"), "--since '-2h'"),
        (("--since", "0h"), "--since '0h'"),
        (("--since", "2026-13-01"), "--since '2026-13-01'"),
        (("--until", "later"), "--until 'later'"),
        (("--since", "1h", "--until", "2h"), "--since '1h' is not before --until '2h'"),
        (("--json", "--csv"), "choose one of --json, --csv"),
        (("--csv", "--plot"), "choose one of --json, --csv"),
        (("--limit", "0"), "--limit"),
    ],
)
def test_bad_options_are_told_by_name(url: str, run: Run, arguments: tuple[str, ...], says: str) -> None:
    fill(url, 1.0)
    ended = run("hall", *arguments)
    assert (ended.code, ended.out) == (2, "")
    assert says in ended.err


def test_unknown_names_are_told_with_the_known_ones(url: str, run: Run) -> None:
    fill(url, 1.0)
    ended = run("cellar")
    assert ended.code == 6
    assert ended.err == "iotxmpp: the store knows no device 'cellar'; it knows: hall\n"
    ended = run("hall", "pressure")
    assert ended.code == 6
    assert ended.err == "iotxmpp: hall has no channel 'pressure'; it has: temperature\n"


def test_a_store_that_is_not_there_is_not_made(url: str, run: Run, tmp_path: Path) -> None:
    ended = run("hall")
    assert (ended.code, "--store" in ended.err) == (2, True)
    assert list(tmp_path.glob("controller.db*")) == []


def test_nothing_in_that_time_is_no_error(url: str, run: Run) -> None:
    fill(url, 1.0, ago=7200)
    assert run("hall", "--since", "1h") == Ended(0, "", "hall: nothing in that time\n")


def test_it_reads_while_a_controller_writes(url: str, run: Run) -> None:
    fill(url, 1.0)
    store = Store(url)
    with store.database.write():
        assert len(lines(run("hall", "--json").out)) == 1
    store.close()


def test_a_wrong_keep_is_told_by_its_option(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    monkeypatch.setattr(sys, "argv", ["iotxmpp", "controller", "run", "--keep", "30x"])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 2
    assert "--keep '30x': give a duration" in capsys.readouterr().err


def test_moments() -> None:
    assert moment("2h", 10_000.0, "x") == 2800.0
    assert moment("2026-03-01T08:00Z", 0.0, "x") == 1772352000.0
    assert moment("2026-03-01T09:00+01:00", 0.0, "x") == 1772352000.0
    assert duration("1.5h", "x") == 5400
    for wrong in ("", "h", "1", "1 fortnight", "1h30m", "٣h", "inf", "nan", "1e3s"):
        with pytest.raises(InvalidError):
            duration(wrong, "x")
