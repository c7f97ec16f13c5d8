"""What an aggregate may be called."""

import pytest

from genonaut.platform.aggregate import Aggregate


def test_a_name_with_a_hyphen_is_refused() -> None:
    with pytest.raises(ValueError, match="tag-alias"):
        Aggregate("tag-alias", None, lambda _, __: [], lambda state, _: state)
