"""Commands served: by a device's agent and by a controller, at every door alike.

Each module is loaded when it is first needed: a device whose commands are all idempotent opens no journal,
and one that nobody opens a form on loads no forms.
"""
