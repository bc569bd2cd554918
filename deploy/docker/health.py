"""Asks the server of this container whether it lives; the exit code is 0 when it does.

http.client and not urllib: a proxy that the environment names is none for this address.
"""

import http.client
import os
import sys

SECONDS = 4


def lives(port: int) -> bool:
    """Tell whether /health of this machine answers 200."""
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=SECONDS)
    try:
        connection.request("GET", "/health")
        return connection.getresponse().status == 200
    except (OSError, http.client.HTTPException):
        return False
    finally:
        connection.close()


if __name__ == "__main__":
    sys.exit(not lives(int(os.environ.get("WELLREAD_PORT") or 8000)))
