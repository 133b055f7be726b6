"""The demo: a server, devices in processes of their own, and a controller, all on this machine."""
