"""The labelling interface of Label Studio for assay's labels, as its XML configuration.

Source: tags View, Image, Choices, Choice and TextArea, https://labelstud.io/tags/
"""

from __future__ import annotations

from xml.etree.ElementTree import Element, SubElement, indent, tostring

from ...data.vocabulary import Label, ReviewReason
from .label_studio_values import (
    IMAGE_KEY,
    LABEL_CONTROL,
    LABEL_TEXTS,
    NOTE_CONTROL,
    REASON_CONTROL,
)


def interface_xml() -> str:
    """Return the labelling interface: image, label with keys 1 to 4, reason and note.

    Labels and reasons are stored by their words, whatever text is shown.
    """
    view = Element("View")
    SubElement(view, "Image", name="image", value=f"${IMAGE_KEY}", zoom="true", zoomControl="true")
    labels = _choices(view, LABEL_CONTROL, is_required=True)
    for key, label in enumerate(Label, start=1):
        text = LABEL_TEXTS[label.value]
        SubElement(labels, "Choice", value=text, alias=label.value, hotkey=str(key))
    SubElement(view, "Header", value="Reason (optional)", size="6")
    reasons = _choices(view, REASON_CONTROL, is_required=False)
    for reason in ReviewReason:
        SubElement(reasons, "Choice", value=reason.text, alias=reason.value)
    SubElement(
        view,
        "TextArea",
        name=NOTE_CONTROL,
        toName="image",
        placeholder="Note (optional)",
        rows="2",
        maxSubmissions="1",
        editable="true",
    )
    indent(view)
    return tostring(view, encoding="unicode") + "\n"


def _choices(view: Element, name: str, *, is_required: bool) -> Element:
    """Add a control of which one choice is taken, with the choices side by side."""
    required = str(is_required).lower()
    settings = {"toName": "image", "choice": "single", "showInline": "true", "required": required}
    return SubElement(view, "Choices", {"name": name, **settings})
