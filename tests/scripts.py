"""Programs that tests run beside the server: what they are given to ask, and how they tell what they saw."""

import json
import subprocess

import anyio

from agent.settings import Settings

KEY = "key-of-a-client"


def scripted(folder):
    """Set up a server that is quick and exact: the scripted model over the sample web."""
    return Settings(
        search=("sample",),
        embedder="hashing",
        embedded_model="echo",
        models_dir=folder,
        cache="off",
        api_keys=(KEY,),
        effort="low",
    )


async def last_line(command, seconds, environment=None):
    """Run a program, and read the JSON on its last line; some print other things before."""
    with anyio.fail_after(seconds):
        done = await anyio.run_process(
            [str(part) for part in command], env=environment, check=False, stderr=subprocess.PIPE
        )
    assert done.returncode == 0, done.stderr.decode()[-4000:]
    return json.loads(done.stdout.splitlines()[-1])
