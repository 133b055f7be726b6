"""Commands as forms for people: XEP-0004 with the types of XEP-0122, made from a command's description.

Plain ElementTree, and loaded only when a person asks for a form.
"""

from iotxmpp.dataforms.results import result_form
from iotxmpp.dataforms.shown import form_element
from iotxmpp.dataforms.submitted import read_submitted
from iotxmpp.dataforms.tags import FORM_TAG, REPORTED_TAG

__all__ = ["FORM_TAG", "REPORTED_TAG", "form_element", "read_submitted", "result_form"]
