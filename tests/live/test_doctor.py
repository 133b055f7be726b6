"""`iotxmpp doctor` at real servers: whole ones, and one with things missing."""

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from pydantic import SecretStr
from typer.testing import CliRunner

from iotxmpp.account import Account
from iotxmpp.addresses import NodeAddress
from iotxmpp.cli.app import app
from iotxmpp.doctor.plan import server_results
from iotxmpp.server import ServerKind, ServerProcess, ServerSpec, ejabberd, prosody
from iotxmpp.xmpp import XmppLink, XmppProvisioner
from iotxmpp.xmpp.survey import Service, SurveyLink, may_publish, services
from tests.dns_stub import DnsStub
from tests.live.conftest import Administered
from tests.live.site import Site, name_of, nodes_of
from tests.servers import finish, server_directory

on_module_loop = pytest.mark.asyncio(loop_scope="module")

HARDWARE = 'account = "{account}"\nprofile = "bme280"\ndriver.kind = "simulated"\noutbox = "outbox.db"\n'


def agent_file(folder: Path, account: Account) -> Path:
    account.save(folder / "account.toml")
    file = folder / "agent.toml"
    file.write_text(HARDWARE.format(account="account.toml"))
    return file


async def findings(account: Account, config: Path | None = None, *only: str) -> dict[str, tuple[str, str]]:
    """What is found at a server: level and text by check."""
    from iotxmpp.doctor.device import read_device

    device = read_device(config) if config is not None else None
    found: dict[str, tuple[str, str]] = {}
    async for result in server_results(account, device, only):
        for each in result.findings:
            found[each.check] = max(
                found.get(each.check, ("", "")), (each.level, each.what), key=lambda at: _RANK[at[0]]
            )
    return found


_RANK = {"": -1, "ok": 0, "advice": 1, "fault": 2}


def levels(found: dict[str, tuple[str, str]]) -> dict[str, str]:
    return {check: level for check, (level, _) in found.items() if level != "ok"}


@on_module_loop
async def test_all_is_well_for_a_device_of_a_whole_server(site: Site, tmp_path: Path) -> None:
    controller = await site.account("house")
    account = await site.device("hall", controller)
    found = await findings(account, agent_file(tmp_path, account))
    assert levels(found) == {"presence": "advice"}  # no controller has run yet
    assert controller.jid in found["presence"][1]
    assert {"dns", "tls", "nodes", "limits", "archive", "pubsub", "node-config"} <= found.keys()
    assert site.kind in found["software"][1].lower()


@on_module_loop
async def test_all_is_well_for_an_administrator(administered: Administered, tmp_path: Path) -> None:
    server, _ = administered
    found = await findings(server.admin)
    assert levels(found) == {}
    assert "device add" in found["admin"][1]
    assert "may create nodes" in found["node-creation"][1]


@on_module_loop
async def test_nothing_is_left_of_the_tries(administered: Administered, site: Site) -> None:
    server, admin = administered
    before = set(await XmppProvisioner(admin).nodes(server.service))
    await findings(server.admin)
    assert set(await XmppProvisioner(admin).nodes(server.service)) == before


@on_module_loop
async def test_nodes_that_are_gone_or_of_others_are_told(site: Site, tmp_path: Path) -> None:
    account = await site.device("hall")
    other = await site.device("shed")
    if site.kind == "prosody":  # the other tells affiliations, and lets publishers take nothing back
        async with SurveyLink(account) as link:
            own, missing = (
                nodes_of(account).about,
                NodeAddress(service=account.service, node="iot/none/about"),
            )
            assert not await may_publish(link, nodes_of(other).about)
            assert not await may_publish(link, missing)
            assert await may_publish(link, own)
            assert await link.items(own) == []
    await site.provisioner.delete_node(nodes_of(account).state)
    found = await findings(account, agent_file(tmp_path, account))
    level, text = found["nodes"]
    assert (level, f"iot/{name_of(account)}/state" in text) == ("fault", True)
    assert "readings" not in text


@on_module_loop
async def test_a_wrong_password_is_told_and_ends_the_questions(site: Site) -> None:
    account = await site.account("hall")
    wrong = account.model_copy(update={"password": SecretStr("wrong")})
    found = await findings(wrong)
    assert levels(found) == {"login": "fault"}
    assert "refused the login" in found["login"][1]


@on_module_loop
async def test_an_untrusted_certificate_is_told(site: Site) -> None:
    account = (await site.account("hall")).model_copy(update={"ca": None})
    assert "not trusted" in (await findings(account))["login"][1]


async def test_a_server_that_is_not_there_is_told() -> None:
    account = Account(jid="hall@example.org", password=SecretStr("x"), host="127.0.0.1", port=1)
    found = await findings(account)
    assert "cannot reach 127.0.0.1:1" in found["login"][1]


