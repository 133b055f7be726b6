"""The twin of a device on the wire: what its settings should be, and what they are; `urn:iotxmpp:twin:0`.

The controller alone writes the desired settings, the device alone the reported ones. Desired settings have a
lineage, a random word that says in which store they were begun, and a version that grows by one a change.
"""

import hashlib
import json
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from itertools import chain
from typing import Any, Final
from xml.etree.ElementTree import Element

from iotxmpp.addresses import bare_jid
from iotxmpp.errors import InvalidError
from iotxmpp.payloads import json_element, json_text
from iotxmpp.strictjson import levels, parse_json
from iotxmpp.xmltext import check_text, clean_text

NAMESPACE: Final = "urn:iotxmpp:twin:0"
DESIRED_TAG: Final = f"{{{NAMESPACE}}}desired"
REPORTED_ITEM: Final = "reported"
"""The id of the item on a device's `state` node."""

SEND_ALL: Final = f"{{{NAMESPACE}}}send-all"
"""The application's condition of an error that asks for all desired settings."""

LARGEST_VERSION: Final = 2**63 - 1
MOST_SETTINGS: Final = 200
"""Settings of one twin."""

LONGEST_NAME: Final = 128
"""Characters of a setting's name."""

LONGEST_JSON: Final = 64 * 1024
"""Bytes of JSON that the settings of one twin take at most."""

DEEPEST_JSON: Final = 32
"""Levels of lists and objects in it."""

STILL: Final = "still being applied"
"""So begins why a value does not hold whose setting's function has not returned; the truth follows."""

_LONGEST_WHY = 200
_DIGEST = re.compile(r"[0-9a-f]{64}")
_LINEAGE = re.compile(r"[A-Za-z0-9-]{1,32}")
_NAME = re.compile(r"[A-Za-z0-9][A-Za-z0-9:./_ -]*")
_VERSION = re.compile(r"0|[1-9][0-9]{0,18}")

Settings = Mapping[str, Any]
"""Values by name, as JSON has them; in a change None means that the setting is taken away."""


@dataclass(frozen=True, kw_only=True, slots=True)
class Desired:
    """What a controller sends: the changes that lead from one version to another.

    Attributes:
        lineage: In which store the versions are counted.
        version: The version that this leads to, 1 or more.
        base: The version that it starts from; 0 for none: then the changes are all that there is.
        changes: The settings that differ; None for one that was taken away.
        digest: The `digest` of all settings of this version; empty where it is not told.
        by: The bare JID of who changed them last; empty for the controller.
    """

    lineage: str
    version: int
    base: int = 0
    changes: Settings = field(default_factory=dict)
    digest: str = ""
    by: str = ""

    def element(self) -> Element:
        """The payload of the request.

        Raises:
            InvalidError: It breaks the rules of `check_settings`.
        """
        attributes = {"lineage": self.lineage, "version": str(self.version), "base": str(self.base)}
        if self.digest:
            attributes["digest"] = self.digest
        if _is_bare(self.by):
            attributes["by"] = self.by
        element = Element(DESIRED_TAG, attributes)
        element.append(json_element(settings_json(self.changes, "desired")))
        return element


@dataclass(frozen=True, kw_only=True, slots=True)
class Reported:
    """What a device publishes.

    Attributes:
        lineage: The lineage of the desired state that it acted on; empty for none.
        desired: The version of it; 0 for none.
        version: The version of this report; it grows.
        settings: The settings that hold.
        refused: Why desired settings do not hold, by their names.
        digest: The `digest` of the desired settings that it acted on; empty where it is not told.
    """

    lineage: str = ""
    desired: int = 0
    version: int = 0
    settings: Settings = field(default_factory=dict)
    refused: Mapping[str, str] = field(default_factory=dict)
    digest: str = ""

    def json(self) -> str:
        """The JSON text of the item."""
        return json.dumps(
            {
                "form": 1,
                "lineage": self.lineage,
                "desired": self.desired,
                "digest": self.digest,
                "version": self.version,
                "settings": dict(self.settings),
                "refused": {name: clean_text(why, _LONGEST_WHY) for name, why in self.refused.items()},
            },
            separators=(",", ":"),
            allow_nan=False,
        )


