"""What an action and a delete answer, which have nothing to show."""

from typing import Literal

from pydantic import BaseModel


class Done(BaseModel):
    success: Literal[True] = True
    message: str
