"""ejabberd's configuration for one private server."""

import json

from iotxmpp.account import Account
from iotxmpp.server.layout import Layout, Recipe, Settings
from iotxmpp.server.programs import Programs
from iotxmpp.server.spec import HOST
from iotxmpp.server.tuning import ITEMS_A_NODE, QUIET_SECONDS, RESUME_SECONDS, STANZA_BYTES

_ACK_SECONDS = 10
_MOST_PORTS = 65536
_BACKLOG = 256

# Erlang evaluates the script after ejabberd is up; a failure ends the process, and the log says why.
_REGISTER = (
    'case file:script("{script}") of {{ok, ok}} -> ok; '
    'Failure -> io:format(standard_error, "accounts: ~p~n", [Failure]), halt(1) end.'
)


def recipe(settings: Settings, programs: Programs) -> Recipe:
    """How to start ejabberd: by Erlang directly, without its control script, epmd, or a node name."""
    if programs.ebin is None:
        raise ValueError("ejabberd needs the folder of its modules")
    layout = settings.layout
    config, script = layout.etc / "ejabberd.yml", layout.etc / "accounts.script"
    return Recipe(
        # Paths are relative to the working directory: nothing in them needs quoting.
        command=(
            *(str(programs.executable), "-noinput", "+sbwt", "none", "+sbwtdcpu", "none", "+sbwtdio", "none"),
            *("-pa", str(programs.ebin), "-mnesia", "dir", '"mnesia"'),
            *("-ejabberd", "quiet", "true"),
            *("-s", "ejabberd", "-eval", _REGISTER.format(script=f"../etc/{script.name}")),
        ),
        env={
            "ERL_LIBS": str(programs.ebin.parent.parent),
            "ERL_MAX_PORTS": str(_MOST_PORTS),
            "ERL_CRASH_DUMP_BYTES": "0",
            "EJABBERD_CONFIG_PATH": f"../etc/{config.name}",
            "EJABBERD_LOG_PATH": layout.log.name,
            "EJABBERD_PID_PATH": "ejabberd.pid",
        },
        files={
            config: config_text(settings),
            script: accounts_script(layout, settings.domain, settings.admin, settings.controller),
        },
        secrets=(script,),
        makes_ready=True,
    )


def config_text(settings: Settings) -> str:
    """The configuration file; JSON is YAML."""
    access = {"iotxmpp_admin": {"allow": "admin"}, "configure": {"allow": "admin"}, "c2s": {"allow": "all"}}
    config = {
        "hosts": [settings.domain],
        "loglevel": "info",
        "certfiles": ["../etc/server.crt", "../etc/server.key"],
        "ca_file": f"../{settings.layout.ca.name}",
        "acme": {"auto": False},
        "listen": [
            _listener(settings.port, "starttls_required"),
            _listener(settings.direct_port, "tls"),
        ],
        "c2s_protocol_options": ["no_sslv3", "no_tlsv1", "no_tlsv1_1", "no_compression"],
        "s2s_access": "none",
        "auth_method": "mnesia",
        "auth_password_format": "scram",
        "auth_scram_hash": "sha256",
        "disable_sasl_mechanisms": ["plain", "digest-md5", "x-oauth2"],
        "registration_timeout": "infinity",
        "acl": {"admin": {"user": [settings.admin.jid]}},
        "access_rules": access,
        "shaper": {},
        "shaper_rules": {"max_user_sessions": 1000},
        "modules": _modules(settings),
    }
    return json.dumps(config, indent=2) + "\n"


def _listener(port: int, security: str) -> dict[str, object]:
    return {
        "port": port,
        "ip": HOST,
        "module": "ejabberd_c2s",
        security: True,
        "max_stanza_size": STANZA_BYTES,
        "access": "c2s",
        "backlog": _BACKLOG,
    }


def _modules(settings: Settings) -> dict[str, object]:
    return {
        "mod_adhoc": {},
        "mod_configure": {},
        "mod_disco": {},
        "mod_last": {},
        "mod_roster": {},
        "mod_ping": {
            "send_pings": True,
            "ping_interval": f"{QUIET_SECONDS - 5} s",
            "ping_ack_timeout": f"{_ACK_SECONDS} s",
            "timeout_action": "kill",
        },
        "mod_stream_mgmt": {"resume_timeout": f"{RESUME_SECONDS} s", "ack_timeout": f"{_ACK_SECONDS} s"},
        "mod_pubsub": {
            "host": settings.service,
            "access_createnode": "iotxmpp_admin",
            "plugins": ["flat"],
            "max_items_node": ITEMS_A_NODE,
            "max_nodes_discoitems": "infinity",
            "default_node_config": {
                "access_model": "whitelist",
                "publish_model": "publishers",
                "itemreply": "publisher",
                "send_last_published_item": "never",
            },
        },
    }


def accounts_script(layout: Layout, domain: str, *accounts: Account) -> str:
    """Erlang that makes the accounts, or sets their passwords, and then the file that says so."""
    calls = "".join(
        f"Set({_binary(account.name)}, {_binary(account.password.get_secret_value())}),\n"
        for account in accounts
    )
    return f"""\
Host = {_binary(domain)},
Set = fun(User, Password) ->
    ok = case ejabberd_auth:try_register(User, Host, Password) of
        {{error, exists}} -> ejabberd_auth:set_password(User, Host, Password);
        Answer -> Answer
    end
end,
{calls}file:write_file("{layout.ready.name}", <<>>).
"""


def _binary(text: str) -> str:
    return f"<<{','.join(str(byte) for byte in text.encode())}>>"
