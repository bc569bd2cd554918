import anyio
import pytest

from deploy.ray.held import Held

pytestmark = pytest.mark.anyio


class Context:
    """A context that is left in the task that entered it, or complains."""

    def __init__(self, fault=None):
        self.fault, self.left = fault, False

    async def __aenter__(self):
        if self.fault:
            raise self.fault
        self._group = anyio.create_task_group()
        await self._group.__aenter__()
        return "opened"

    async def __aexit__(self, *error):
        await self._group.__aexit__(None, None, None)
        self.left = True


async def test_a_context_is_open_until_it_is_closed_from_another_task():
    context = Context()
    held = Held(context)
    async with anyio.create_task_group() as group:
        group.start_soon(held.open)
    assert not context.left
    async with anyio.create_task_group() as group:
        group.start_soon(held.close)
    assert context.left


async def test_gives_what_the_context_gives():
    held = Held(Context())
    assert await held.open() == "opened"
    await held.close()


async def test_what_cannot_be_opened_says_why():
    with pytest.raises(OSError, match="no room"):
        await Held(Context(OSError("no room"))).open()
