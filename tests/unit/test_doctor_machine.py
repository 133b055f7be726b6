"""What the doctor says of a machine, of broken checks, and of the way to a server."""

import asyncio
import threading
import time
from pathlib import Path
from xml.etree.ElementTree import Element, SubElement

import pytest
from pydantic import SecretStr

from iotxmpp.account import Account
from iotxmpp.doctor import machine
from iotxmpp.doctor.device import read_device
from iotxmpp.doctor.examine import Check, plain, run_check
from iotxmpp.doctor.finding import Finding, ok
from iotxmpp.doctor.places import Places
from iotxmpp.doctor.plan import local_checks
from iotxmpp.doctor.reach import dns_findings, failure_findings, stream_findings
from iotxmpp.doctor.recipes import recipe, server_name
from iotxmpp.doctor.server import ServerChecks
from iotxmpp.errors import CertificateError, ConfigError, CredentialsError, HostError, SecurityError
from iotxmpp.xmpp.client import StrictClient
from iotxmpp.xmpp.survey import LIMITS, Service, Stream, SurveyLink

ACCOUNT = Account(jid="greenhouse-1@example.org", password=SecretStr("secret"))
NOW = 1_800_000_000.0


def only(findings: list[Finding]) -> Finding:
    (found,) = findings
    return found


@pytest.mark.parametrize(
    ("now", "kept", "level"), [(0.0, True, "fault"), (NOW, False, "advice"), (NOW, True, "ok")]
)
def test_the_clock(now: float, kept: bool, level: str) -> None:
    found = only(machine.check_clock(lambda: now, lambda: kept))
    assert found.level == level
    assert bool(found.fix) == (level != "ok")


def test_a_folder_is_really_written_and_nothing_stays(tmp_path: Path) -> None:
    found = only(machine.check_disk(tmp_path / "new/folder/outbox.db", room=1))
    assert (found.level, str(tmp_path) in found.what) == ("ok", True)
    assert list(tmp_path.iterdir()) == []


def test_a_disk_that_cannot_hold_the_outbox_is_a_fault(tmp_path: Path) -> None:
    found = machine.check_disk(tmp_path / "outbox.db", room=1 << 60)
    assert [each.level for each in found] == ["ok", "fault"]


def test_a_folder_that_cannot_be_written_is_a_fault() -> None:
    found = only(machine.check_disk(Path("/proc/outbox.db")))
    assert found.level == "fault"
    assert "memory alone" in found.why


def test_a_disk_that_the_device_tells_of_and_that_is_not_there_is_a_fault(tmp_path: Path) -> None:
    (tmp_path / "account.toml").write_text('jid = "box@example.org"\npassword = "secret"\n')
    path = tmp_path / "agent.toml"
    text = 'account = "account.toml"\nprofile = "host"\n'
    path.write_text(f'{text}[driver]\ndisk = "{tmp_path}/usb"\n')
    (check,) = [each for each in local_checks(read_device(path), Places()) if each.name == "mount"]
    found = only(asyncio.run(run_check(check)))
    assert (found.level, found.what) == ("fault", f"the disk at {tmp_path}/usb is not there")
    assert "No such file or directory; plug it in and mount it" in found.why
    (tmp_path / "usb").mkdir()
    assert only(asyncio.run(run_check(check))).level == "ok"
    path.write_text(text)
    assert "mount" not in {each.name for each in local_checks(read_device(path), Places())}


def test_an_outbox_in_memory_is_told() -> None:
    assert only(machine.check_disk(None)).level == "advice"


def test_python_memory_and_power(tmp_path: Path) -> None:
    places = Places.under(tmp_path)
    assert only(machine.check_python((3, 9))).level == "fault"
    assert only(machine.check_python((3, 13))).level == "ok"
    assert "not told" in only(machine.check_memory(places)).what
    (tmp_path / "proc").mkdir()
    meminfo = tmp_path / "proc/meminfo"
    meminfo.write_text("MemTotal: 999999 kB\nMemAvailable:    30000 kB\n")
    assert only(machine.check_memory(places)).level == "advice"
    meminfo.write_text("MemAvailable:   400000 kB\n")
    assert only(machine.check_memory(places)).what == "390 MB of memory are free"


@pytest.mark.parametrize(
    ("said", "level", "words"),
    [
        ("throttled=0x50005", "fault", "is too low"),
        ("throttled=0x50000", "advice", "was too low"),
        ("throttled=0x0", "ok", "is right"),
        ("", "ok", "does not tell"),
        ("throttled=what", "ok", "does not tell"),
    ],
)
def test_what_vcgencmd_says_of_the_power(tmp_path: Path, said: str, level: str, words: str) -> None:
    found = only(machine.check_power(Places.under(tmp_path), lambda: said))
    assert (found.level, words in found.what) == (level, True)


def test_what_the_kernel_says_of_the_power(tmp_path: Path) -> None:
    folder = tmp_path / "sys/class/hwmon/hwmon1"
    folder.mkdir(parents=True)
    (folder / "name").write_text("rpi_volt\n")
    (folder / "in0_lcrit_alarm").write_text("1\n")
    assert only(machine.check_power(Places.under(tmp_path), lambda: "")).level == "fault"


async def test_a_broken_check_is_a_finding() -> None:
    def broken() -> list[Finding]:
        raise ZeroDivisionError("of\nsome kind")

    found = only(await run_check(plain("machine", "broken", broken)))
    assert (found.level, found.check) == ("fault", "broken")
    assert found.why == "ZeroDivisionError: of some kind"


