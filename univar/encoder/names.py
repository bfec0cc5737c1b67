"""How checkpoints name the modules of a layer, by family."""

from __future__ import annotations

from dataclasses import dataclass

from univar.encoder.config import ModelConfig


@dataclass(frozen=True)
class LayerNames:
    """Modules of one layer, with their prefix; `qkv` and `up` are stacked in `LayerWeights` in this order."""

    qkv: tuple[str, ...]
    out: str
    attention_norm: str
    up: tuple[str, ...]
    down: str
    output_norm: str

    def matrices(self, part: str) -> tuple[str, ...]:
        """Modules of a linear part: "qkv", "out", "up" or "down"."""
        names = getattr(self, part)
        return names if isinstance(names, tuple) else (names,)


def layer_names(config: ModelConfig, number: int, own_nomic: bool = False) -> LayerNames:
    """Names of layer `number`; own_nomic: nomic-embed's checkpoint, not the one transformers writes."""
    if config.family == "nomic_bert":
        at = f"encoder.layers.{number}." if own_nomic else f"layers.{number}."
        if own_nomic:
            up = (f"{at}mlp.fc11", f"{at}mlp.fc12")
            return LayerNames(
                (f"{at}attn.Wqkv",), f"{at}attn.out_proj", f"{at}norm1", up, f"{at}mlp.fc2", f"{at}norm2"
            )
        return LayerNames(
            tuple(f"{at}self_attn.{part}_proj" for part in "qkv"),
            f"{at}self_attn.o_proj",
            f"{at}post_attention_layernorm",
            (f"{at}mlp.up_proj", f"{at}mlp.gate_proj"),
            f"{at}mlp.down_proj",
            f"{at}post_mlp_layernorm",
        )
    at = f"encoder.layer.{number}."
    if config.family == "mpnet":
        qkv, out, norm = (
            [f"attention.attn.{part}" for part in "qkv"],
            "attention.attn.o",
            "attention.LayerNorm",
        )
    else:
        qkv = [f"attention.self.{part}" for part in ("query", "key", "value")]
        out, norm = "attention.output.dense", "attention.output.LayerNorm"
    return LayerNames(
        tuple(at + name for name in qkv),
        at + out,
        at + norm,
        (f"{at}intermediate.dense",),
        f"{at}output.dense",
        f"{at}output.LayerNorm",
    )
