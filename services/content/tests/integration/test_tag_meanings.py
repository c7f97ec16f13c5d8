"""Aliases and implications over HTTP, and what an alias means wherever a slug is taken."""

import asyncio
from uuid import uuid4

import pytest

from genonaut.content.tags.domain import id_of
from genonaut.content.tags.queries import implied, meant

CAT = id_of("cat")


async def with_alias(gallery, *aliases: str) -> None:
    await gallery.post("/tags", {"slug": "cat"})
    for alias in aliases:
        await gallery.post(f"/tags/{CAT}/aliases", {"alias": alias})


async def test_aliases_are_added_listed_and_removed(gallery) -> None:
    await gallery.post("/tags", {"slug": "cat"})

    assert await gallery.post(f"/tags/{CAT}/aliases", {"alias": "Kitty Cat"}) == ["kitty-cat"]
    assert await gallery.post(f"/tags/{CAT}/aliases", {"alias": "feline"}) == ["feline", "kitty-cat"]
    assert await gallery.post(f"/tags/{CAT}/aliases", {"alias": "KITTY-CAT"}, status=200) == ["feline", "kitty-cat"]
    assert (await gallery.get(f"/tags/{CAT}"))["aliases"] == ["feline", "kitty-cat"]

    await gallery.done("DELETE", f"/tags/{CAT}/aliases/Kitty Cat")
    assert await gallery.get(f"/tags/{CAT}/aliases") == ["feline"]
    for word in ("kitty-cat", "unheard-of", "a~b", "cat"):
        assert await gallery.problem("DELETE", f"/tags/{CAT}/aliases/{word}") == (404, "NOT_FOUND")


async def test_whoever_uses_an_alias_uses_the_tag(gallery) -> None:
    user = await gallery.user()
    await with_alias(gallery, "kitty")

    item = await gallery.item(user, tags=["Kitty", "cat", str(id_of("kitty")), "dog"])
    declared = await gallery.post("/tags", {"slug": "kitty", "name": "Kitty!", "parents": ["animal"]}, status=200)
    below = await gallery.post("/tags", {"slug": "tabby", "parents": ["kitty"]})

    assert item["tags"] == ["cat", "dog"]
    assert (declared["slug"], declared["name"]) == ("cat", "Cat")
    assert [parent["slug"] for parent in declared["parents"]] == ["animal"]
    assert [parent["slug"] for parent in below["parents"]] == ["cat"]
    assert (await gallery.get("/tags/by-name/kitty"))["tag"]["slug"] == "cat"
    assert [tag["slug"] for tag in (await gallery.get("/tags", search="KITT"))["items"]] == ["cat"]
    assert await gallery.rows("SELECT count(*) FROM tags WHERE slug = 'kitty'") == [(0,)]
    assert await gallery.problem("GET", f"/tags/{id_of('kitty')}") == (404, "NOT_FOUND")


async def test_a_private_item_with_an_alias_has_the_tag_that_everybody_sees(gallery) -> None:
    user = await gallery.user()
    await with_alias(gallery, "kitty")

    assert (await gallery.item(user, tags=["kitty"], is_private=True))["tags"] == ["cat"]


async def test_an_alias_that_is_a_tag_leaves_both_and_new_uses_go_to_the_other(gallery) -> None:
    user = await gallery.user()
    await gallery.item(user, tags=["kitty"])
    await with_alias(gallery, "kitty")

    assert (await gallery.item(user, tags=["kitty"]))["tags"] == ["cat"]
    assert (await gallery.get(f"/tags/{id_of('kitty')}"))["tag"]["slug"] == "kitty"
    assert (await gallery.get("/tags/by-name/kitty"))["tag"]["slug"] == "cat"
    both = frozenset({CAT, id_of("kitty")})
    async with gallery.runtime.database.reading() as connection:
        assert list(map(set, await meant(connection, ["kitty", "cat", str(CAT), str(id_of("kitty"))]))) == [both] * 4

    await gallery.done("DELETE", f"/tags/{CAT}/aliases/kitty")
    assert (await gallery.item(user, tags=["kitty"]))["tags"] == ["kitty"]
    async with gallery.runtime.database.reading() as connection:
        assert list(map(set, await meant(connection, ["kitty", "cat"]))) == [{id_of("kitty")}, {CAT}]


async def test_a_word_with_descendants_means_all_below(gallery) -> None:
    user = await gallery.user()
    await gallery.post("/tags", {"slug": "cat", "parents": ["animal"]})
    await gallery.post("/tags", {"slug": "tabby", "parents": ["cat"]})
    await gallery.item(user, tags=["secret"], is_private=True)

    words = ["animal~descendants", "cat~descendants", "animal", "secret", "unheard-of", "a/b", ""]
    async with gallery.runtime.database.reading() as connection:
        found = list(map(set, await meant(connection, words)))
        assert list(map(set, await meant(connection, []))) == []

    slugs = [["animal", "cat", "tabby"], ["cat", "tabby"], ["animal"], ["secret"], [], [], []]
    assert found == [set(map(id_of, each)) for each in slugs]


