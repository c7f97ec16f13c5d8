"""What may be asked for, and what an accepted wish becomes."""

from uuid import UUID

import pytest
from pydantic import ValidationError

from genonaut.generation.jobs.schemas import NewJob

GOOD = {"prompt": "a lighthouse"}
BAD = [
    ({"prompt": ""}, "prompt"),
    ({"prompt": "  "}, "prompt"),
    ({"prompt": "x" * 20_001}, "prompt"),
    ({"prompt": None}, "prompt"),
    (GOOD | {"job_type": "dance"}, "job_type"),
    (GOOD | {"width": 65}, "width"),
    (GOOD | {"width": 56}, "width"),
    (GOOD | {"height": 2056}, "height"),
    (GOOD | {"params": {"height": 2056}}, "height"),
    (GOOD | {"batch_size": 0}, "batch_size"),
    (GOOD | {"batch_size": 17}, "batch_size"),
    (GOOD | {"lora_models": [{"name": "x"}] * 17}, "lora_models"),
    (GOOD | {"lora_models": [{}]}, "lora_models", 0, "name"),
    (GOOD | {"lora_models": [{"name": "x", "strength_clip": 11}]}, "lora_models", 0, "strength_clip"),
    (GOOD | {"sampler_params": {"steps": 0}}, "sampler_params", "steps"),
    (GOOD | {"sampler_params": {"cfg": 101}}, "sampler_params", "cfg"),
    (GOOD | {"sampler_params": {"seed": 2**64}}, "sampler_params", "seed"),
    (GOOD | {"sampler_params": {"seed": -1}}, "sampler_params", "seed"),
    (GOOD | {"sampler_params": []}, "sampler_params"),
    (GOOD | {"tags": ["x"] * 101}, "tags"),
    (GOOD | {"tags": [""]}, "tags", 0),
    (GOOD | {"title": "x" * 256}, "title"),
    (GOOD | {"params": "x"}, "params"),
    (GOOD | {"parameters": [1]}, "params"),
    (GOOD | {"params": {"x": "y" * 65_536}}, "params"),
    (GOOD | {"params": {"x": [[[[[[[[[[[[[[[[1]]]]]]]]]]]]]]]]}}, "params"),
]


@pytest.mark.parametrize(("wish", "loc"), [(wish, loc) for wish, *loc in BAD], ids=[str(bad)[:60] for bad in BAD])
def test_a_bad_wish_is_refused_where_it_is_bad(wish, loc) -> None:
    with pytest.raises(ValidationError) as refusal:
        NewJob.model_validate({"user_id": str(UUID(int=1)), **wish})
    assert [error["loc"] for error in refusal.value.errors()] == [tuple(loc)]


def test_seeds_are_drawn_anew_and_exact_in_javascript() -> None:
    wish = NewJob.model_validate({"user_id": str(UUID(int=1)), **GOOD, "sampler_params": {"seed": None, "steps": None}})
    seeds = {wish.requested(1, default_checkpoint="base").sampler_params.seed for _ in range(50)}
    assert len(seeds) == 50
    assert all(0 <= seed < 2**53 for seed in seeds)


def test_params_are_kept_as_they_came() -> None:
    params = {"width": 128, "sampler_params": {"seed": 1, "own": None}, "more": None}
    wish = NewJob.model_validate({"user_id": str(UUID(int=1)), **GOOD, "params": params})
    assert wish.params == params
    assert (wish.width, wish.sampler_params.seed) == (128, 1)
