"""How an attempt at a ComfyUI server can end without pictures.

    AttemptError
    ├── RejectedError         validation     the server refused the prompt
    ├── NodeError             node_error     a node failed while it ran
    ├── OutOfMemoryError      out_of_memory
    ├── RunInterruptedError   interrupted    somebody stopped it at the server
    ├── DeadlineError         timeout        it ran for too long and was stopped
    ├── WithdrawnError        cancelled      it was stopped because its job was cancelled
    └── WorkerLostError       worker_lost    retryable: the attempt came to nothing, the job is not to blame
        ├── UnreachableError      nobody answers, or not as a ComfyUI server does
        │   └── AmbiguousSubmitError   the prompt may or may not have arrived
        ├── LostError             the server has forgotten the prompt or its files
        └── ZombieError           the server answers but runs nothing

`str()` of each can be shown to anybody: it is made of our own words and of what the job itself asked for, never of a
path, traceback, model list or address that the server sent.
"""

from typing import ClassVar


class AttemptError(Exception):
    """The attempt ended without pictures."""

    error_type: ClassVar[str]
    """A stable word for clients and analytics."""
    retryable: ClassVar[bool] = False
    """Whether the same job may well succeed at another server, or at this one later."""


class RejectedError(AttemptError):
    error_type = "validation"


class NodeError(AttemptError):
    error_type = "node_error"


class OutOfMemoryError(AttemptError):
    error_type = "out_of_memory"

    def __init__(self) -> None:
        super().__init__("The worker ran out of memory. A smaller image or batch may fit.")


class RunInterruptedError(AttemptError):
    error_type = "interrupted"

    def __init__(self) -> None:
        super().__init__("The generation was interrupted at the worker.")


class DeadlineError(AttemptError):
    error_type = "timeout"

    def __init__(self, seconds: float) -> None:
        super().__init__(f"The generation took longer than {seconds:g} s and was stopped.")


class WithdrawnError(AttemptError):
    error_type = "cancelled"

    def __init__(self) -> None:
        super().__init__("The generation was cancelled.")


class WorkerLostError(AttemptError):
    error_type = "worker_lost"
    retryable = True


class UnreachableError(WorkerLostError):
    pass


class AmbiguousSubmitError(UnreachableError):
    pass


class LostError(WorkerLostError):
    pass


class ZombieError(WorkerLostError):
    pass
