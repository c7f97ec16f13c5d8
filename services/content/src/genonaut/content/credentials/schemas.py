"""Passwords, as services of ours say them to each other."""

from typing import Annotated
from uuid import UUID

from pydantic import AfterValidator, BaseModel, ConfigDict, Field, SecretStr

from genonaut.content.credentials.domain import acceptable, normal


def _normal(password: SecretStr) -> SecretStr:
    return SecretStr(normal(password.get_secret_value()))


def _acceptable(password: SecretStr) -> SecretStr:
    return SecretStr(acceptable(password.get_secret_value()))


class NewPassword(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    password: Annotated[SecretStr, AfterValidator(_acceptable)]


class SignIn(BaseModel):
    model_config = ConfigDict(hide_input_in_errors=True)

    login: str = Field(min_length=1, max_length=254, description="A user name or an e-mail address, in any case.")
    password: Annotated[SecretStr, AfterValidator(_normal)]


class Identity(BaseModel):
    """Who signs in. Whether somebody who is not active may is for the caller to decide."""

    user_id: UUID
    username: str
    is_active: bool
