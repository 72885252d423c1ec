from __future__ import annotations

import io
import json

import certificates
import factories
import pytest
from PIL import Image

from assay.data.images.c2pa_manifest import may_hold_manifest
from assay.data.images.inspect_image import inspect_image

IPTC = "http://cv.iptc.org/newscodes/digitalsourcetype/"
COMFY_PROMPT = json.dumps({"3": {"class_type": "KSampler", "inputs": {"seed": 1}}})
COMFY_WORKFLOW = json.dumps({"nodes": [{"id": 1, "type": "KSampler"}], "links": []})
A1111 = "a cat on Main Street\nNegative prompt: dog\nSteps: 20, Sampler: Euler a, CFG scale: 7"


def declared(raw: bytes) -> str | None:
    return inspect_image(raw).ai_declared


def test_the_camera_is_kept_and_nothing_of_the_person():
    """Make, model and software are stored; places, owners, artists and comments are not."""
    raw = factories.with_exif(
        tags={
            0x010F: "Canon",
            0x0110: "EOS R5",
            0x0131: "Firmware 1.2",
            0x013B: "Jane Artist",
            0x8298: "Jane Owner",
            0x010E: "my house",
        },
        exif_ifd={0xA430: "Jane Owner", 0x9286: b"ASCII\0\0\0at home", 0xA431: "serial 123"},
        gps_ifd={1: "N", 2: (52.0, 30.0, 0.0)},
    )
    facts = inspect_image(raw)
    assert facts.capture == {"make": "Canon", "model": "EOS R5", "software": "Firmware 1.2"}
    assert "Jane" not in repr(facts)
    assert facts.ai_declared is None


def test_capture_is_none_when_the_file_names_nothing():
    """An image without metadata, or with empty values, has no capture."""
    assert inspect_image(factories.jpeg()).capture is None
    assert inspect_image(factories.with_exif(tags={0x010F: "  \0 "})).capture is None


def test_names_are_one_clean_line():
    """Control characters and very long values do not reach the tables."""
    raw = factories.with_exif(tags={0x010F: "Ca\nnon\x07 ", 0x0110: "x" * 5000})
    capture = inspect_image(raw).capture
    assert capture is not None
    assert capture["make"] == "Ca non"
    assert capture["model"] == "x" * 100


@pytest.mark.parametrize("file_format", ["JPEG", "WEBP", "PNG", "AVIF"])
def test_the_camera_is_read_in_every_format_that_has_exif(file_format):
    """EXIF is found in every format that has it."""
    raw = factories.with_exif(tags={0x0110: "EOS R5"}, file_format=file_format)
    assert inspect_image(raw).capture == {"make": None, "model": "EOS R5", "software": None}


@pytest.mark.parametrize(
    "body",
    [
        f"<Iptc4xmpExt:DigitalSourceType>{IPTC}trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>",
        f'<Iptc4xmpExt:DigitalSourceType rdf:resource="{IPTC}trainedAlgorithmicMedia"/>',
        "<Iptc4xmpExt:DigitalSourceType>trainedAlgorithmicMedia</Iptc4xmpExt:DigitalSourceType>",
    ],
    ids=["element", "resource", "bare"],
)
@pytest.mark.parametrize("file_format", ["JPEG", "PNG", "WEBP", "AVIF"])
def test_iptc_source_types_are_read_from_xmp(body, file_format):
    """IPTC's source types of AI are found in all their spellings and formats."""
    packet = factories.xmp_packet(body)
    if file_format == "PNG":
        raw = factories.png_with_text({"XML:com.adobe.xmp": packet.decode()})
    else:
        raw = factories.encoded(factories.photo(), file_format, xmp=packet)
    assert declared(raw) == "iptc: trainedAlgorithmicMedia"


def test_a_photograph_declares_nothing():
    """IPTC's source type of a camera, and a mere mention of AI, are not declarations."""
    for body in (
        f"<Iptc4xmpExt:DigitalSourceType>{IPTC}digitalCapture</Iptc4xmpExt:DigitalSourceType>",
        "<xmp:Label>not trainedAlgorithmicMedia</xmp:Label>",
        "<xmp:CreatorTool>Adobe Lightroom 14</xmp:CreatorTool>",
    ):
        raw = factories.encoded(factories.photo(), "JPEG", xmp=factories.xmp_packet(body))
        assert declared(raw) is None


@pytest.mark.parametrize(
    ("texts", "claim"),
    [
        ({"parameters": A1111}, "png text: AUTOMATIC1111"),
        ({"prompt": COMFY_PROMPT}, "png text: ComfyUI"),
        ({"workflow": COMFY_WORKFLOW}, "png text: ComfyUI"),
        ({"prompt": COMFY_PROMPT, "workflow": COMFY_WORKFLOW}, "png text: ComfyUI"),
        ({"invokeai_metadata": "{}"}, "png text: InvokeAI"),
        ({"sd-metadata": "{}"}, "png text: InvokeAI"),
        ({"Software": "NovelAI", "Comment": "{}"}, "png text: NovelAI"),
        ({"Source": "Stable Diffusion XL 4BDE2A90"}, "png text: Stable Diffusion"),
        ({"parameters": '{"sui_image_params": {}}'}, "png text: SwarmUI"),
        ({"parameters": "{}", "fooocus_scheme": "fooocus"}, "png text: Fooocus"),
        ({"Description": "a cat --v 6 Job ID: 1", "Title": "x"}, None),
        ({"prompt": "Please answer: what is this?"}, None),
        ({"workflow": "[1, 2"}, None),
        ({"Software": "GIMP 3.0"}, None),
    ],
)
def test_texts_of_the_usual_generators_are_known(texts, claim):
    """PNG texts of generators are distinguished from ordinary texts."""
    assert declared(factories.png_with_text(texts)) == claim
    assert declared(factories.png_with_text(texts, compressed=True)) == claim