@dataclass(frozen=True, kw_only=True, slots=True)
class Twin:
    """What a controller knows of a device's settings.

    Attributes:
        desired: What they should be.
        desired_version: The version of that; 0 for nothing desired so far.
        reported: What they are, as the device said last.
        reported_version: The desired version that the device acted on last; 0 for none, or for one that
            another store counted.
        refused: Why desired settings do not hold, by their names.
    """

    desired: Settings = field(default_factory=dict)
    desired_version: int = 0
    reported: Settings = field(default_factory=dict)
    reported_version: int = 0
    refused: Mapping[str, str] = field(default_factory=dict)

    @property
    def in_sync(self) -> bool:
        """Whether the device acted on the newest desired version and refused nothing of it."""
        return self.settled and not self.refused

    @property
    def settled(self) -> bool:
        """Whether the device acted on the newest desired version, whatever it refused."""
        return self.reported_version == self.desired_version


def merged(settings: Settings, changes: Settings) -> dict[str, Any]:
    """The settings after changes."""
    both = {**settings, **changes}
    return {name: value for name, value in both.items() if value is not None}


def digest(settings: Settings) -> str:
    """Names the contents of settings: SHA-256 in hex of their JSON.

    The JSON has its names sorted, no spaces, ASCII alone, and whole numbers without a fraction.
    """
    text = json.dumps(_whole(dict(settings)), allow_nan=False, separators=(",", ":"), sort_keys=True)
    return hashlib.sha256(text.encode("ascii")).hexdigest()


def changed(before: Settings, after: Settings) -> dict[str, Any]:
    """The changes that lead from some settings to others; 1 and true are not the same."""
    told = {
        name: value for name, value in after.items() if name not in before or not same(before[name], value)
    }
    return told | dict.fromkeys(before.keys() - after.keys())


def same(one: object, other: object) -> bool:
    """Whether two JSON values are the same; 1 and 1.0 are, 1 and true are not."""
    if isinstance(one, bool) or isinstance(other, bool):
        return one is other
    if isinstance(one, dict) and isinstance(other, dict):
        return one.keys() == other.keys() and all(same(one[key], other[key]) for key in one)
    if isinstance(one, list) and isinstance(other, list):
        return len(one) == len(other) and all(map(same, one, other))
    return one == other


def parse_desired(element: Element) -> Desired:
    """What a `<desired/>` says.

    Raises:
        InvalidError: It breaks the rules; the text says which.
    """
    payloads = list(element)
    if len(payloads) != 1:
        raise InvalidError("desired: expected one <json/> with the settings")
    version = _version(element.get("version", ""), "desired: version")
    base = _version(element.get("base", "0"), "desired: base")
    if version == 0 or base > version:
        raise InvalidError(f"desired: version {version} from base {base}: a version follows its base")
    return Desired(
        lineage=_lineage(element.get("lineage", ""), "desired: lineage"),
        version=version,
        base=base,
        changes=parse_settings(json_text(payloads[0]), "desired"),
        digest=_digest(element.get("digest", ""), "desired: digest"),
        by=_by(element.get("by", "")),
    )


def parse_reported(text: str) -> Reported:
    """What a device reports.

    Raises:
        InvalidError: It breaks the rules; the text says which.
    """
    given = json_object(text, "reported", longest=4 * LONGEST_JSON, deepest=DEEPEST_JSON + 1)
    if given.get("form") != 1 or isinstance(given.get("form"), bool):
        raise InvalidError("reported: form: this program reads form 1")
    lineage, refused = given.get("lineage"), given.get("refused", {})
    if not isinstance(refused, dict) or not all(isinstance(why, str) for why in refused.values()):
        raise InvalidError("reported: refused: expected an object of sentences by name")
    settings = given.get("settings", {})
    if not isinstance(settings, dict):
        raise InvalidError("reported: settings: expected an object of values by name")
    return Reported(
        lineage="" if lineage == "" else _lineage(lineage, "reported: lineage"),
        desired=_number(given.get("desired"), "reported: desired"),
        version=_number(given.get("version"), "reported: version"),
        settings=check_names(settings, "reported"),
        refused={
            name: clean_text(why, _LONGEST_WHY) for name, why in check_names(refused, "reported").items()
        },
        digest=_digest(given.get("digest", ""), "reported: digest"),
    )


