"""Where an image is served."""

from uuid import UUID

from genonaut.contracts.images import image_path

ADA = UUID(int=1)


def test_paths_name_the_hash_and_nothing_else_that_is_not_needed() -> None:
    assert image_path("ab") == "/api/v1/images/ab"
    assert image_path("ab", size=300) == "/api/v1/images/ab?size=300"
    assert image_path("ab", viewer=ADA) == f"/api/v1/images/ab?user_id={ADA}"
    assert image_path("ab", size=150, viewer=ADA) == f"/api/v1/images/ab?size=150&user_id={ADA}"
