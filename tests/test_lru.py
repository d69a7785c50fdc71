"""The bounded cache: what was used longest ago leaves first, and no more is kept than there is room for."""

from siaf.lru import LruCache


def test_what_was_used_longest_ago_leaves() -> None:
    cache: LruCache[str, int] = LruCache(2)
    cache.put("a", 1)
    cache.put("b", 2)
    assert cache.get("a") == 1
    cache.put("c", 3)
    assert (list(cache), cache.values(), cache.get("b")) == (["a", "c"], [1, 3], None)


def test_room_is_counted_in_sizes() -> None:
    cache: LruCache[str, bytes] = LruCache(10, size=len)
    cache.put("a", b"12345")
    cache.put("b", b"12345")
    cache.put("a", b"123")  # in the place of the old one: there is room for both still
    assert len(cache) == 2
    cache.put("c", b"123")
    assert list(cache) == ["a", "c"]
    cache.put("d", b"12345678901")
    assert len(cache) == 0


def test_what_is_taken_out_makes_room() -> None:
    cache: LruCache[str, bytes] = LruCache(10, size=len)
    cache.put("a", b"1234567890")
    assert (cache.pop("a"), cache.pop("a")) == (b"1234567890", None)
    cache.put("b", b"1234567890")
    assert "b" in cache
    cache.clear()
    cache.put("c", b"1234567890")
    assert list(cache) == ["c"]


def test_without_room_nothing_is_kept() -> None:
    cache: LruCache[str, int] = LruCache(0)
    cache.put("a", 1)
    assert "a" not in cache
