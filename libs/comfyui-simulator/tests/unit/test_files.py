"""Facts 24 and 25: names of saved files, what is embedded in them, and what /view lets through."""

import io
import json
import re
import time

import pytest
from PIL import Image

from genonaut.comfyui_simulator.files import SOFTWARE

RULES = "saveimage_filename_prefix_rules"
SKIPPED = {"batch_size_3", "counter_continues", "after_deleting_all_files_counter_restarts", "with_PreviewImage_temp"}


async def test_fact_24_prefixes_become_files_as_recorded(client, recorded, plain):
    rules = {prefix: rule for prefix, rule in recorded(RULES).items() if prefix not in SKIPPED}
    order = ["plain", "sub/dir/x", "%width%x%height%_x"]
    assert order == list(rules)[:3]
    for prefix, rule in rules.items():
        written = prefix * 5 if rule["error"] and rule["error"].startswith("OSError") else prefix
        if prefix == "sub/../ok":
            await client.run(plain(prefix="ok"))
        entry = await client.run(plain(prefix=written))
        assert entry["status"]["status_str"] == rule["status"], prefix
        if rule["images"]:
            today = [
                {**image, "filename": image["filename"].replace("2026-11-20", time.strftime("%Y-%m-%d"))}
                for image in rule["images"]
            ]
            assert entry["outputs"]["2"]["images"] == today
        else:
            failure = entry["status"]["messages"][-1][1]
            told = f"{failure['exception_type']}: {failure['exception_message']}"
            assert re.split("[/\n]", told)[0] == re.split("[/\n]", rule["error"])[0]


async def test_fact_24_a_batch_counts_on_and_starts_again_when_the_files_are_gone(client, recorded, plain):
    rules = recorded(RULES)
    output_dir = client.simulator.output_dir
    first = await client.run(plain(prefix="batch", batch_size=3))
    assert first["outputs"] == rules["batch_size_3"]
    second = await client.run(plain(prefix="batch", color=1))
    assert second["outputs"] == rules["counter_continues"]
    for path in output_dir.glob("batch_*"):
        path.unlink()
    third = await client.run(plain(prefix="batch", color=2))
    assert third["outputs"] == rules["after_deleting_all_files_counter_restarts"]


async def test_fact_24_a_trailing_slash_overwrites(client, plain):
    sizes = []
    for color in (0, 0xFF8800):
        entry = await client.run(plain(prefix="trail/", color=color))
        assert entry["outputs"]["2"]["images"][0]["filename"] == "trail_00001_.png"
        with Image.open(client.simulator.output_dir / "trail_00001_.png") as picture:
            sizes.append(picture.getpixel((0, 0)))
    assert sizes == [(0, 0, 0), (0xFF, 0x88, 0)]


async def test_preview_image_saves_a_temporary_file(client, plain):
    prompt = {**plain(), "3": {"class_type": "PreviewImage", "inputs": {"images": ["1", 0]}}}
    image = (await client.run(prompt))["outputs"]["3"]["images"][0]
    assert (image["type"], image["subfolder"]) == ("temp", "")
    assert image["filename"].startswith("ComfyUI_temp_")
    assert image["filename"].endswith("_00001_.png")
    assert (await client.ask("GET", f"/view?filename={image['filename']}&type=temp"))[0] == 200


async def test_fact_25_pngs_embed_the_prompt_and_all_of_extra_pnginfo(client, recorded, txt2img):
    recording = recorded("png_text_chunks")
    prompt = txt2img(prefix="chunks")
    extra = {"extra_pnginfo": {"workflow": {"id": "wf-1"}, "genonaut_job": "42"}, "kept": "in history only"}
    entry = await client.run(prompt, extra_data=extra)
    with Image.open(client.simulator.output_dir / "chunks_00001_.png") as picture:
        text = dict(picture.text)
        assert (picture.mode, list(picture.size)) == (recording["mode"], recording["size"])
    assert text.pop("Software") == SOFTWARE
    assert text.keys() == recording["text_keys"].keys()
    assert (text["workflow"], text["genonaut_job"]) == ('{"id": "wf-1"}', '"42"')
    assert json.loads(text["prompt"]) == prompt
    assert entry["prompt"][3]["kept"] == "in history only"


async def test_fact_25_view_answers_as_recorded(client, recorded, plain):
    await client.run(plain(prefix="genonaut"))
    url = client.simulator.url
    for name, exchange in recorded("view_all_cases").items():
        if name in {"ok_if_none_match", "type_input"}:  # an ETag of its own; there is no input folder here
            continue
        request, expected = exchange["request"], exchange["response"]
        method, headers = request["method"], request.get("headers")
        async with client.http.request(
            method, url + request["path"], params=request["params"], headers=headers
        ) as answer:
            body = await answer.read()
            assert answer.status == expected["status"], name
            for header in ("Content-Type", "Content-Disposition", "Accept-Ranges"):
                if expected["status"] < 300:
                    assert answer.headers.get(header) == expected["headers"].get(header), (name, header)
            assert ("Etag" in answer.headers) == ("Etag" in expected["headers"])
            if isinstance(expected["body"], dict):
                assert body[:4].hex() == expected["body"]["head_hex"][:8]
                assert ("Content-Range" in answer.headers) == (answer.status == 206)
            else:
                assert body == b""


async def test_fact_25_view_knows_what_a_client_already_has(client, plain):
    await client.run(plain(prefix="genonaut"))
    url = f"{client.simulator.url}/view?filename=genonaut_00001_.png"
    async with (
        client.http.get(url) as first,
        client.http.get(url, headers={"If-None-Match": first.headers["Etag"]}) as second,
    ):
        assert (first.status, second.status) == (200, 304)
        assert await second.read() == b""


async def test_fact_25_a_preview_has_nothing_embedded(client, plain):
    await client.run(plain(prefix="genonaut"))
    url = f"{client.simulator.url}/view?filename=genonaut_00001_.png&channel=rgb"
    async with client.http.get(url) as answer:
        with Image.open(io.BytesIO(await answer.read())) as picture:
            assert picture.text == {}


@pytest.mark.parametrize(
    "query",
    [
        "filename=x%00.png",
        "filename=..%2F..%2Fetc%2Fpasswd",
        "filename=a.png&subfolder=..%2F..",
        "filename=&type=output",
    ],
)
async def test_fact_25_escapes_are_refused(client, query):
    status, body = await client.ask("GET", f"/view?{query}")
    assert status in {400, 403}
    assert body == ""
