"""The child that fetches one file of the Hugging Face hub, with the hub's own library.

python -m worker.hub_child      an order on standard input; what went wrong on its output
"""

import json
import sys
from typing import Any, Final

from worker.blinkers import put_on_blinkers

REFUSED: Final = 4
"""Exit code where asking again would change nothing."""
_CLOSED: Final = frozenset({401, 403, 404})
_LONGEST: Final = 300


class Refused(Exception):  # noqa: N818 - it says what happened
    """The hub has no such file, or not for us."""


def fetch(order: dict[str, Any]) -> None:
    """Fetch what is ordered into its folder.

    Raises:
        Refused: as above.
        Exception: whatever the hub's library finds wrong.
    """
    try:
        import huggingface_hub
        from huggingface_hub import errors
    except ImportError:
        raise Refused("huggingface_hub is not installed on the worker (extra `hub`)") from None
    hub: Any = huggingface_hub
    place = {"repo_id": order["repository"], "revision": order["commit"], "filename": order["file"]}
    url, token = order["url"], order["token"] or False
    try:
        size = hub.get_hf_file_metadata(hub.hf_hub_url(**place, endpoint=url), token=token).size
        if size is None or size > order["most_bytes"]:
            raise Refused(f"it has {size} bytes; expected at most {order['most_bytes']}")
        hub.hf_hub_download(**place, endpoint=url, token=token, local_dir=order["folder"])
    except errors.EntryNotFoundError:
        raise Refused("there is no such file at this commit") from None
    except errors.HfHubHTTPError as error:
        if error.response.status_code in _CLOSED:
            raise Refused(_line(error)) from None
        raise


def main() -> int:
    """Fetch; what goes wrong is told in one line."""
    put_on_blinkers()
    try:
        fetch(json.load(sys.stdin))
    except Refused as error:
        print(error)  # noqa: T201  # its parent reads it
        return REFUSED
    except Exception as error:  # noqa: BLE001  # what a library finds wrong is of any kind
        print(_line(error))  # noqa: T201  # its parent reads it
        return 1
    return 0


def _line(error: Exception) -> str:
    return " ".join(str(error).split())[:_LONGEST] or type(error).__name__


if __name__ == "__main__":
    sys.exit(main())
