"""The model file for TensorFlow Serving is one that it, and this server, can read."""

from __future__ import annotations

from pathlib import Path

from google.protobuf import text_format
from tensorflow_serving.config import model_server_config_pb2

from serving.folders import ModelSettings, Policy
from serving.status import read_settings


def test_the_model_file_means_the_same_to_both_servers(tmp_path: Path, repository: Path) -> None:
    for name in ("vdsr/1", "ms_ssfnet_x8/1", "ms_ssfnet_x8/2"):
        (tmp_path / name).mkdir(parents=True)
    text = (repository / "deploy" / "models.config").read_text(encoding="utf-8")
    shown = (repository / "docs" / "serving.md").read_text(encoding="utf-8")
    assert text[text.index("model_config_list") :] in shown
    config = text_format.Parse(
        text.replace("/models/", f"{tmp_path}/"), model_server_config_pb2.ModelServerConfig()
    )
    assert read_settings(config, tmp_path) == [
        ModelSettings("vdsr", tmp_path / "vdsr", Policy(count=1)),
        ModelSettings(
            "ms_ssfnet_x8", tmp_path / "ms_ssfnet_x8", Policy(versions=(1, 2)), {"stable": 1, "canary": 2}
        ),
    ]
