import gzip
import zlib
from contextlib import suppress

import pytest
from hypothesis import given
from hypothesis import strategies as st

from retrieval.content_coding import PIECE_BYTES, DamagedBody, unpacked

pytestmark = pytest.mark.anyio
BODY = b"The pier is 80 metres long. " * 500


def bare(data):
    stream = zlib.compressobj(wbits=-zlib.MAX_WBITS)
    return stream.compress(data) + stream.flush()


PACKED = {
    "gzip": gzip.compress(BODY), "x-gzip": gzip.compress(BODY), "deflate": zlib.compress(BODY), "": BODY,
    "identity": BODY,
}  # fmt: skip


async def read(packed, coding, size=1_000):
    async def pieces():
        for start in range(0, len(packed), size):
            yield packed[start : start + size]

    return [piece async for piece in unpacked(pieces(), coding)]


@pytest.mark.parametrize("coding", PACKED)
@pytest.mark.parametrize("size", [1, 7, 100_000])
async def test_bodies_are_unpacked_however_they_are_cut(coding, size):
    assert b"".join(await read(PACKED[coding], coding, size)) == BODY


@pytest.mark.parametrize("size", [1, 100_000])
async def test_deflate_without_its_frame_and_gzip_of_several_members(size):
    assert b"".join(await read(bare(BODY), "deflate", size)) == BODY
    members = gzip.compress(b"one ") + gzip.compress(b"two") + b"\0\0 and what is none"
    assert b"".join(await read(members, "gzip", size)) == b"one two"


@pytest.mark.parametrize("coding", ["gzip", "deflate"])
@pytest.mark.parametrize("cut", [1, 3, 9])
async def test_a_body_that_was_cut_off_is_damaged(coding, cut):
    with pytest.raises(DamagedBody):
        await read(PACKED[coding][:-cut], coding)


async def test_a_wrong_check_sum_is_damage():
    packed = bytearray(PACKED["gzip"])
    packed[-6] ^= 1
    with pytest.raises(DamagedBody):
        await read(bytes(packed), "gzip")


async def test_a_bomb_comes_in_small_pieces():
    packed = gzip.compress(bytes(50_000_000))
    assert max(map(len, await read(packed, "gzip", len(packed)))) <= PIECE_BYTES


async def test_many_members_are_not_followed_forever():
    packed = gzip.compress(b"x") * 5_000
    with pytest.raises(DamagedBody, match="members"):
        await read(packed, "gzip", len(packed))


@given(st.binary(max_size=300), st.sampled_from(["gzip", "deflate"]))
async def test_any_bytes_end_in_a_body_or_as_damaged(data, coding):
    with suppress(DamagedBody):
        assert isinstance(b"".join(await read(data, coding, 50)), bytes)
