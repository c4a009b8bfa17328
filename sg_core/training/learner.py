"""What learns in a training: all weights of the model, or an adapter beside weights that stay as they are."""

from __future__ import annotations

import hashlib
from typing import Any

from sg_core.config import GPT2Config
from sg_core.errors import CheckpointError, SettingError, SgError
from sg_core.files import absolute, shown
from sg_core.gpt2 import GPT2
from sg_core.kernels.team import Team
from sg_core.network.adapters import Adapter, Adapters, Trainable, new_adapter
from sg_core.network.batch_pass import BatchPass, Lesson
from sg_core.network.parameters import Parameters, layout
from sg_core.text.tokenizer import Tokenizer
from sg_core.training.growing_ids import Ids
from sg_core.training.settings import TrainingConfig


class WholeModel:
    """All weights learn. array: what a checkpoint calls them."""

    array = "parameters"

    def __init__(self, model: GPT2, config: TrainingConfig) -> None:
        self.trained: Trainable = model.parameters
        self._model, self._config = model, config

    def batch_pass(self, team: Team) -> BatchPass:
        """Room for a slot and its gradients."""
        config = self._config
        return BatchPass(
            self._model.parameters, config.slot_size, config.context, team, recompute=config.recompute == "on"
        )

    def validation_pass(self, trained: Trainable, B: int, T: int, team: Team) -> BatchPass:
        """Room for validation windows, with these numbers in place of those that learn."""
        assert isinstance(trained, Parameters)
        return BatchPass(trained, B, T, team, gradients=self._config.recompute == "off")

    def gradients(
        self, batch_pass: BatchPass, inputs: Ids, targets: Ids, gradients: Trainable, key: int, share: float,
        lesson: Lesson | None,
    ) -> float:  # fmt: skip
        """As `BatchPass.loss_and_gradients`."""
        assert isinstance(gradients, Parameters)
        return batch_pass.loss_and_gradients(inputs, targets, gradients, self._config.dropout, key, share, lesson)

    def use(self, config: TrainingConfig) -> None:
        """Learn with these settings from the next batch on; its shape stays."""
        self._config = config

    def changed(self) -> None:
        """The numbers have just been updated."""
        self._model.version += 1

    def base(self) -> dict[str, Any] | None:
        """What a checkpoint must say of weights that it does not hold."""
        return None


class AdapterOnly(WholeModel):
    """An adapter learns; the model may be in any storage but int4. What is frozen has no gradients and no moments."""

    array = "adapter"

    def __init__(self, model: GPT2, config: TrainingConfig) -> None:
        settings = config.adapter
        assert settings is not None
        self._model, self._config, self._dropout = model, config, settings.dropout
        self._adapter = new_adapter(settings, model.config, config.seed)
        self.trained = self._adapter
        self._weights = model.weights(config.precision)
        self._fingerprint = ""
        model.adapters = Adapters().with_(self._adapter)

    def batch_pass(self, team: Team) -> BatchPass:
        config = self._config
        return BatchPass(
            self._model.parameters, config.slot_size, config.context, team, self._weights,
            adapters=self._model.adapters,
        )  # fmt: skip

    def validation_pass(self, trained: Trainable, B: int, T: int, team: Team) -> BatchPass:
        assert isinstance(trained, Adapter)
        adapters = Adapters().with_(trained)
        return BatchPass(
            self._model.parameters, B, T, team, self._weights, adapters=adapters, gradients=False
        )  # fmt: skip

    def gradients(
        self, batch_pass: BatchPass, inputs: Ids, targets: Ids, gradients: Trainable, key: int, share: float,
        lesson: Lesson | None,
    ) -> float:  # fmt: skip
        assert isinstance(gradients, Adapter)
        rates = (self._config.dropout, self._dropout)
        return batch_pass.loss_and_adapter_gradients(inputs, targets, gradients, rates, key, share, lesson)

    def changed(self) -> None:
        self._model.adapters_changed()

    def base(self) -> dict[str, Any]:
        """Its name, an absolute path where it is one, and a SHA-256 of its numbers."""
        if not self._fingerprint:
            digest = hashlib.sha256(self._weights.words.data)
            digest.update(self._weights.scales.data)
            for tensor in layout(self._model.config, lean=True).tensors:
                digest.update(self._model.parameters.view(tensor.name).data)
            self._fingerprint = digest.hexdigest()
        return {"name": absolute(self._model.name), "fingerprint": self._fingerprint}


def make_learner(model: GPT2, config: TrainingConfig) -> WholeModel:
    """What the settings name. Raises SettingError."""
    if model.adapters:
        raise SettingError(f"{shown(model.name)} has adapters, which would be lost: merge them, or take them away")
    model.parameters.widen()
    return AdapterOnly(model, config) if config.lora else WholeModel(model, config)


def saved_model(
    config: GPT2Config, training: TrainingConfig, info: dict[str, Any], arrays: dict[str, Any],
    tokenizer: Tokenizer | None,
) -> GPT2:  # fmt: skip
    """The model of a checkpoint: its own weights, or the ones that it names. Raises CheckpointError."""
    if not training.lora:
        return GPT2(config, Parameters(config, arrays["parameters"]), tokenizer, info["name"])
    name = str(info["base"]["name"])
    try:
        model = GPT2.from_pretrained(name, training.precision)
    except SgError as problem:
        raise CheckpointError(f"the run trains an adapter of {shown(name)}, which can't be loaded: {problem}") from None
    if model.config != config:
        raise CheckpointError(f"the run trains an adapter of {shown(name)}, which has other sizes than when it began")
    model.name, model.tokenizer = info["name"], tokenizer
    return model


def require_same_base(learner: WholeModel, info: dict[str, Any]) -> None:
    """Raises CheckpointError when the weights are other ones than those that a checkpoint was made with."""
    if isinstance(learner, AdapterOnly) and learner.base()["fingerprint"] != info["base"]["fingerprint"]:
        raise CheckpointError(
            f"the run trains an adapter of {shown(info['base']['name'])}, whose weights are others than when it began; "
            "it can only go on with the same ones"
        )