def test_prompts_are_never_kept():
    """Prompts do not reach the tables."""
    assert "Main Street" not in repr(inspect_image(factories.png_with_text({"parameters": A1111})))


@pytest.mark.parametrize(
    "comment",
    [
        b"ASCII\0\0\0" + A1111.encode(),
        b"UNICODE\0" + A1111.encode("utf-16-be"),
        b"UNICODE\0" + A1111.encode("utf-16-le"),
        b"\0\0\0\0\0\0\0\0" + A1111.encode(),
    ],
    ids=["ascii", "utf-16-be", "utf-16-le", "undefined"],
)
@pytest.mark.parametrize("file_format", ["JPEG", "WEBP"])
def test_exif_comments_of_generators_are_known(comment, file_format):
    """AUTOMATIC1111's EXIF comment is a claim, in any of its encodings."""
    raw = factories.with_exif(exif_ifd={0x9286: comment}, file_format=file_format)
    assert declared(raw) == "exif comment: AUTOMATIC1111"


def test_exif_software_and_creator_tools_that_only_make_pictures_are_claims():
    """A generator named as software or creator tool is a claim."""
    assert declared(factories.with_exif(tags={0x0131: "NovelAI"})) == "exif software: NovelAI"
    assert declared(factories.with_exif(tags={0x0131: "Adobe Photoshop 26.0"})) is None
    packet = factories.xmp_packet("<xmp:CreatorTool>Adobe Firefly 1.0</xmp:CreatorTool>")
    raw = factories.encoded(factories.photo(), "JPEG", xmp=packet)
    assert declared(raw) == "xmp creator tool: Adobe Firefly"


def test_comfyui_in_the_place_of_a_camera_is_a_claim_and_no_camera():
    """ComfyUI's graph in the field for the make is a claim, not a make."""
    raw = factories.with_exif(
        tags={0x010F: f"workflow:{COMFY_WORKFLOW}", 0x0110: f"prompt:{COMFY_PROMPT}"},
        file_format="WEBP",
    )
    facts = inspect_image(raw)
    assert (facts.ai_declared, facts.capture) == ("exif: ComfyUI", None)


def test_comments_of_jpeg_and_gif_are_read():
    """AUTOMATIC1111's text in a JPEG or GIF comment is a claim."""
    assert declared(factories.jpeg(comment=A1111.encode())) == "comment: AUTOMATIC1111"
    raw = factories.encoded(factories.photo().quantize(8), "GIF", comment=A1111.encode())
    assert declared(raw) == "comment: AUTOMATIC1111"


def test_several_claims_stand_side_by_side():
    """Each kind of claim is listed once."""
    raw = factories.png_with_text(
        {
            "parameters": A1111,
            "Software": "NovelAI",
            "XML:com.adobe.xmp": factories.xmp_packet(
                f"<Iptc4xmpExt:DigitalSourceType>{IPTC}trainedAlgorithmicMedia"
                "</Iptc4xmpExt:DigitalSourceType>"
            ).decode(),
        }
    )
    claims = (declared(raw) or "").split("; ")
    assert sorted(claims) == [
        "iptc: trainedAlgorithmicMedia",
        "png text: AUTOMATIC1111",
        "png text: NovelAI",
    ]


def test_hostile_metadata_does_not_reject_a_picture():
    """Deep JSON and endless text cost the claim, not the image."""
    for text in ("[" * 100_000, "Steps: " * 100_000, "x" * 900_000):
        assert declared(factories.png_with_text({"workflow": text, "parameters": text})) is None


def signed(raw: bytes, source_type: str, *, tamper: bool = False) -> bytes:
    """Return a JPEG with a C2PA manifest, signed by a test certificate."""
    c2pa = pytest.importorskip("c2pa")
    chain, key = certificates.signing_chain()
    info = c2pa.C2paSignerInfo(alg=b"es256", sign_cert=chain, private_key=key, ta_url=None)
    manifest = {
        "claim_generator_info": [{"name": "test generator", "version": "1"}],
        "assertions": [
            {
                "label": "c2pa.actions",
                "data": {
                    "actions": [{"action": "c2pa.created", "digitalSourceType": IPTC + source_type}]
                },
            }
        ],
    }
    out = io.BytesIO()
    with c2pa.Signer.from_info(info) as signer, c2pa.Builder(json.dumps(manifest)) as builder:
        builder.sign(signer, "image/jpeg", io.BytesIO(raw), out)
    made = bytearray(out.getvalue())
    if tamper:
        made[-40] ^= 0x55
    return bytes(made)


def test_a_c2pa_manifest_declares_and_a_broken_one_says_so():
    """A signed manifest is a claim; one with an invalid signature is marked."""
    raw = factories.jpeg(seed=9)
    made = signed(raw, "trainedAlgorithmicMedia")
    assert declared(made) == "c2pa: trainedAlgorithmicMedia by test generator"
    tampered = signed(raw, "trainedAlgorithmicMedia", tamper=True)
    assert declared(tampered) == (
        "c2pa: trainedAlgorithmicMedia by test generator (signature invalid)"
    )
    assert declared(signed(raw, "digitalCapture")) is None


def test_c2pa_is_not_asked_without_a_marker():
    """Images without the bytes of a manifest never reach the native library."""
    assert not may_hold_manifest(factories.jpeg())
    assert declared(factories.jpeg(comment=b"jumb c2pa but no manifest")) is None
    assert Image.open(io.BytesIO(factories.jpeg())).size == factories.SIZE
