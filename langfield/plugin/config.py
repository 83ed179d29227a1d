"""`langsplat` as nerfstudio knows it: the entry point `ns-train langsplat` finds."""

from __future__ import annotations

from nerfstudio.configs.base_config import LocalWriterConfig, LoggingConfig, MachineConfig, ViewerConfig
from nerfstudio.plugins.types import MethodSpecification

from langfield.codec.autoencoder import LANGSPLAT_SIZES, AutoencoderSettings
from langfield.field.language import LanguageSettings
from langfield.plugin.datamanager import LangsplatDataManagerConfig
from langfield.plugin.model import LangsplatModelConfig
from langfield.plugin.pipeline import LangsplatPipelineConfig
from langfield.plugin.trainer import LangsplatTrainerConfig, default_device
from langfield.settings import RunSettings, moving_settings


def method(name: str, settings: RunSettings, description: str) -> MethodSpecification:
    """Give a method of nerfstudio's; only the language stage differs between ours."""
    config = LangsplatTrainerConfig(
        method_name=name,
        machine=MachineConfig(device_type=default_device()),
        pipeline=LangsplatPipelineConfig(
            datamanager=LangsplatDataManagerConfig(), model=LangsplatModelConfig(), settings=settings
        ),
        optimizers={},
        vis="tensorboard",
        # Loopback only: nerfstudio would open the viewer to the whole network.
        viewer=ViewerConfig(websocket_host="127.0.0.1", quit_on_train_completion=True),
        logging=LoggingConfig(local_writer=LocalWriterConfig(enable=False), profiler="none", steps_per_log=50),
        steps_per_save=500,
        steps_per_eval_batch=0,
        steps_per_eval_image=0,
        steps_per_eval_all_images=0,
    )
    return MethodSpecification(config=config, description=description)


langsplat = method(
    "langsplat",
    RunSettings(),
    "Language field: Gaussians that carry compressed CLIP features and answer text queries, on CPU or GPU.",
)
langsplat_4d = method(
    "langsplat-4d",
    moving_settings(),
    "Language field of a scene that moves: pictures with times, from one camera or many.",
)
langsplat_paper = method(
    "langsplat-paper",
    RunSettings(codec=AutoencoderSettings(**LANGSPLAT_SIZES), language=LanguageSettings(mode="fit")),
    "LangSplat's own language stage: codes of its autoencoder, three numbers a Gaussian and level, fitted.",
)
