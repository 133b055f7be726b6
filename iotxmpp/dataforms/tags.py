"""The names of XEP-0004's and XEP-0122's elements."""

from typing import Final

DATA: Final = "jabber:x:data"
FORM_TAG: Final = f"{{{DATA}}}x"
FIELD_TAG: Final = f"{{{DATA}}}field"
VALUE_TAG: Final = f"{{{DATA}}}value"
REPORTED_TAG: Final = f"{{{DATA}}}reported"
VALIDATE: Final = "http://jabber.org/protocol/xdata-validate"
FORM_TYPE: Final = "FORM_TYPE"
"""The hidden field that names a form's kind (XEP-0068)."""
