"""Which checks there are for a machine, a device and an account."""

from collections.abc import AsyncIterator, Callable, Collection, Mapping
from dataclasses import dataclass
from functools import partial
from pathlib import Path

from iotxmpp.account import Account
from iotxmpp.doctor import machine
from iotxmpp.doctor.buses import check_groups, check_i2c, check_onewire
from iotxmpp.doctor.device import Device
from iotxmpp.doctor.examine import Check, Group, Work, plain, run_check
from iotxmpp.doctor.extras import check_extras, check_functions
from iotxmpp.doctor.finding import Finding, fault
from iotxmpp.doctor.pins import check_pins
from iotxmpp.doctor.places import Places
from iotxmpp.doctor.reach import dns_findings, failure_findings, stream_findings
from iotxmpp.doctor.serial import check_holders, check_port_rights, check_ports, check_reset, check_thieves
from iotxmpp.doctor.server import ServerChecks
from iotxmpp.errors import ConfigError, ConnectError
from iotxmpp.systemd import hardware_of
from iotxmpp.xmpp import survey
from iotxmpp.xmpp.survey import SurveyLink

GROUPS: tuple[Group, ...] = ("hardware", "machine", "server")
_REACH = ("dns", "login", "tls")
_LOGIN_WITHIN = 60.0
"""Seconds for the login: more than a link's own attempt has, which tells better what failed."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Result:
    """The findings of one check.

    Attributes:
        group: Where they are shown.
        findings: The findings.
    """

    group: Group
    findings: list[Finding]


def local_checks(device: Device | None, places: Places) -> list[Check]:
    """The checks of the machine and its hardware."""
    serial = device is not None and device.uses("serial", "modbus") and "host" not in device.settings
    settings = device.settings if device is not None else {}
    sources = device.sources if device is not None else {}
    port = str(settings.get("port", "")) if serial else ""
    serial = serial and "://" not in port
    i2c = device is not None and device.uses("i2c")
    bus = settings.get("bus", 1)
    onewire = device is not None and device.uses("onewire")
    groups = hardware_of(device.kind, settings).groups if device is not None else ()
    hardware: dict[str, Callable[[], list[Finding]]] = {
        "ports": partial(check_ports, places, needed=serial, wanted=port),
        "rights": partial(check_port_rights, places, needed=serial, wanted=port),
        "holders": partial(
            check_holders, places, wanted=port, config=device.config if device is not None else None
        ),
        "thieves": partial(check_thieves, places, needed=serial),
        "reset": partial(check_reset, places),
        "pins": partial(check_pins, needed=device is not None and device.uses("gpio")),
        "i2c": partial(check_i2c, places, needed=i2c, bus=bus if isinstance(bus, int) else 1),
        "onewire": partial(
            check_onewire, places, needed=onewire, wanted=_ids(settings, sources), root=_root(settings)
        ),
        "groups": partial(check_groups, places, needed=groups),
    }
    whole: dict[str, Callable[[], list[Finding]]] = {
        "clock": machine.check_clock,
        "python": machine.check_python,
        "memory": partial(machine.check_memory, places),
        "power": partial(machine.check_power, places),
    }
    if device is not None:
        whole["disk"] = partial(machine.check_disk, device.outbox_file, room=device.outbox.bytes)
        if device.uses("host") and "disk" in settings:
            whole["mount"] = partial(machine.check_mount, Path(str(settings["disk"])), places.etc / "fstab")
        whole["driver"] = partial(check_extras, device.kind, simulated=device.simulated)
        if device.uses("python"):
            whole["functions"] = partial(check_functions, device.settings)
    return [
        *(plain("hardware", name, function) for name, function in hardware.items()),
        *(plain("machine", name, function) for name, function in whole.items()),
    ]


def _ids(settings: Mapping[str, object], sources: Mapping[str, Mapping[str, object]]) -> list[str]:
    """The 1-Wire sensors that the settings name, and the profile where these do not."""
    given = settings.get("id")
    named = {channel: source.get("id") for channel, source in sources.items()}
    several = given if isinstance(given, list) else [given]
    if isinstance(given, dict):
        several = list({**named, **given}.values())
    elif not given:
        several = list(named.values())
    return [each for each in several if isinstance(each, str)]


def _root(settings: Mapping[str, object]) -> Path | None:
    root = settings.get("root")
    return Path(root) if isinstance(root, str) else None


def names(checks: Collection[Check]) -> set[str]:
    """What `--only` may name."""
    return {*GROUPS, *_REACH, *ServerChecks.NAMES, *(check.name for check in checks)}


def is_wanted(group: str, name: str, only: Collection[str]) -> bool:
    """Whether a check was asked for."""
    return not only or group in only or name in only


def wants_server(only: Collection[str]) -> bool:
    """Whether any check of the server was asked for."""
    return any(is_wanted("server", name, only) for name in (*_REACH, *ServerChecks.NAMES))


async def local_results(checks: Collection[Check], only: Collection[str]) -> AsyncIterator[Result]:
    """Runs the checks of the machine that are wanted."""
    for check in checks:
        if is_wanted(check.group, check.name, only):
            yield Result(group=check.group, findings=await run_check(check))


async def server_results(
    account: Account, device: Device | None, only: Collection[str]
) -> AsyncIterator[Result]:
    """Runs the checks of the server that are wanted; those behind the login need one."""

    async def dns() -> list[Finding]:
        return dns_findings(account, [] if account.host is not None else await survey.services(account))

    if is_wanted("server", "dns", only):
        yield await _result("dns", dns)
    if not any(is_wanted("server", name, only) for name in ("login", "tls", *ServerChecks.NAMES)):
        return
    link = SurveyLink(account)
    login = Check(group="server", name="login", work=partial(_log_in, link, account))
    failed = await run_check(login, _LOGIN_WITHIN)
    if failed:
        yield Result(group="server", findings=failed)
        return
    try:

        async def stream() -> list[Finding]:
            return stream_findings(link.stream(), account)

        if any(is_wanted("server", name, only) for name in ("login", "tls")):
            yield await _result("tls", stream)
        own = device.id if device is not None and device.jid == account.jid else None
        for name, work in ServerChecks(link, account, own).checks().items():
            if is_wanted("server", name, only):
                yield await _result(name, work)
    finally:
        await link.__aexit__(None, None, None)


async def _log_in(link: SurveyLink, account: Account) -> list[Finding]:
    """Opens the link; why it is not open, where it is not."""
    try:
        await link.__aenter__()
    except ConnectError as error:
        return failure_findings(error, account)
    except ConfigError as error:
        return [fault(str(error), "without a session, nothing of the server can be told")]
    return []


async def _result(name: str, work: Work) -> Result:
    return Result(group="server", findings=await run_check(Check(group="server", name=name, work=work)))
