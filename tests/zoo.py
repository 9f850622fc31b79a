"""The networks for pictures in `models/`, at sizes that tests can afford."""

from __future__ import annotations

SMALL: dict[str, dict[str, str]] = {
    "autoencoder": {"width": "4"},
    "efficientnet_lite0": {"side": "32", "classes": "5"},
    "inception_v3": {"side": "107", "classes": "5", "dropped": "0.0"},
    "mobilenet_v2": {"side": "32", "classes": "5", "width": "2"},
    "resnet20": {"depth": "1", "width": "4", "side": "16"},
    "resnet50": {"side": "32", "classes": "5", "width": "4"},
    "unet": {"width": "4"},
    "vae": {"hidden": "32"},
    "vgg": {"side": "32", "classes": "5", "width": "4", "hidden": "16"},
}
