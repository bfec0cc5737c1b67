"""`univar serve`: the HTTP service."""

from __future__ import annotations

import os
from typing import Any

import click

from univar.cli.common import say
from univar.errors import ProviderError, UsageError

_POSITIVE = click.IntRange(min=1)


@click.command()
@click.argument("store", required=False, type=click.Path(exists=True, file_okay=False))
@click.option(
    "-e", "--encoder", help="Encoder to serve: a name, a folder or a hub id. Default: that of STORE."
)
@click.option("--host", default="127.0.0.1", show_default=True, help="Address to listen on.")
@click.option(
    "--port", default=8080, show_default=True, type=click.IntRange(0, 65535), help="Port; 0 takes a free one."
)
@click.option("--api-key-env", metavar="NAME", help="Environment variable with the key that requests need.")
@click.option(
    "--max-batch-tokens",
    default=16_384,
    show_default=True,
    type=_POSITIVE,
    help="Tokens that the encoder works on at once.",
)
@click.option(
    "--max-concurrent-requests",
    default=512,
    show_default=True,
    type=_POSITIVE,
    help="Requests under way at once; one more gets 503.",
)
@click.option(
    "--max-client-batch-size",
    default=256,
    show_default=True,
    type=_POSITIVE,
    help="Texts of one request; more get 413.",
)
@click.option(
    "--payload-limit",
    default=2_000_000,
    show_default=True,
    type=_POSITIVE,
    help="Bytes of one request; more get 413.",
)
@click.option(
    "--auto-truncate",
    is_flag=True,
    help="Read only the first pieces of a text that is too long, instead of refusing it with 413.",
)
@click.option("--served-model-name", metavar="NAME", help="Name of the encoder in replies. Default: its own.")
@click.option(
    "--cors-allow-origin",
    multiple=True,
    metavar="ORIGIN",
    help="Let web pages of this origin read replies; may be given several times.",
)
@click.option(
    "--request-timeout",
    default=60.0,
    show_default=True,
    type=click.FloatRange(min=0.1),
    help="Seconds until an unanswered request gets 503.",
)
@click.option(
    "--dtype",
    default="auto",
    show_default=True,
    help="Encoder precision: auto, fp32, bf16, fp16 or int8.",
)
@click.option("--device", default="auto", show_default=True, help="Device: auto, cpu, cuda or cuda:N.")
@click.option(
    "--threads", type=_POSITIVE, help="Number of CPU threads. Default: all that the process may use."
)
def serve(
    store: str | None,
    encoder: str | None,
    host: str,
    port: int,
    api_key_env: str | None,
    max_batch_tokens: int,
    max_concurrent_requests: int,
    max_client_batch_size: int,
    payload_limit: int,
    auto_truncate: bool,
    served_model_name: str | None,
    cors_allow_origin: tuple[str, ...],
    request_timeout: float,
    dtype: str,
    device: str,
    threads: int | None,
) -> None:
    """Serve embeddings and, with STORE, attribution over HTTP.

    It listens on this machine only, unless --host says otherwise. POST /v1/embeddings embeds texts, as
    OpenAI's clients ask for them; /v1/attribute says which sources of STORE answers most likely came from,
    /v1/compare whether two sets of answers come from one source. GET /healthz is the sign of life, /metrics
    has numbers for Prometheus. SIGTERM ends the server once the requests under way are answered.

    \b
    Example:
        univar serve runs/answers
        univar serve --encoder univar-2
        univar serve -e minilm --host 0.0.0.0 --api-key-env UNIVAR_KEY
    """
    _need_the_extra()
    from univar.encoder.encoder import Encoder
    from univar.runtime import prefer_jemalloc
    from univar.serve.server import is_local, listen
    from univar.serve.server import serve as run
    from univar.serve.settings import ServeSettings

    if encoder is None and store is None:
        raise UsageError("there is nothing to serve: name a store, or an encoder with --encoder")
    key = _key(api_key_env)
    listening = listen(host, port)
    prefer_jemalloc()
    running: dict[str, Any] = {"dtype": dtype, "device": device, "threads": threads}
    opened = None
    if store is None:
        loaded = Encoder(str(encoder), **running)
    else:
        from univar.search import store_encoder
        from univar.serve.judging import Verdicts
        from univar.store import Store

        opened = Store(store)
        loaded = store_encoder(opened, encoder, **running)
        if (missing := Verdicts(opened).missing()) is not None:
            say(f"{missing}; until then /v1/attribute answers 409")
    settings = ServeSettings(
        served_name=served_model_name or os.path.basename(str(loaded.info["id"]).rstrip("/\\")),
        max_batch_tokens=max_batch_tokens,
        max_concurrent_requests=max_concurrent_requests,
        max_client_batch_size=max_client_batch_size,
        payload_limit=payload_limit,
        auto_truncate=auto_truncate,
        api_key=key,
        cors_allow_origin=cors_allow_origin,
        request_timeout_s=request_timeout,
        local_only=key is None and is_local(host),
    )
    if key is None:
        who = "everyone on this machine" if is_local(host) else "everyone who reaches this machine"
        say(f"no API key: {who} may ask; set one with --api-key-env")
    address = listening.getsockname()
    shown = f"[{address[0]}]" if ":" in address[0] else address[0]
    say(f"univar serves {settings.served_name} at http://{shown}:{address[1]}")
    try:
        run(loaded, settings, listening, opened)
    except ProviderError as error:
        say(f"univar: {error}")
        os._exit(error.exit_code)  # a thread of the encoder may never come back: waiting for it would hang


def _key(variable: str | None) -> str | None:
    """The key in an environment variable."""
    if variable is None:
        return None
    key = os.environ.get(variable)
    if key is None:
        raise UsageError(f"the environment has no variable {variable}, which --api-key-env names: set it")
    return key.strip()


def _need_the_extra() -> None:
    from importlib.util import find_spec

    for name in ("fastapi", "uvicorn", "prometheus_client", "orjson"):
        if find_spec(name) is None:
            raise UsageError(f"serving needs {name}: pip install univar-embed[serve]")