async def test_aliases_make_neither_chains_nor_circles_and_mean_one_tag(gallery) -> None:
    await with_alias(gallery, "kitty")
    await gallery.post("/tags", {"slug": "dog"})
    await gallery.post("/tags", {"slug": "pet"})
    before = await gallery.rows("SELECT count(*) FROM events")

    refused = {
        ("dog", "kitty"): "ALIAS_TAKEN",
        ("cat", "cat"): "ALIAS_CHAIN",
        ("dog", "cat"): "ALIAS_CHAIN",
    }
    for (slug, alias), code in refused.items():
        problem = await gallery.problem("POST", f"/tags/{id_of(slug)}/aliases", json={"alias": alias})
        assert problem == (409, code), (slug, alias)
    assert await gallery.rows("SELECT count(*) FROM events") == before

    await gallery.post(f"/tags/{id_of('pet')}/aliases", {"alias": "dog"})
    for slug, alias in (("dog", "pet"), ("dog", "hound")):
        problem = await gallery.problem("POST", f"/tags/{id_of(slug)}/aliases", json={"alias": alias})
        assert problem == (409, "ALIAS_CHAIN"), (slug, alias)


async def test_of_several_who_want_an_alias_or_a_circle_at_once_one_is_served(gallery) -> None:
    for number in range(4):
        one, other = f"one-{number}", f"other-{number}"
        for slug in (one, other):
            await gallery.post("/tags", {"slug": slug})

        async def alias(slug: str, word: str):
            return await gallery.client.post(f"/api/v1/tags/{id_of(slug)}/aliases", json={"alias": word})

        taken = await asyncio.gather(alias(one, f"word-{number}"), alias(other, f"word-{number}"))
        assert sorted(answer.status_code for answer in taken) == [201, 409]
        chained = await asyncio.gather(alias(one, other), alias(other, one), alias(one, other))
        # Whoever was first: the other way round is a circle, unless the tag has an alias, which makes it a chain.
        assert {answer.status_code for answer in chained} <= {200, 201, 409}
        rows = await gallery.rows("SELECT count(*) FROM tag_aliases a JOIN tag_aliases b ON a.tag_id = b.alias_id")
        assert rows == [(0,)]


async def test_implications_are_added_listed_and_removed(gallery) -> None:
    await gallery.post("/tags", {"slug": "cat"})
    path = f"/tags/{CAT}/implications"

    assert [tag["slug"] for tag in await gallery.post(path, {"implied": "Animal"})] == ["animal"]
    assert [tag["slug"] for tag in await gallery.post(path, {"implied": "fur"})] == ["animal", "fur"]
    assert len(await gallery.post(path, {"implied": str(id_of("fur"))}, status=200)) == 2
    assert [tag["slug"] for tag in (await gallery.get(f"/tags/{CAT}"))["implies"]] == ["animal", "fur"]

    await gallery.done("DELETE", f"{path}/{id_of('animal')}")
    assert [tag["slug"] for tag in await gallery.get(path)] == ["fur"]
    assert await gallery.problem("DELETE", f"{path}/{id_of('animal')}") == (404, "NOT_FOUND")


async def test_what_is_implied_is_followed_over_any_steps_and_aliases(gallery) -> None:
    for tag, other in (("tabby", "cat"), ("cat", "animal"), ("animal", "being"), ("dog", "animal")):
        await gallery.post("/tags", {"slug": tag}, status=200 if tag in {"cat", "animal"} else 201)
        await gallery.post(f"/tags/{id_of(tag)}/implications", {"implied": other})
    tabby, animal, being, dog = (id_of(slug) for slug in ("tabby", "animal", "being", "dog"))

    async def brought(*tag_ids):
        async with gallery.runtime.database.reading() as connection:
            return {each.tag_id: each.because_of for each in await implied(connection, tag_ids)}

    assert await brought() == await brought(being) == {}
    assert await brought(tabby) == {CAT: tabby, animal: tabby, being: tabby}
    assert await brought(dog, tabby) == {CAT: tabby, animal: dog, being: dog}
    assert await brought(tabby, animal) == {CAT: tabby, being: tabby}

    life = await gallery.post("/tags", {"slug": "life"})
    await gallery.post(f"/tags/{life['id']}/aliases", {"alias": "being"})
    assert await brought(dog) == {animal: dog, id_of("life"): dog}


async def test_nothing_implies_itself_even_when_two_ask_at_once(gallery) -> None:
    for slug in ("a", "b", "c"):
        await gallery.post("/tags", {"slug": slug})

    async def implying(tag: str, other: str) -> int:
        path = f"/api/v1/tags/{id_of(tag)}/implications"
        return (await gallery.client.post(path, json={"implied": other})).status_code

    assert await implying("a", "a") == 409
    assert sorted(await asyncio.gather(implying("a", "b"), implying("b", "c"), implying("c", "a"))) == [201, 201, 409]
    assert len(await gallery.rows("SELECT * FROM tag_implications")) == 2


@pytest.mark.parametrize(
    ("path", "body"),
    [
        ("aliases", {}),
        ("aliases", {"alias": ""}),
        ("aliases", {"alias": "a/b"}),
        ("aliases", {"alias": str(uuid4())}),
        ("aliases", {"alias": "x" * 101}),
        ("implications", {}),
        ("implications", {"implied": "a/b"}),
        ("implications", {"implied": str(uuid4())}),
    ],
)
async def test_what_cannot_be_said(gallery, path, body) -> None:
    await gallery.post("/tags", {"slug": "cat"})

    assert await gallery.problem("POST", f"/tags/{CAT}/{path}", json=body) == (422, "VALIDATION_ERROR")
