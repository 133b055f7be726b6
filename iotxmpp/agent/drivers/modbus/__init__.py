"""Devices that speak Modbus, on a serial line (RTU) or over TCP, by pymodbus: registers as channels."""

from iotxmpp.agent.drivers.modbus.driver import ModbusDriver

__all__ = ["ModbusDriver"]
