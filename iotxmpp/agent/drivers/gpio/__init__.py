"""GPIO pins by gpiozero: inputs that tell of changes, outputs that commands set, sensors that are asked."""

from iotxmpp.agent.drivers.gpio.driver import GpioDriver

__all__ = ["GpioDriver"]
