"""Models of transformers, from a folder or by their name on the hub: safetensors only, no code of theirs."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from langfield.errors import EnvironmentProblem, FormatError
from langfield.weights.hub import check_reachable, in_cache, weights_version


@dataclass(frozen=True)
class ModelKind:
    """One kind of model, and what to do where there is none."""

    name: str
    """In words, such as "depth estimator"."""
    processor: str
    """transformers' class that prepares input."""
    model: str
    """transformers' class that loads it."""
    remedy: str


@dataclass(frozen=True)
class Pretrained:
    """What was loaded."""

    name: str
    processor: Any
    model: Any
    version: str
    """Changes with the weights."""


def load_pretrained(where: str, kind: ModelKind) -> Pretrained:
    """Load a model and what prepares its input.

    Args:
        where: a folder, or a model's name on the hub with or without "@REVISION".
        kind: what it must be.

    Raises:
        EnvironmentProblem: the hub cannot be reached and the model is not in its cache.
        FormatError: what is there is not of that kind.
    """
    name, _, revision = where.partition("@")
    local = Path(where).is_dir()
    if not local and not in_cache(name, revision or None):
        from huggingface_hub import constants

        check_reachable(constants.ENDPOINT, name, kind.remedy)
    import transformers
    from safetensors import SafetensorError

    source: dict[str, Any] = {"pretrained_model_name_or_path": where if local else name, "trust_remote_code": False}
    source |= {} if local else {"revision": revision or None}
    try:
        processor = getattr(transformers, kind.processor).from_pretrained(**source)
        model = getattr(transformers, kind.model).from_pretrained(**source, use_safetensors=True, dtype="auto")
    except (ValueError, KeyError, ImportError, RuntimeError, SafetensorError) as error:
        raise FormatError(f"no {kind.name}: {str(error).splitlines()[0][:200]}", where, kind.remedy) from error
    except OSError as error:
        said = f"{where} cannot be had: {str(error).splitlines()[0][:200]}"
        raise EnvironmentProblem(said, None, kind.remedy) from error
    return Pretrained(Path(where).name if local else name, processor, model, weights_version(Path(where), model, local))
