"""What a server is told when it starts."""

from __future__ import annotations

from dataclasses import dataclass, field

from univar.errors import UsageError


@dataclass(frozen=True)
class ServeSettings:
    """Names and limits. The option names are those of text-embeddings-inference, where it has them.

    served_name:             what the encoder is called in requests and replies
    max_batch_tokens:        tokens that the encoder works on at once
    max_concurrent_requests: requests that are read, wait or are worked on; one more gets 503
    max_client_batch_size:   texts of one request; more get 413
    payload_limit:           bytes of a request's body; more get 413
    auto_truncate:           read the first pieces of an answer that is too long, instead of refusing it
    api_key:                 what a request must bear; None lets everyone in
    cors_allow_origin:       web pages of these origins may read replies
    request_timeout_s:       seconds until an unanswered request gets 503
    local_only:              refuse requests that name another host than this one (a web page may send them)
    """

    served_name: str
    max_batch_tokens: int = 16_384
    max_concurrent_requests: int = 512
    max_client_batch_size: int = 256
    payload_limit: int = 2_000_000
    auto_truncate: bool = False
    api_key: str | None = field(default=None, repr=False)
    cors_allow_origin: tuple[str, ...] = ()
    request_timeout_s: float = 60.0
    local_only: bool = False

    def __post_init__(self) -> None:
        if self.api_key is not None and not self.api_key.strip():
            raise UsageError("the API key is empty: put a key into the variable, or leave --api-key-env out")

    @property
    def bytes_in_flight(self) -> int:
        """Bytes of all bodies that are held at once; a body that would pass it gets 503."""
        return 32 * self.payload_limit
