import json
from uuid import UUID

import pytest

from genonaut.contracts.generation import Lora, SamplerParams
from genonaut.generation.comfyui.failures import (
    LostError,
    NodeError,
    OutOfMemoryError,
    RejectedError,
    RunInterruptedError,
)
from genonaut.generation.comfyui.verdict import (
    Absent,
    Failed,
    Output,
    Pending,
    Queue,
    Running,
    Succeeded,
    judge,
    refusal,
)
from genonaut.generation.comfyui.workflow import prompt_graph

ID = UUID("11111111-2222-3333-4444-555555555555")
OTHER = "99999999-2222-3333-4444-555555555555"
NOWHERE = Queue(running=(), pending=())


@pytest.fixture
def graph(job):
    return prompt_graph(job(), prefix="p")


def entry(exchange):
    return next(iter(exchange["response"]["body"].values()))


def error_entry(**data):
    message = {"node_id": "3", "exception_type": "RuntimeError", "exception_message": "", **data}
    return {
        "outputs": {},
        "status": {"status_str": "error", "completed": False, "messages": [["execution_error", message]]},
    }


class TestJudge:
    def test_success_names_the_files_with_their_folders(self, graph, recording):
        history = entry(recording("ws_txt2img_lora_batch2_subfolder")["history"])
        assert judge(ID, graph, queue=NOWHERE, history=history) == Succeeded(
            (
                Output(filename="img_00001_.png", subfolder="jobs/42"),
                Output(filename="img_00002_.png", subfolder="jobs/42"),
            )
        )

    def test_success_without_a_folder(self, graph, recording):
        history = entry(recording("history_success_txt2img"))
        assert judge(ID, graph, queue=NOWHERE, history=history) == Succeeded((Output("genonaut_00001_.png", ""),))

    def test_a_cached_run_succeeds_too(self, graph, recording):
        history = entry(recording("ws_cached_rerun")["history_after"])
        assert judge(ID, graph, queue=NOWHERE, history=history) == Succeeded((Output("genonaut_00003_.png", ""),))

    def test_a_node_error_names_the_node_and_what_it_raised_only(self, graph, recording):
        history = entry(recording("ws_error_corrupted_checkpoint")["history"])
        verdict = judge(ID, graph, queue=NOWHERE, history=history)
        assert isinstance(verdict, Failed)
        assert isinstance(verdict.error, NodeError)
        assert str(verdict.error) == "CheckpointLoaderSimple failed (SafetensorError)."
        assert not verdict.error.retryable

    def test_a_failed_prompt_may_list_finished_outputs_and_has_failed_all_the_same(self, graph, recording):
        history = entry(recording("ws_error_with_partial_outputs")["history"])
        assert history["outputs"]
        verdict = judge(ID, graph, queue=NOWHERE, history=history)
        assert isinstance(verdict, Failed)
        assert verdict.error.error_type == "node_error"

    def test_an_interruption_is_told_from_an_error_by_the_last_message(self, graph, recording):
        history = entry(recording("ws_interrupted_by_prompt_id")["history"])
        assert history["status"]["status_str"] == "error"
        verdict = judge(ID, graph, queue=NOWHERE, history=history)
        assert isinstance(verdict, Failed)
        assert isinstance(verdict.error, RunInterruptedError)

    def test_the_last_of_several_words_counts(self, graph):
        history = error_entry()
        history["status"]["messages"] += [["execution_interrupted", {}], ["something_new", {}]]
        verdict = judge(ID, graph, queue=NOWHERE, history=history)
        assert isinstance(verdict, Failed)
        assert isinstance(verdict.error, RunInterruptedError)

    @pytest.mark.parametrize(
        ("kind", "message"),
        [
            ("torch.OutOfMemoryError", "Allocation on device 0 would exceed allowed memory."),
            ("torch.cuda.OutOfMemoryError", "CUDA out of memory. Tried to allocate 2.00 GiB"),
            ("RuntimeError", "MPS backend out of memory (MPS allocated: 9.05 GB)"),
            ("MemoryError", ""),
        ],
    )
    def test_every_dialect_of_out_of_memory(self, graph, kind, message):
        history = error_entry(exception_type=kind, exception_message=message)
        verdict = judge(ID, graph, queue=NOWHERE, history=history)
        assert isinstance(verdict, Failed)
        assert isinstance(verdict.error, OutOfMemoryError)
        assert "GiB" not in str(verdict.error)

    def test_nothing_of_a_hostile_error_is_repeated(self, graph):
        history = error_entry(
            node_id="/opt/ComfyUI", exception_type="a.b </script>", exception_message="/opt/ComfyUI/models/secret"
        )
        verdict = judge(ID, graph, queue=NOWHERE, history=history)
        assert isinstance(verdict, Failed)
        assert str(verdict.error) == "A node failed."

    def test_pictures_of_other_nodes_and_previews_do_not_count(self, graph):
        images = [{"filename": "x.png", "subfolder": "", "type": "output"}]
        history = {"outputs": {"77": {"images": images}}, "status": {"messages": [["execution_success", {}]]}}
        verdict = judge(ID, graph, queue=NOWHERE, history=history)
        assert isinstance(verdict, Failed)
        history["outputs"] = {"9": {"images": [{**images[0], "type": "temp"}, *images]}}
        assert judge(ID, graph, queue=NOWHERE, history=history) == Succeeded((Output("x.png", ""),))

    @pytest.mark.parametrize("status", [None, {}, {"messages": None}, {"messages": [["x"], 5, ["y", None]]}, "error"])
    def test_an_entry_without_a_last_word_has_failed(self, graph, status):
        verdict = judge(ID, graph, queue=NOWHERE, history={"outputs": None, "status": status})
        assert isinstance(verdict, Failed)
        assert isinstance(verdict.error, NodeError)

    def test_a_prompt_in_the_queue_is_not_over_whatever_history_says(self, graph, recording):
        history = entry(recording("history_success_txt2img"))
        running = Queue(running=(str(ID),), pending=())
        pending = Queue(running=(OTHER,), pending=(str(ID),))
        assert judge(ID, graph, queue=running, history=history) == Running()
        assert judge(ID, graph, queue=pending, history=history) == Pending(nothing_runs=False)

    def test_waiting_while_nothing_runs_is_told_apart(self, graph):
        queue = Queue(running=(), pending=(OTHER, str(ID)))
        assert judge(ID, graph, queue=queue, history=None) == Pending(nothing_runs=True)

    def test_lost_means_absent_twice_running(self, graph):
        queue = Queue(running=(OTHER,), pending=())
        assert judge(ID, graph, queue=queue, history=None) == Absent()
        verdict = judge(ID, graph, queue=queue, history=None, absences=1)
        assert isinstance(verdict, Failed)
        assert isinstance(verdict.error, LostError)
        assert verdict.error.retryable