async def test_a_check_that_hangs_ends_in_time_and_holds_nothing() -> None:
    release = threading.Event()

    def hangs() -> list[Finding]:
        release.wait(20)
        return [ok("late")]

    started = time.monotonic()
    found = only(await run_check(plain("hardware", "slow", hangs), within=0.1))
    assert time.monotonic() - started < 5
    assert (found.level, "0.1 s" in found.what) == ("fault", True)
    release.set()


async def test_a_check_keeps_its_name_with_its_findings() -> None:
    async def well() -> list[Finding]:
        await asyncio.sleep(0)
        return [ok("well")]

    assert only(await run_check(Check(group="server", name="it", work=well))).check == "it"


def test_what_dns_says() -> None:
    assert only(dns_findings(ACCOUNT, [])).level == "advice"
    assert only(dns_findings(ACCOUNT, None)).fix == ("pip install aiodns",)
    found = only(dns_findings(ACCOUNT, [Service(direct=True, host="x.example.org", port=5223)]))
    assert (found.level, "x.example.org:5223 (direct TLS)" in found.what) == ("ok", True)
    named = ACCOUNT.model_copy(update={"host": "10.0.0.1"})
    assert "10.0.0.1" in only(dns_findings(named, [])).what


@pytest.mark.parametrize(
    ("error", "words"),
    [
        (CredentialsError("refused"), "TLS is right"),
        (CertificateError("not trusted"), "no password was sent"),
        (SecurityError("no TLS"), "TLS and SCRAM"),
        (HostError("cannot reach"), "nothing of the server"),
    ],
)
def test_why_there_is_no_session(error: HostError, words: str) -> None:
    found = only(failure_findings(error, ACCOUNT))
    assert (found.level, found.what) == ("fault", str(error))
    assert words in found.why


@pytest.mark.parametrize(
    ("tls", "days", "levels"),
    [
        ("TLSv1.3", 90, ["ok", "ok", "ok"]),
        ("TLSv1.2", 3, ["ok", "ok", "advice"]),
        ("TLSv1", 90, ["ok", "fault", "ok"]),
        ("", None, ["ok", "fault", "advice"]),
    ],
)
def test_how_safe_the_stream_is(tls: str, days: float | None, levels: list[str]) -> None:
    stream = Stream(
        tls=tls,
        cipher="x",
        expires=None if days is None else NOW + days * 86400,
        mechanisms=("SCRAM-SHA-256",),
        managed=True,
        resumable=True,
        most_bytes=None,
        idle_seconds=None,
    )
    assert [each.level for each in stream_findings(stream, ACCOUNT, lambda: NOW)] == levels


def test_recipes_are_of_the_server_or_of_both() -> None:
    given = {"service": "pubsub.example.org", "domain": "example.org"}
    (line,) = recipe("management", "Prosody", **given)
    assert line == 'prosody.cfg.lua: modules_enabled = { …, "smacks" }'
    both = recipe("pubsub", "", **given)
    assert 'prosody.cfg.lua: Component "pubsub.example.org" "pubsub"' in both
    assert any(line.startswith("ejabberd.yml: mod_pubsub: {host:") for line in both)
    for what in ("management", "pubsub", "create", "commands", "limits", "stamp"):
        assert "{{" not in "".join(recipe(what, "", **given))
    assert server_name(("Prosody",)) == "Prosody"
    assert server_name(("ejabberd",)) == "ejabberd"
    assert server_name(("Openfire",)) == ""


def test_a_device_is_read_without_its_password_and_its_hardware(tmp_path: Path) -> None:
    (tmp_path / "a.toml").write_text('jid = "hall@example.org"\npassword_credential = "hall"\n')
    file = tmp_path / "agent.toml"
    file.write_text('account = "a.toml"\nprofile = "bme280"\noutbox = "x.db"\ndriver.bus = 3\n')
    device = read_device(file)
    assert (device.id, device.kind, device.credential) == ("hall", "i2c", "hall")
    assert device.settings["bus"] == 3
    assert device.settings["chip"] == "bme280"
    assert device.outbox_file == tmp_path / "x.db"
    assert device.uses("i2c")
    file.write_text('account = "a.toml"\nprofile = "bme280"\ndriver.kind = "simulated"\n')
    assert not read_device(file).uses("i2c", "simulated")


@pytest.mark.parametrize("text", ["account = 5\n", "not toml", 'account = "a.toml"\nprofile = "bme208"\n'])
def test_a_broken_file_is_told_with_its_name(tmp_path: Path, text: str) -> None:
    file = tmp_path / "agent.toml"
    file.write_text(text)
    with pytest.raises(ConfigError, match=r"agent\.toml|bme208"):
        read_device(file)


def features(most: str) -> Element:
    """Features of a stream with limits (XEP-0478)."""
    offered = Element("{http://etherx.jabber.org/streams}features")
    limits = SubElement(offered, f"{{{LIMITS}}}limits")
    SubElement(limits, f"{{{LIMITS}}}max-bytes").text = most
    SubElement(limits, f"{{{LIMITS}}}idle-seconds").text = "240"
    return offered


@pytest.mark.parametrize(
    ("most", "level", "words"),
    [
        ("262144", "ok", "262144 bytes, and silence of 240 s"),
        ("4096", "fault", "4096 bytes"),
        ("-1", "ok", "does not tell"),
        ("many", "ok", "does not tell"),
    ],
)
async def test_the_limits_that_a_server_tells(most: str, level: str, words: str) -> None:
    link = SurveyLink(ACCOUNT)
    link._client = client = StrictClient(ACCOUNT, resource=None)
    try:
        link._note(ElementStanza(features(most)))
        found = only(await ServerChecks(link, ACCOUNT, None).limits())
    finally:
        await client.retire()
    assert (found.level, words in found.what) == (level, True)


class ElementStanza:
    """What slixmpp hands to a filter."""

    def __init__(self, xml: Element) -> None:
        self.xml = xml