def parse_settings(text: str, where: str) -> dict[str, Any]:
    """Settings from their JSON text.

    Raises:
        InvalidError: It is no JSON object, is too long or too deep, or a name is none.
    """
    return check_names(json_object(text, where), where)


def settings_json(settings: Settings, where: str) -> str:
    """Settings as JSON text.

    Raises:
        InvalidError: JSON cannot hold them, they are too many, too long or too deep, or a name is none.
    """
    try:
        text = json.dumps(dict(settings), allow_nan=False, separators=(",", ":"))
    except (TypeError, ValueError, RecursionError) as error:
        raise InvalidError(f"{where}: JSON cannot hold the settings: {error}") from error
    parse_settings(text, where)
    return text


def check_name(name: str, where: str) -> str:
    """Returns the name of a setting: letters, digits and `:./_ -`, with a letter or a digit first.

    Raises:
        InvalidError: It is none.
    """
    if len(name) > LONGEST_NAME or not _NAME.fullmatch(name):
        raise InvalidError(
            f"{where}: {clean_text(name, 80)!r} is no name of a setting: use 1 to {LONGEST_NAME} of"
            " A-Z, a-z, 0-9, space and :./_-, a letter or a digit first"
        )
    return name


def check_names(settings: dict[str, Any], where: str) -> dict[str, Any]:
    """Returns settings whose number and names follow the rules.

    Raises:
        InvalidError: They do not.
    """
    if len(settings) > MOST_SETTINGS:
        raise InvalidError(f"{where}: {len(settings)} settings, at most {MOST_SETTINGS} are taken")
    for name in settings:
        check_name(name, where)
    return settings


def json_object(
    text: str, where: str, *, longest: int = LONGEST_JSON, deepest: int = DEEPEST_JSON
) -> dict[str, Any]:
    """A JSON object, strictly: finite numbers, no key twice, text that XML carries, not long, not deep.

    Raises:
        InvalidError: It is none.
    """
    size = len(text.encode("utf-8", "surrogatepass"))
    if size > longest:
        raise InvalidError(f"{where}: {size} bytes of JSON, at most {longest} are taken")
    given = parse_json(text, where, deepest=deepest)
    if not isinstance(given, dict):
        raise InvalidError(f"{where}: expected a JSON object")
    for value in chain.from_iterable(levels(given)):
        if isinstance(value, str):
            check_text(value, where)
    return given


def _lineage(text: object, where: str) -> str:
    if not isinstance(text, str) or not _LINEAGE.fullmatch(text):
        raise InvalidError(f"{where}: expected 1 to 32 of A-Z, a-z, 0-9 and -")
    return text


def _digest(text: object, where: str) -> str:
    if not isinstance(text, str) or (text and not _DIGEST.fullmatch(text)):
        raise InvalidError(f"{where}: expected 64 of 0-9 and a-f")
    return text


def _by(text: str) -> str:
    if text and not _is_bare(text):
        raise InvalidError("desired: by: expected a bare JID")
    return text


def _is_bare(text: str) -> bool:
    try:
        return bool(text) and bare_jid(text) == text
    except InvalidError:
        return False


def _whole(value: Any) -> Any:  # noqa: ANN401  # any JSON
    """The same JSON, with 1 for 1.0: on the way either may become the other."""
    if isinstance(value, float) and value.is_integer():
        return int(value)
    if isinstance(value, dict):
        return {name: _whole(inner) for name, inner in value.items()}
    return [_whole(inner) for inner in value] if isinstance(value, list) else value


def _version(text: str, where: str) -> int:
    if not _VERSION.fullmatch(text):
        raise InvalidError(f"{where}: expected a whole number from 0 to {LARGEST_VERSION}")
    return _number(int(text), where)


def _number(value: object, where: str) -> int:
    if type(value) is not int or not 0 <= value <= LARGEST_VERSION:
        raise InvalidError(f"{where}: expected a whole number from 0 to {LARGEST_VERSION}")
    return value
