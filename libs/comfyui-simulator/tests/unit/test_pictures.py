"""Pictures repeat to the byte, differ between prompts and seeds, and say what they are."""

import hashlib

import pytest
from PIL import Image, ImageChops, ImageStat

from genonaut.comfyui_simulator.pictures import draw, preview
from genonaut.comfyui_simulator.pictures.palettes import PALETTES
from genonaut.comfyui_simulator.pictures.scenes import SCENES
from genonaut.comfyui_simulator.pictures.subjects import SUBJECTS

PROMPTS = [
    "mountains at sunset", "a boat on the sea at night", "a quiet forest at dawn", "desert dunes", "neon city, a cat",
    "a galaxy", "a red balloon over a summer meadow", "abstract teal", "castle in winter", "lighthouse in a storm",
    "cabin under northern lights", "an astronaut", "deer in autumn", "", "漢字 ünïcødé \N{SNOWMAN}",
]  # fmt: skip


def digest(picture):
    return hashlib.sha256(picture.tobytes()).hexdigest()


def difference(one, other):
    return sum(ImageStat.Stat(ImageChops.difference(one, other)).mean)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_the_same_prompt_and_seed_give_the_same_bytes(prompt):
    first = draw(prompt, 7, 128, 96)
    draw("something else in between", 1, 64, 64)
    assert (first.mode, first.size) == ("RGB", (128, 96))
    assert digest(draw(prompt, 7, 128, 96)) == digest(first)


def test_prompts_and_seeds_give_different_pictures():
    pictures = {digest(draw(prompt, seed, 96, 96)) for prompt in PROMPTS for seed in range(3)}
    assert len(pictures) == 3 * len(PROMPTS)


@pytest.mark.parametrize("prompt", PROMPTS)
def test_no_picture_is_empty(prompt):
    for seed in range(3):
        assert max(ImageStat.Stat(draw(prompt, seed, 64, 64)).stddev) > 12


def test_the_words_choose_the_colours():
    night, noon = draw("the sea at night", 1, 64, 64), draw("the sea at noon", 1, 64, 64)
    assert sum(ImageStat.Stat(night).mean) < sum(ImageStat.Stat(noon).mean) / 2
    red, green, blue = ImageStat.Stat(draw("a green forest", 3, 64, 64)).mean
    assert green > red
    assert green > blue


@pytest.mark.parametrize("size", [(16, 16), (17, 300), (300, 17), (1024, 64)])
def test_every_size_can_be_drawn(size):
    for prompt in PROMPTS:
        assert draw(prompt, 3, *size).size == size


def test_a_small_picture_is_the_large_one_but_smaller():
    for prompt in ("mountains at sunset", "a boat on the sea at night", "a galaxy", "neon city, a cat"):
        large = draw(prompt, 5, 384, 384).resize((96, 96), Image.Resampling.BOX)
        small, other = draw(prompt, 5, 96, 96), draw(prompt, 6, 96, 96)
        assert difference(large, small) < difference(large, other)


def test_pictures_are_signed():
    """The lower left corner of a signed picture differs from the unsigned preview of the finished picture."""
    width, height = 192, 192
    signed = draw("mountains at sunset", 5, width, height)
    unsigned = preview("mountains at sunset", 5, width, height, 1.0)
    corner = (0, height - 20, width // 2, height)
    assert difference(signed.crop(corner), unsigned.crop(corner)) > 5
    assert ImageChops.difference(signed, unsigned).getbbox()[1] >= height - 24


def test_a_long_prompt_is_cut_to_fit():
    plain = preview("mountains " * 60, 5, 192, 192, 1.0)
    box = ImageChops.difference(draw("mountains " * 60, 5, 192, 192), plain).getbbox()
    assert box[2] <= 192 - 9 + 1


def test_previews_come_out_of_the_noise_step_by_step():
    final = preview("a boat on the sea", 2, 256, 128, 1.0)
    assert final.size == (192, 96)
    distances = [difference(preview("a boat on the sea", 2, 256, 128, step / 6), final) for step in range(7)]
    assert distances == sorted(distances, reverse=True)
    assert distances[-1] == 0
    assert digest(preview("x", 1, 64, 64, 0.5)) == digest(preview("x", 1, 64, 64, 0.5))


def test_there_is_variety():
    assert len(SCENES) >= 8
    assert len(PALETTES) >= 12
    assert len(SUBJECTS) >= 8


async def test_a_batch_has_a_picture_for_every_seed(client, txt2img):
    entry = await client.run(txt2img(text="a forest", seed=40, width=128, height=128, batch_size=3, prefix="batch"))
    names = [image["filename"] for image in entry["outputs"]["9"]["images"]]
    assert names == ["batch_00001_.png", "batch_00002_.png", "batch_00003_.png"]
    for index, name in enumerate(names):
        with Image.open(client.simulator.output_dir / name) as picture:
            assert digest(picture) == digest(draw("a forest", 40 + index, 128, 128))


async def test_images_can_be_inverted(client):
    prompt = {
        "1": {"class_type": "EmptyImage", "inputs": {"width": 8, "height": 8, "batch_size": 1, "color": 0x0000FF}},
        "2": {"class_type": "ImageInvert", "inputs": {"image": ["1", 0]}},
        "3": {"class_type": "SaveImage", "inputs": {"filename_prefix": "inverted", "images": ["2", 0]}},
    }
    await client.run(prompt)
    with Image.open(client.simulator.output_dir / "inverted_00001_.png") as picture:
        assert picture.getpixel((0, 0)) == (0xFF, 0xFF, 0)
