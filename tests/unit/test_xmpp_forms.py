"""Data forms (XEP-0004)."""

from xml.etree.ElementTree import XML, Element, tostring

from iotxmpp.xmpp.forms import DATA, fields_of, submit


def test_the_fields_that_a_form_offers() -> None:
    form = XML(
        f"<x xmlns='{DATA}' type='form'><title>t</title><field var='a'/><field type='fixed'/><field var=''/>"
        "<field var='b' type='list-single'><option><value>1</value></option></field></x>"
    )
    assert fields_of(form) == {"a", "b"}
    assert fields_of(Element("x")) == set()


def test_a_form_as_it_is_sent() -> None:
    form = XML(tostring(submit("urn:x", {"one": "1", "several": ["a", "b"], "none": []})))
    assert (form.tag, form.get("type")) == (f"{{{DATA}}}x", "submit")
    sent = {field.get("var"): [value.text for value in field.findall(f"{{{DATA}}}value")] for field in form}
    assert sent == {"FORM_TYPE": ["urn:x"], "one": ["1"], "several": ["a", "b"], "none": []}
    assert form[0].get("type") == "hidden"