LEAKS = ("/opt", "Traceback", "File ", "corrupted.safetensors", "lab_random_lora", ".py", "list of length", "tooltip")


class TestRefusal:
    @pytest.mark.parametrize(
        ("name", "changes", "reason"),
        [
            (
                "prompt_fail_invalid_checkpoint_name",
                {"checkpoint_model": "does_not_exist.safetensors"},
                "CheckpointLoaderSimple: ckpt_name 'does_not_exist.safetensors' is not available on this worker",
            ),
            (
                "prompt_fail_invalid_sampler_and_checkpoint_two_errors",
                {
                    "checkpoint_model": "does_not_exist.safetensors",
                    "sampler_params": SamplerParams(seed=1, sampler_name="nope"),
                },
                (
                    "CheckpointLoaderSimple: ckpt_name 'does_not_exist.safetensors' is not available on this worker; "
                    "KSampler: sampler_name 'nope' is not available on this worker"
                ),
            ),
            (
                "prompt_fail_invalid_lora_name",
                {"lora_models": [Lora(name="no_lora")]},
                "LoraLoader: lora_name 'no_lora' is not available on this worker",
            ),
            (
                "prompt_fail_value_smaller_than_min",
                {"sampler_params": SamplerParams(seed=1, steps=0)},
                "KSampler: steps 0 is too small",
            ),
            ("prompt_fail_value_bigger_than_max", {"width": 99999}, "EmptyLatentImage: width 99999 is too big"),
            ("prompt_fail_missing_required_input", {}, "KSampler: seed is missing"),
            ("prompt_fail_link_type_mismatch", {}, "KSampler: return_type_mismatch"),
            ("prompt_fail_link_to_missing_node", {}, "KSampler: exception_during_inner_validation"),
            ("prompt_200_partly_valid_two_outputs_one_bad_is_200", {}, "exception_during_validation"),
            ("prompt_fail_missing_node_class", {}, "invalid_prompt"),
            ("prompt_fail_no_output_nodes", {}, "prompt_no_outputs"),
            ("prompt_fail_cycle_in_graph", {}, "prompt_outputs_failed_validation"),
        ],
    )
    def test_it_says_what_is_wrong_in_our_own_words(self, job, recording, name, changes, reason):
        graph = prompt_graph(job(**changes), prefix="p")
        error = refusal(recording(name)["response"]["body"], graph)
        assert isinstance(error, RejectedError)
        assert (error.error_type, error.retryable) == ("validation", False)
        assert str(error) == f"The worker refused the job: {reason}."
        assert not any(leak in str(error) for leak in LEAKS)

    @pytest.mark.parametrize(
        "body",
        [
            None,
            [],
            {},
            {"error": "text"},
            {"error": {"type": "/opt/ComfyUI"}},
            {"node_errors": {"3": None}},
            {"node_errors": {"3": {"errors": ["x", {"type": "</b>", "extra_info": {"input_name": "/opt"}}]}}},
            {"node_errors": {"/opt": {"errors": [{"type": ["/opt"]}]}}},
        ],
    )
    def test_nothing_of_a_strange_body_is_repeated(self, graph, body):
        assert "/" not in str(refusal(body, graph)), json.dumps(body)

    def test_a_long_value_is_cut(self, job):
        graph = prompt_graph(job(checkpoint_model="x" * 5000), prefix="p")
        error = {"type": "value_not_in_list", "extra_info": {"input_name": "ckpt_name"}}
        assert len(str(refusal({"node_errors": {"4": {"errors": [error]}}}, graph))) < 300
