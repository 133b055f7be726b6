"""A controller with a model of its own: the values of one sample, checked by your rules too."""

from pydantic import BaseModel, Field

from iotxmpp import Controller, Device

controller = Controller("house@example.org")


class Climate(BaseModel):
    """Its fields are channels; a sample without one of them is not for this handler."""

    celsius: float = Field(alias="temperature")
    humidity: float = Field(gt=1, description="A sensor that says less is wet or broken.")

    @property
    def feels_damp(self) -> bool:
        """Whether it feels damp."""
        return self.humidity > 60 and self.celsius < 18


@controller.on_reading
def climate(sample: Climate, device: Device) -> None:
    feeling = "damp" if sample.feels_damp else "fine"
    print(f"{device.id}: {sample.celsius:.1f} °C, {sample.humidity:.0f} %, {feeling}")


controller.run()