async def test_dns_is_really_asked(monkeypatch: pytest.MonkeyPatch) -> None:
    from slixmpp.xmlstream import xmlstream

    account = Account(jid="hall@farm.test", password=SecretStr("x"))
    async with DnsStub() as dns:
        monkeypatch.setattr(xmlstream, "default_resolver", dns.resolver)
        assert await services(account) == []
        dns.service("_xmpps-client._tcp.farm.test", "xmpp.farm.test", 5223)
        found = await services(account)
        assert found == [Service(direct=True, host="xmpp.farm.test", port=5223)]
        assert (await findings(account, None, "dns"))["dns"][0] == "ok"


# A server with things missing.


@pytest.fixture(scope="module")
def bare() -> Iterator[ServerProcess]:
    """A Prosody without stream management, PubSub and an administrator's commands, but with limits told."""
    whole = prosody.config_text

    def config_text(settings: Any) -> str:  # noqa: ANN401  # what the original takes
        text = whole(settings).partition("\nComponent")[0]
        return text.replace('"smacks", "admin_adhoc", ', "").replace("c2s_stanza_size_limit", "-- ")

    with pytest.MonkeyPatch.context() as patch, server_directory() as folder:
        patch.setattr(prosody, "config_text", config_text)
        server = ServerProcess(ServerSpec(kind=ServerKind.PROSODY, directory=folder))
        finish(server.start())
        try:
            yield server
        finally:
            finish(server.stop())


async def test_what_a_server_lacks_is_told_with_the_lines_to_write(bare: ServerProcess) -> None:
    found = await findings(bare.admin)
    assert levels(found) == {
        "stream-management": "advice",
        "pubsub": "fault",
        "admin": "fault",
        "commands": "advice",
    }
    assert not {"nodes", "node-creation", "node-config"} & found.keys()
    results = [
        each async for each in server_results(bare.admin, None, ("stream-management", "pubsub", "software"))
    ]
    fixes = [line for result in results for finding in result.findings for line in finding.fix]
    assert 'prosody.cfg.lua: modules_enabled = { …, "smacks" }' in fixes
    assert 'prosody.cfg.lua: Component "pubsub.localhost" "pubsub"' in fixes


async def test_a_check_that_the_server_leaves_without_an_answer_ends_no_other(bare: ServerProcess) -> None:
    found = await findings(bare.admin)
    assert list(found)[-2:] == ["archive", "not-needed"]


# As a user runs it.


def test_the_command_tells_all_as_json_and_by_its_exit_code(bare: ServerProcess, tmp_path: Path) -> None:
    done = CliRunner().invoke(
        app, ["doctor", "--account", str(bare.admin_file), "--only", "server", "--json"]
    )
    told = json.loads(done.stdout)
    assert (done.exit_code, told["ok"]) == (1, False)
    assert told["faults"] == sum(each["level"] == "fault" for each in told["findings"])
    assert {each["group"] for each in told["findings"]} == {"server"}


def test_the_command_is_well_with_a_whole_server(prosody: ServerProcess, tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "-a", str(prosody.admin_file), "--only", "server"])
    assert done.exit_code == 0
    assert "✓ PubSub service at pubsub.localhost" in done.stdout
    assert "faults: 0" in done.stdout


def test_a_broken_file_is_a_finding_and_ends_nothing(tmp_path: Path) -> None:
    file = tmp_path / "agent.toml"
    file.write_text("account = 5\n")
    done = CliRunner().invoke(app, ["doctor", str(file), "--only", "python"])
    assert done.exit_code == 1
    assert f"agent file {file}" in done.stdout
    assert "Python" in done.stdout


def test_an_unknown_check_is_refused(tmp_path: Path) -> None:
    done = CliRunner().invoke(app, ["doctor", "--only", "horoscope"])
    assert done.exit_code == 2
    assert "horoscope" in done.output


def test_signs_are_plain_where_the_console_is() -> None:
    done = CliRunner(charset="ascii").invoke(app, ["doctor", "--only", "python"])
    assert done.exit_code == 0
    assert "  ok Python" in done.stdout


async def test_a_server_where_anyone_creates_nodes_is_told(monkeypatch: pytest.MonkeyPatch) -> None:
    whole = ejabberd.config_text

    def config_text(settings: Any) -> str:  # noqa: ANN401  # what the original takes
        text = whole(settings)
        assert '"access_createnode": "iotxmpp_admin"' in text
        return text.replace('"access_createnode": "iotxmpp_admin"', '"access_createnode": "all"')

    monkeypatch.setattr(ejabberd, "config_text", config_text)
    with server_directory() as folder:
        async with ServerProcess(ServerSpec(kind=ServerKind.EJABBERD, directory=folder)) as server:
            found = await findings(server.controller, None, "node-creation")
            assert found["node-creation"] == ("advice", "this account may create nodes")
            async with XmppLink(server.admin) as admin:
                assert await XmppProvisioner(admin).nodes(server.service) == []
