"""The twins of devices in the store: what is desired, each change in a transaction, and what was reported."""

import json
import secrets
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from functools import cached_property
from typing import Any

import sqlalchemy as sa

from iotxmpp.controller.store.database import Database
from iotxmpp.controller.store.keys import insert_new
from iotxmpp.controller.store.schema import devices, twin_changes, twin_desired, twin_reported
from iotxmpp.errors import InvalidError
from iotxmpp.twin import Desired, Reported, changed, digest, merged, parse_reported, settings_json

MOST_CHANGES = 1_000
"""Names whose last change is remembered; more, and a new lineage begins, whose changes are none yet."""

_LINEAGE_BYTES = 6


@dataclass(frozen=True, kw_only=True)
class Wanted:
    """The desired settings of a device.

    Attributes:
        lineage: In which store, and since when, the versions are counted; empty for nothing desired.
        version: The newest version; 0 for none.
        settings: All settings of it.
    """

    lineage: str = ""
    version: int = 0
    settings: Mapping[str, Any] = field(default_factory=dict)

    @cached_property
    def digest(self) -> str:
        """Names the settings' contents."""
        return digest(self.settings)


class TwinRows:
    """The twins; the calls block.

    Args:
        database: The store's database.
    """

    def __init__(self, database: Database) -> None:
        self._database = database

    def wanted(self, device: str) -> Wanted:
        """What is desired of a device.

        Raises:
            StoreError: It could not be read.
        """
        query = sa.select(twin_desired).join(devices).where(devices.c.name == device)
        with self._database.read() as connection:
            return _wanted(connection.execute(query).one_or_none())

    def reported(self, device: str) -> Reported | None:
        """What a device reported last; None for nothing.

        Raises:
            StoreError: It could not be read.
        """
        query = sa.select(twin_reported.c.document).join(devices).where(devices.c.name == device)
        with self._database.read() as connection:
            text = connection.execute(query).scalar()
        try:
            return None if text is None else parse_reported(text)
        except InvalidError:  # of another program; the device will report again
            return None

    def since(self, device: str, lineage: str, base: int) -> Desired:
        """What leads a device from a version of a lineage to the newest one.

        Of another lineage, or of a version that is not known here, it is everything.

        Raises:
            StoreError: It could not be read.
        """
        query = sa.select(twin_desired).join(devices).where(devices.c.name == device)
        with self._database.read() as connection:
            row = connection.execute(query).one_or_none()
            wanted = _wanted(row)
            if row is None or lineage != wanted.lineage or not 0 < base <= wanted.version:
                return _desired(wanted, 0, wanted.settings, by="" if row is None else row.by)
            later = sa.select(twin_changes.c.key, twin_changes.c.value).where(
                twin_changes.c.device_id == row.device_id, twin_changes.c.version > base
            )
            changes = {key: json.loads(value) for key, value in connection.execute(later)}
        return _desired(wanted, base, changes, by=row.by)

    def desire(
        self,
        device: str,
        changes: Mapping[str, Any],
        *,
        by: str,
        now: float,
        again: frozenset[str] = frozenset(),
    ) -> Wanted:
        """Changes what is desired; on disk when this returns. What changes nothing makes no version.

        Args:
            device: The device's id.
            changes: Values by name; None takes a setting away.
            by: The bare JID of who wants it.
            now: The time, in seconds since 1970.
            again: Names that are to be sent again even where they stay as they are.

        Raises:
            InvalidError: The settings become too many or too long.
            StoreError: It could not be written.
        """
        with self._database.write() as connection:
            key, wanted = _locked(connection, device, now)
            settings = merged(wanted.settings, changes)
            told = changed(wanted.settings, settings)
            told |= {name: value for name, value in changes.items() if name in again}
            if not told:
                return wanted
            settings_json(settings, f"settings of {device}")
            new = Wanted(
                lineage=wanted.lineage or _new_lineage(), version=wanted.version + 1, settings=settings
            )
            if not _remember(connection, key, new.version, told):
                new = _restart(connection, key, new)
            _write(connection, key, new, by=by, now=now)
        return new

    def renew(
        self, device: str, lineage: str, beyond: int, *, now: float, digest: str | None = None
    ) -> Wanted:
        """Begins a new lineage where a device has what this one never led to: the store was restored.

        Args:
            device: The device's id.
            lineage: The lineage.
            beyond: The version of it that the device has.
            now: The time, in seconds since 1970.
            digest: The digest of what the device has; None if it is not known. Then, or if it is that of the
                store's own settings, the lineage ends only where the device's version is later.

        Raises:
            StoreError: It could not be written.
        """
        with self._database.write() as connection:
            key, wanted = _locked(connection, device, now)
            same = wanted.version == beyond and digest in {None, wanted.digest}
            if wanted.lineage != lineage or wanted.version > beyond or same:
                return wanted
            new = _restart(connection, key, wanted)
            _write(connection, key, new, by=None, now=now)
        return new

    def report(self, device: str, reported: Reported, *, now: float) -> None:
        """Keeps what a device reported.

        Raises:
            StoreError: It could not be written.
        """
        with self._database.write() as connection:
            key = _device(connection, device)
            values = {"document": reported.json(), "updated": now}
            insert_new(connection, twin_reported, [{"device_id": key, **values}])
            connection.execute(
                sa.update(twin_reported).where(twin_reported.c.device_id == key).values(**values)
            )


