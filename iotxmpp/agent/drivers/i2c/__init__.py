"""Sensors on an I2C bus, by smbus2: what stands in their registers, in the units of the channels."""

from iotxmpp.agent.drivers.i2c.driver import I2cDriver

__all__ = ["I2cDriver"]
