"""A controller: says who is there, and waters where it is too hot."""

from iotxmpp import Controller, Device

controller = Controller("house@example.org")


@controller.on_presence
def came_or_went(device: Device) -> None:
    print(f"{device.id} is {device.state}")


@controller.on_reading("temperature")
async def too_hot(temperature: float, device: Device) -> None:
    print(f"{device.id}: {temperature:.1f} °C")
    if temperature > 30:
        print(await device.call("water", seconds=20))


controller.run()
