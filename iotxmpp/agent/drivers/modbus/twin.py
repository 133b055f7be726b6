"""A simulated device: pymodbus's own server on this machine, whose registers follow the profile's signals."""

import math
from collections.abc import Awaitable, Callable, Mapping, Sequence
from typing import TYPE_CHECKING

from iotxmpp.agent.drivers.modbus.bindings import BITS, Binding, Function
from iotxmpp.agent.drivers.moment import Moment

if TYPE_CHECKING:
    from pymodbus.constants import ExcCodes
    from pymodbus.server.base import ModbusBaseServer
    from pymodbus.simulator import SimData, SimDevice

    Action = Callable[
        [int, int, int, int, list[int], list[int] | list[bool] | None], Awaitable[ExcCodes | None]
    ]

_TABLES: tuple[Function, ...] = ("coil", "discrete", "holding", "input")
_CODES: dict[int, Function] = {
    1: "coil",
    2: "discrete",
    3: "holding",
    4: "input",
    5: "coil",
    6: "holding",
    15: "coil",
    16: "holding",
}
_LAST = 0xFFFF


class Twin:
    """What a simulated device holds.

    Args:
        bound: The channels at their registers.
        unit: The device's address.
        seed: Devices with different seeds have different values.
        clock: Gives the seconds since 1970.
    """

    def __init__(
        self, bound: Mapping[str, Binding], *, unit: int, seed: str, clock: Callable[[], float]
    ) -> None:
        self._bound = bound
        self._kinds = {channel: binding.kind for channel, binding in bound.items()}
        self._unit = unit
        self._seed = seed
        self._clock = clock
        self._written: set[str] = set()
        self._server: ModbusBaseServer | None = None

    async def start(self) -> int:
        """Serves it on the loopback.

        Returns:
            The TCP port.

        Raises:
            OSError: No port can be had.
        """
        from pymodbus.server import ModbusTcpServer  # noqa: PLC0415  # see library.bring_in

        server = ModbusTcpServer(self.device(), address=("127.0.0.1", 0))
        try:
            await server.serve_forever(background=True)
        except RuntimeError as error:
            raise OSError(f"the simulated device: {error}") from error
        self._server = server
        port: int = server.transport.sockets[0].getsockname()[1]  # type: ignore[attr-defined]  # a Server
        return port

    async def stop(self) -> None:
        """Ends it."""
        server, self._server = self._server, None
        if server is not None:
            await server.shutdown()  # type: ignore[no-untyped-call]  # pymodbus gives it no type

    def device(self) -> "SimDevice":
        """The device for a server of pymodbus."""
        from pymodbus.simulator import SimDevice  # noqa: PLC0415  # see library.bring_in

        tables = tuple(self._table(function) for function in _TABLES)
        return SimDevice(self._unit, tables, action=self._refresh)  # type: ignore[arg-type]  # four of them

    def _table(self, function: Function) -> "list[SimData]":
        from pymodbus.simulator import DataType, SimData  # noqa: PLC0415  # see library.bring_in

        taken = sorted({n for each in self._in(function) for n in range(each.start, each.end)})
        if function in BITS:
            return [SimData(n, values=False, datatype=DataType.BITS) for n in taken or [0]]
        if not taken:
            return [SimData(_LAST, datatype=DataType.INVALID)]
        return [SimData(n, datatype=DataType.REGISTERS) for n in taken]

    async def _refresh(  # noqa: PLR0913,PLR0917  # pymodbus calls it so
        self,
        code: int,
        first: int,
        address: int,
        count: int,
        registers: list[int],
        written: list[int] | list[bool] | None,
    ) -> None:
        """Writes what the channels are now into a table, before it is read; what was set stays so."""
        function = _CODES[code]
        # A device measures now and then: what is read right behind fits.
        moment = Moment(self._kinds, seed=self._seed, now=math.floor(self._clock()))
        for binding in self._in(function):
            if written is not None and binding.start < address + count and binding.end > address:
                self._written.add(binding.channel)
            if binding.channel not in self._written:
                self._put(binding, moment, first, registers)

    def _put(self, binding: Binding, moment: Moment, first: int, registers: list[int]) -> None:
        try:
            raw = binding.raw(moment.value(binding.channel))
        except ValueError:
            return  # the profile's signal leaves its own datatype; what stood there stays
        if binding.source.function in BITS:
            # Sixteen coils stand in one register of the table, the first in its lowest bit.
            at, bit = binding.start // 16 - first, 1 << binding.start % 16
            registers[at] = registers[at] | bit if raw[0] else registers[at] & ~bit
        else:
            registers[binding.start - first : binding.end - first] = raw

    def _in(self, function: Function) -> Sequence[Binding]:
        return [binding for binding in self._bound.values() if binding.source.function == function]
