"""Commands of other packages: those that the entry-point group `iotxmpp.cli` names."""

from importlib.metadata import EntryPoint, entry_points

import typer

from iotxmpp.errors import ConfigError

GROUP = "iotxmpp.cli"
"""The entry-point group: a name, and a `typer.Typer` that becomes the commands below that name."""


def add_plugins(app: typer.Typer) -> None:
    """Adds what is installed; one that cannot be loaded is there, too, and says why when it is called."""
    known = {group.name for group in app.registered_groups} | {each.name for each in app.registered_commands}
    for point in sorted(entry_points(group=GROUP), key=lambda each: each.name):
        if point.name in known:
            continue
        known.add(point.name)
        try:
            plugin = point.load()
            if not isinstance(plugin, typer.Typer):
                raise TypeError(f"{type(plugin).__name__} is no typer.Typer")  # noqa: TRY301  # told as all others
        except Exception as error:  # noqa: BLE001  # whatever a foreign module raises must not end ours
            _add_broken(app, point, error)
        else:
            app.add_typer(plugin, name=point.name)


def _add_broken(app: typer.Typer, point: EntryPoint, error: Exception) -> None:
    why = f"{type(error).__name__}: {error}"

    def broken() -> None:
        raise ConfigError(f"{point.name}: the plug-in {point.value} cannot be loaded: {why}; install it anew")

    settings = {"allow_extra_args": True, "ignore_unknown_options": True}
    app.command(point.name, help="(cannot be loaded)", context_settings=settings)(broken)
