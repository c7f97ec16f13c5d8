from datetime import date
from uuid import UUID

from genonaut.contracts.generation import Lora, SamplerParams
from genonaut.generation.comfyui.workflow import attempt_id, filename_prefix, prompt_graph


def test_the_graph_is_the_one_a_real_server_accepted(job, recording):
    accepted = recording("ws_txt2img_lora_batch2_subfolder")["submit"]["request"]["json"]["prompt"]
    asked = job(lora_models=[Lora(name="styles/sub_lora.safetensors")])
    assert prompt_graph(asked, prefix="jobs/42/img") == accepted


def test_loras_form_a_chain_that_sampler_and_texts_hang_on(job):
    asked = job(
        lora_models=[
            Lora(name="ink", strength_model=0.5, strength_clip=0.4),
            Lora(name="fog", strength_model=-1, strength_clip=0),
        ]
    )
    graph = prompt_graph(asked, prefix="p")
    assert graph["10"]["inputs"] == {
        "lora_name": "ink",
        "strength_model": 0.5,
        "strength_clip": 0.4,
        "model": ["4", 0],
        "clip": ["4", 1],
    }
    assert graph["11"]["inputs"]["model"] == ["10", 0]
    assert graph["11"]["inputs"]["clip"] == ["10", 1]
    assert graph["3"]["inputs"]["model"] == ["11", 0]
    assert graph["6"]["inputs"]["clip"] == graph["7"]["inputs"]["clip"] == ["11", 1]


def test_without_loras_everything_hangs_on_the_checkpoint(job):
    graph = prompt_graph(job(), prefix="p")
    assert len(graph) == 7
    assert graph["3"]["inputs"]["model"] == ["4", 0]
    assert graph["6"]["inputs"]["clip"] == ["4", 1]
    assert graph["8"]["inputs"] == {"samples": ["3", 0], "vae": ["4", 2]}


def test_every_parameter_of_the_sampler_is_in_the_graph(job):
    params = SamplerParams(seed=2**64 - 1, steps=7, cfg=1.5, sampler_name="ddim", scheduler="karras", denoise=0.5)
    sampler = prompt_graph(job(sampler_params=params), prefix="p")["3"]["inputs"]
    assert {key: sampler[key] for key in params.model_dump()} == params.model_dump()


def test_every_attempt_has_an_id_and_a_folder_of_its_own():
    first, second = UUID(int=1), UUID(int=2)
    ids = [attempt_id(first, 1), attempt_id(first, 2), attempt_id(second, 1)]
    assert len(set(ids)) == 3
    assert attempt_id(first, 1) == ids[0]
    assert filename_prefix(ids[0], date(2026, 3, 9)) == f"genonaut/20260309/{ids[0]}"
    assert str(ids[0]) == str(ids[0]).lower()
