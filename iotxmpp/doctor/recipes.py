"""The lines of Prosody's and ejabberd's configuration that a check advises."""

from typing import Final, Literal

ServerName = Literal["Prosody", "ejabberd", ""]

_PROSODY: Final = {
    "management": 'modules_enabled = {{ …, "smacks" }}',
    "pubsub": 'Component "{service}" "pubsub"\n\tadmins = {{ "admin@{domain}" }}\n\texpose_publisher = true',
    "create": 'Component "{service}" "pubsub"\n\tadmins = {{ "admin@{domain}" }}',
    "commands": 'modules_enabled = {{ …, "admin_adhoc" }}',
    "limits": "c2s_stanza_size_limit = 262144",
    "stamp": 'Component "{service}" "pubsub"\n\texpose_publisher = true',
}
_EJABBERD: Final = {
    "management": 'mod_stream_mgmt: {{resume_timeout: "20 s", ack_timeout: "10 s"}}',
    "pubsub": 'mod_pubsub: {{host: "{service}", access_createnode: configure, plugins: [flat]}}',
    "create": "mod_pubsub: {{access_createnode: configure}}",
    "commands": "mod_adhoc: {{}}\nmod_configure: {{}}",
    "limits": "max_stanza_size: 262144",
    "stamp": "mod_pubsub: {{default_node_config: {{itemreply: publisher}}}}",
}
_FILES: Final = {"Prosody": "prosody.cfg.lua", "ejabberd": "ejabberd.yml"}


def server_name(names: tuple[str, ...]) -> ServerName:
    """Which server it is, by the names of its identities; empty for another, or one that does not tell."""
    text = " ".join(names).lower()
    if "prosody" in text:
        return "Prosody"
    return "ejabberd" if "ejabberd" in text or "publish-subscribe" in text else ""


def recipe(what: str, server: ServerName, *, service: str, domain: str) -> tuple[str, ...]:
    """The lines to write, for that server or for both.

    Args:
        what: `management`, `pubsub`, `create`, `commands`, `limits` or `stamp`.
        server: The server, if it is known.
        service: The PubSub service.
        domain: The server's domain.
    """
    recipes = {"Prosody": _PROSODY, "ejabberd": _EJABBERD}
    wanted = [server] if server else ["Prosody", "ejabberd"]
    lines = []
    for name in wanted:
        filled = recipes[name][what].format(service=service, domain=domain)
        lines += [f"{_FILES[name]}: {line}" for line in filled.splitlines()]
    return tuple(lines)
