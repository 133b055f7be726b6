"""Prosody's configuration for one private server."""

import hashlib
import hmac
import secrets
from collections.abc import Mapping

from iotxmpp.account import Account
from iotxmpp.server.layout import Recipe, Settings
from iotxmpp.server.programs import Programs
from iotxmpp.server.spec import HOST
from iotxmpp.server.tuning import (
    CLOSE_SECONDS,
    GARBAGE_PERCENT,
    ITEMS_A_NODE,
    QUIET_SECONDS,
    RESUME_SECONDS,
    STANZA_BYTES,
)

_ITERATIONS = 10000

_ACCOUNTS_MODULE = """\
-- The first accounts, as SCRAM keys; set again at every start.
local accounts = module:open_store("accounts");
for name, keys in pairs(module:get_option("iotxmpp_accounts")) do
	assert(accounts:set(name, keys));
end
"""

_CLOSED_MODULE = """\
-- A node that is created without saying who may read it is closed.
module:depends("pubsub").get_service().config.node_defaults.access_model = "whitelist";
"""


def recipe(settings: Settings, programs: Programs) -> Recipe:
    """How to start Prosody."""
    etc = settings.layout.etc
    config = etc / "prosody.cfg.lua"
    return Recipe(
        command=(str(programs.executable), "-F", "--config", str(config)),
        env={},
        files={
            config: config_text(settings),
            etc / "modules" / "mod_iotxmpp_accounts.lua": _ACCOUNTS_MODULE,
            etc / "modules" / "mod_iotxmpp_closed.lua": _CLOSED_MODULE,
        },
    )


def config_text(settings: Settings) -> str:
    """The configuration file, in Lua."""
    layout = settings.layout
    modules = lua_string(str(layout.etc / "modules"))
    tls = f"{{ certificate = {lua_string(str(layout.certificate))}; key = {lua_string(str(layout.key))} }}"
    accounts = "; ".join(
        f"[{lua_string(account.name)}] = {lua_table(scram_keys(account))}"
        for account in (settings.admin, settings.controller)
    )
    return f"""\
-- Written at every start; changes made here are lost.
data_path = {lua_string(str(layout.var))}
pidfile = {lua_string(str(layout.var / "prosody.pid"))}
log = {{ info = {lua_string(str(layout.log))} }}
umask = "077"
plugin_paths = {{ {modules} }}
installer_plugin_path = {lua_string(str(layout.var / "plugins"))}
certificates = {lua_string(str(layout.etc))}

interfaces = {{ "{HOST}" }}
c2s_ports = {{ {settings.port} }}
c2s_direct_tls_ports = {{ {settings.direct_port} }}
c2s_direct_tls_ssl = {tls}
s2s_ports = {{}}
http_ports = {{}}
https_ports = {{}}

modules_enabled = {{
	"roster", "saslauth", "tls", "disco", "ping", "smacks", "admin_adhoc", "iotxmpp_accounts"
}}
modules_disabled = {{ "s2s", "s2s_auth_certs", "offline" }}

authentication = "internal_hashed"
password_hash = "SHA-256"
disable_sasl_mechanisms = {{ "DIGEST-MD5", "PLAIN", "LOGIN" }}
c2s_require_encryption = true
admins = {{ {lua_string(settings.admin.jid)} }}

c2s_close_timeout = {CLOSE_SECONDS}
c2s_stanza_size_limit = {STANZA_BYTES}
network_settings = {{ read_timeout = {QUIET_SECONDS}; nagle = false }}
gc = {{ mode = "incremental"; threshold = {GARBAGE_PERCENT} }}
smacks_hibernation_time = {RESUME_SECONDS}

VirtualHost {lua_string(settings.domain)}
	ssl = {tls}
	iotxmpp_accounts = {{ {accounts} }}

Component {lua_string(settings.service)} "pubsub"
	modules_enabled = {{ "iotxmpp_closed" }}
	expose_publisher = true
	pubsub_max_items = {ITEMS_A_NODE}
"""


def scram_keys(account: Account) -> dict[str, str | int]:
    """What the server keeps of a password (RFC 5802 section 3, RFC 7677): it does not tell the password."""
    salt = secrets.token_hex(16)
    password = account.password.get_secret_value().encode()
    salted = hashlib.pbkdf2_hmac("sha256", password, salt.encode(), _ITERATIONS)
    client_key = hmac.digest(salted, b"Client Key", "sha256")
    return {
        "salt": salt,
        "iteration_count": _ITERATIONS,
        "stored_key": hashlib.sha256(client_key).hexdigest(),
        "server_key": hmac.digest(salted, b"Server Key", "sha256").hex(),
    }


def lua_string(text: str) -> str:
    """Text as a Lua literal, whatever it holds."""
    plain = set(b"abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789 _-./@:+=,")
    return '"' + "".join(chr(byte) if byte in plain else f"\\{byte:03d}" for byte in text.encode()) + '"'


def lua_table(values: Mapping[str, str | int]) -> str:
    """A table of names and values as a Lua literal."""
    pairs = (f"{key} = {lua_string(v) if isinstance(v, str) else v}" for key, v in values.items())
    return f"{{ {'; '.join(pairs)} }}"
