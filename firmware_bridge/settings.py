"""Settings of the serial driver: `[driver]` of an agent's file."""

from pathlib import Path
from typing import Annotated, Literal

from pydantic import BaseModel, ConfigDict, Field

from iotxmpp.agent.drivers import LocalPath
from iotxmpp.agent.drivers.texts import PlainName

Seconds = Annotated[float, Field(gt=0, allow_inf_nan=False)]

ToolName = Literal["avrdude", "esptool", "dfu-util", "smpclient"]


class FlashSettings(BaseModel):
    """How the board's firmware is updated: `[driver.flash]`.

    Attributes:
        tool: The program that writes it.
        folder: Where the files lie, beside the agent's file unless it starts with `/`; a call names a file
            in it, and can name no other.
        arguments: More arguments for the program, such as `["-p", "m328p"]`; `{port}` and `{file}` in them
            are replaced, and those that it takes before its command alone are put there.
        timeout: Seconds that the program may take.
        quiet: Seconds that it may say nothing new.
        hello_within: Seconds that the board has afterwards to say its new version.
    """

    model_config = ConfigDict(frozen=True, extra="forbid")

    tool: ToolName
    folder: LocalPath = Field(default=Path("firmware"), validate_default=True)
    arguments: tuple[str, ...] = ()
    timeout: Seconds = 300.0
    quiet: Seconds = 60.0
    hello_within: Seconds = 30.0


class SerialSettings(BaseModel):
    """Settings of the serial driver.

    Attributes:
        port: The port: a path such as `/dev/serial/by-path/…`, a pattern such as `/dev/ttyUSB*`, or
            `socket://host:port`. Left out, every USB port is asked, which resets some boards.
        board: The id that the board says in its hello; the only board there unless given.
        baud: Bits a second.
        protocol: `text`, `frames`, `auto` for whichever the board speaks, or `pms5003` for that sensor.
        reset_wait: Seconds that a board may take to start after its port was opened, which resets many; its
            first word ends them.
        silence: Seconds without a new value after which a number is a problem; 0 for never.
        flash: How its firmware is updated; None for not at all.
        simulated: Whether the board is a made-up one in memory, spoken to as a real one.
        seed: Simulated boards with different seeds differ; the profile's id unless given.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", coerce_numbers_to_str=True)

    port: PlainName | None = None
    board: Annotated[str, Field(min_length=1)] | None = None
    baud: int = Field(default=115_200, ge=50, le=4_000_000)
    protocol: Literal["auto", "text", "frames", "pms5003"] = "auto"
    reset_wait: float = Field(default=2.0, ge=0, le=30, allow_inf_nan=False)
    silence: float = Field(default=0.0, ge=0, allow_inf_nan=False)
    flash: FlashSettings | None = None
    simulated: bool = False
    seed: str = ""
