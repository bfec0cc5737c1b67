"""The page at `/`: one HTML text with style and script inside, and the policy that lets nothing else run."""

from __future__ import annotations

import base64
import hashlib
import html
from pathlib import Path
from typing import TYPE_CHECKING

from starlette.responses import Response

if TYPE_CHECKING:
    from univar.serve.settings import ServeSettings

_FOLDER = Path(__file__).resolve().parent / "page"


def page_reply(settings: ServeSettings, held: int | None) -> Response:
    """The page of a server with these settings, made once. held: answers of its store; None without one."""
    style, script, page = (
        (_FOLDER / name).read_text(encoding="utf-8") for name in ("page.css", "page.js", "page.html")
    )
    texts = {
        "most": str(settings.max_client_batch_size),
        "bytes": str(settings.payload_limit),
        "held": _held(held),
        "name": html.escape(settings.served_name),
        "style": style,
        "script": script,
    }
    for name, text in texts.items():
        page = page.replace("{{" + name + "}}", text)
    policy = "; ".join(
        (
            "default-src 'none'",
            f"script-src {_hash(script)}",
            f"style-src {_hash(style)}",
            "connect-src 'self'",
            "img-src data:",  # the empty icon
            "base-uri 'none'",
            "form-action 'none'",
            "frame-ancestors 'none'",
            "require-trusted-types-for 'script'",
        )
    )
    headers = {"content-security-policy": policy, "x-frame-options": "DENY"}
    return Response(page, headers=headers, media_type="text/html; charset=utf-8")


def _held(rows: int | None) -> str:
    """What answers are compared with, as a sentence."""
    if rows is None:
        return "This server has no store: it cannot tell where they come from."
    return f"They are compared with the {rows:,} answers of known sources that this server holds."


def _hash(text: str) -> str:
    """What a policy names an inline text by."""
    return f"'sha256-{base64.b64encode(hashlib.sha256(text.encode()).digest()).decode()}'"