def _wanted(row: Any) -> Wanted:  # noqa: ANN401  # SQLAlchemy's own row, or None
    if row is None or not row.version:
        return Wanted()
    return Wanted(lineage=row.lineage, version=row.version, settings=json.loads(row.settings))


def _desired(wanted: Wanted, base: int, changes: Mapping[str, Any], *, by: str) -> Desired:
    return Desired(
        lineage=wanted.lineage,
        version=wanted.version,
        base=base,
        changes=changes,
        digest=wanted.digest,
        by=by,
    )


def _new_lineage() -> str:
    return secrets.token_hex(_LINEAGE_BYTES)


def _device(connection: sa.Connection, name: str) -> int:
    insert_new(connection, devices, [{"name": name}])
    return int(connection.execute(sa.select(devices.c.id).where(devices.c.name == name)).scalar_one())


def _locked(connection: sa.Connection, device: str, now: float) -> tuple[int, Wanted]:
    """The id of a device and what is desired of it, locked until the transaction ends."""
    key = _device(connection, device)
    empty = {"lineage": "", "version": 0, "settings": "{}", "updated": now, "by": ""}
    insert_new(connection, twin_desired, [{"device_id": key, **empty}])
    query = sa.select(twin_desired).where(twin_desired.c.device_id == key).with_for_update()
    return key, _wanted(connection.execute(query).one())


def _remember(connection: sa.Connection, key: int, version: int, told: Mapping[str, Any]) -> bool:
    """Notes the last change of each name; whether there is room for it."""
    mine = twin_changes.c.device_id == key
    connection.execute(sa.delete(twin_changes).where(mine, twin_changes.c.key.in_(list(told))))
    count = connection.execute(sa.select(sa.func.count()).select_from(twin_changes).where(mine)).scalar_one()
    if count + len(told) > MOST_CHANGES:
        return False
    rows = [
        {"device_id": key, "version": version, "key": name, "value": json.dumps(value)}
        for name, value in told.items()
    ]
    connection.execute(sa.insert(twin_changes), rows)
    return True


def _restart(connection: sa.Connection, key: int, wanted: Wanted) -> Wanted:
    """The same settings in a new lineage, of which no device has any version."""
    connection.execute(sa.delete(twin_changes).where(twin_changes.c.device_id == key))
    return replace(wanted, lineage=_new_lineage())


def _write(connection: sa.Connection, key: int, wanted: Wanted, *, by: str | None, now: float) -> None:
    """Writes what is desired; None leaves who wants it as it is."""
    who = {} if by is None else {"by": by}
    connection.execute(
        sa.update(twin_desired)
        .where(twin_desired.c.device_id == key)
        .values(
            lineage=wanted.lineage,
            version=wanted.version,
            settings=json.dumps(dict(wanted.settings)),
            updated=now,
            **who,
        )
    )
