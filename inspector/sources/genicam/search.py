"""Searches the network and USB for GenICam cameras."""

from typing import NamedTuple

from inspector.sources.genicam.library import aravis


class Found(NamedTuple):
    """A camera that answered the search."""

    device: str
    """Value for the config's `device`."""
    type: str
    """Value for the config's `type`."""
    protocol: str
    """GigEVision, USB3Vision or V4L2, and the address if it has one."""
    name: str
    """Vendor, model and serial number."""


def found_cameras() -> list[Found]:
    """Search for one second; return all GenICam cameras that answer. Raises SourceError without Aravis."""
    library = aravis()
    library.update_device_list()
    found = []
    for index in range(library.get_n_devices()):
        parts = (library.get_device_vendor, library.get_device_model, library.get_device_serial_nbr)
        name = " ".join(str(text) for part in parts if (text := part(index)))
        place = library.get_device_address(index)
        protocol = f"{library.get_device_protocol(index)} {place}" if place else library.get_device_protocol(index)
        found.append(Found(library.get_device_id(index), "genicam", protocol, name))
    return sorted(found)
