"""Private servers as they run: Prosody and ejabberd."""

import ssl
from pathlib import Path
from typing import Any
from xml.etree.ElementTree import Element

import pytest
from slixmpp import ClientXMPP
from slixmpp.exceptions import IqError

from iotxmpp.account import Account
from iotxmpp.server import ServerProcess
from tests.live.private_server import client, connect, family, receive, stream

STARTTLS = "urn:ietf:params:xml:ns:xmpp-tls"
ADMIN = "http://jabber.org/protocol/admin"


async def admin_command(
    admin: ClientXMPP, domain: str, node: str, fields: dict[str, str | list[str]]
) -> None:
    """Runs a command of XEP-0133."""
    adhoc: Any = admin.plugin["xep_0050"]
    first = await adhoc.send_command(domain, f"{ADMIN}#{node}", timeout=5)
    forms: Any = admin.plugin["xep_0004"]
    form = forms.make_form(ftype="submit")
    form.add_field(var="FORM_TYPE", ftype="hidden", value=ADMIN)
    for var, value in fields.items():
        form.add_field(var=var, value=value)
    session = first["command"]["sessionid"]
    answer = await adhoc.send_command(
        domain, f"{ADMIN}#{node}", action="complete", payload=form, sessionid=session, timeout=5
    )
    assert answer["command"]["status"] == "completed"
    assert not [note for note in answer["command"]["notes"] if note[0] == "error"]


def test_before_tls_nothing_but_tls_is_offered(server: ServerProcess) -> None:
    with connect(server.port) as plain:
        features = stream(plain, server.domain)
        assert STARTTLS in features
        assert "mechanism" not in features
        plain.sendall(b"<auth xmlns='urn:ietf:params:xml:ns:xmpp-sasl' mechanism='PLAIN'>AGEAYg==</auth>")
        answer = receive(plain, b">")
    assert "success" not in answer


@pytest.mark.parametrize("direct", [False, True])
def test_tls_is_trusted_and_offers_scram_alone(server: ServerProcess, direct: bool) -> None:
    trust = ssl.create_default_context(cafile=server.ca)
    with connect(server.direct_port if direct else server.port) as sock:
        if not direct:
            stream(sock, server.domain)
            sock.sendall(f"<starttls xmlns='{STARTTLS}'/>".encode())
            assert "<proceed" in receive(sock, b">")
        with trust.wrap_socket(sock, server_hostname=server.domain) as secured:
            assert secured.version() in {"TLSv1.2", "TLSv1.3"}
            features = stream(secured, server.domain)
    mechanisms = [part.partition("<")[0] for part in features.split("<mechanism>")[1:]]
    assert "SCRAM-SHA-256" in mechanisms
    assert all(name.startswith("SCRAM-SHA-256") for name in mechanisms)


def test_no_other_authority_vouches_for_it(server: ServerProcess) -> None:
    with connect(server.direct_port) as sock, pytest.raises(ssl.SSLCertVerificationError):
        ssl.create_default_context().wrap_socket(sock, server_hostname=server.domain)


def test_old_tls_is_refused(server: ServerProcess) -> None:
    old = ssl.create_default_context(cafile=server.ca)
    old.set_ciphers("DEFAULT@SECLEVEL=0")
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.minimum_version = ssl.TLSVersion.TLSv1_1
    with pytest.warns(DeprecationWarning, match="TLSv1_1"):
        old.maximum_version = ssl.TLSVersion.TLSv1_1
    with connect(server.direct_port) as sock, pytest.raises(OSError, match=r"PROTOCOL|reset|EOF|HANDSHAKE"):
        old.wrap_socket(sock, server_hostname=server.domain)


def test_erlang_is_alone(ejabberd: ServerProcess) -> None:
    names = {Path(f"/proc/{pid}/comm").read_text().strip() for pid in family(ejabberd.pid)}
    assert {"beam.smp", "erl_child_setup"} <= names
    assert "epmd" not in names


def test_it_listens_on_loopback_alone_and_without_an_administrators_rights(server: ServerProcess) -> None:
    listening = {
        int(fields[1].rpartition(":")[2], 16): fields[1].partition(":")[0]
        for table in ("tcp", "tcp6")
        for fields in (line.split() for line in Path(f"/proc/net/{table}").read_text().splitlines()[1:])
        if fields[3] == "0A"
    }
    assert {listening[server.port], listening[server.direct_port]} == {"0100007F"}
    assert Path(f"/proc/{server.pid}").stat().st_uid != 0


def test_the_account_files_load(server: ServerProcess) -> None:
    assert Account.load(server.admin_file) == server.admin
    assert Account.load(server.controller_file) == server.controller
    assert (server.admin.port, server.admin.service) == (server.port, server.service)


def test_no_password_lies_where_the_server_reads_or_is_seen_by_others(server: ServerProcess) -> None:
    secrets = [account.password.get_secret_value() for account in (server.admin, server.controller)]
    secrets += [",".join(str(byte) for byte in secret.encode()) for secret in secrets]
    texts = [path.read_bytes() for path in server.spec.directory.glob("*/**/*") if path.is_file()]
    texts += [Path(f"/proc/{server.pid}/{name}").read_bytes() for name in ("cmdline", "environ")]
    assert not [secret for secret in secrets for text in texts if secret.encode() in text]


async def test_the_admin_adds_and_deletes_accounts(server: ServerProcess) -> None:
    guest = server.admin.model_copy(update={"jid": f"{'a-' * 31}a@{server.domain}"})
    password = guest.password.get_secret_value()
    async with client(server.admin) as admin:
        fields: dict[str, str | list[str]] = {
            "accountjid": guest.jid,
            "password": password,
            "password-verify": password,
        }
        await admin_command(admin, server.domain, "add-user", fields)
        async with client(guest) as session:
            assert session.boundjid.bare == guest.jid
        await admin_command(admin, server.domain, "delete-user", {"accountjids": [guest.jid]})


async def test_others_add_no_accounts(server: ServerProcess) -> None:
    async with client(server.controller) as controller:
        adhoc: Any = controller.plugin["xep_0050"]
        with pytest.raises(IqError) as refused:
            await adhoc.send_command(server.domain, f"{ADMIN}#add-user", timeout=5)
    assert refused.value.condition in {"forbidden", "not-allowed"}


async def test_pubsub_is_closed(server: ServerProcess) -> None:
    node = f"iot/{'a-' * 31}a/readings"
    async with client(server.admin) as admin, client(server.controller) as controller:
        ours: Any = admin.plugin["xep_0060"]
        theirs: Any = controller.plugin["xep_0060"]
        with pytest.raises(IqError) as refused:
            await theirs.create_node(server.service, node, timeout=5)
        assert refused.value.condition == "forbidden"
        await ours.create_node(server.service, node, timeout=5)
        try:
            for attempt in (theirs.subscribe, theirs.get_items):
                with pytest.raises(IqError) as refused:
                    await attempt(server.service, node, timeout=5)
                assert refused.value.condition in {"forbidden", "not-allowed", "closed-node"}
            with pytest.raises(IqError) as refused:
                await theirs.publish(server.service, node, payload=Element("{urn:x}x"), timeout=5)
            assert refused.value.condition == "forbidden"
        finally:
            await ours.delete_node(server.service, node, timeout=5)
