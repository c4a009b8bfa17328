"""From what stands in the form to the command that starts a run."""

from __future__ import annotations

from pathlib import Path

import pytest

from sg_core.errors import SettingError
from sg_core.training.settings import FINE_TUNE, PRESETS
from sg_tui.state.training_choice import ADAPTER, command, defaults, mistakes, named, settings, summary, texts


def entered(model: str = "tiny", **changes: str) -> dict[str, str]:
    return texts(defaults(model)) | changes


@pytest.mark.parametrize("name", list(PRESETS))
def test_untouched_boxes_give_the_preset(name: str) -> None:
    made, preset = settings(name, entered(name)), PRESETS[name].training
    for field in ("steps", "batch_size", "context", "learning_rate", "dropout", "seed", "weight_decay", "beta2"):
        assert getattr(made, field) == getattr(preset, field)


def test_a_short_run_is_evaluated_saved_and_warmed_up_in_proportion() -> None:
    made = settings("tiny", entered(steps="40"))
    assert (made.evaluate_every, made.save_every, made.warmup_steps) == (2, 2, 4)
    one = settings("tiny", entered(steps="1"))
    assert (one.evaluate_every, one.warmup_steps) == (1, 1)


@pytest.mark.parametrize(
    ("box", "text", "words"),
    [
        ("steps", "", "steps is ''"),
        ("steps", "1.5", "steps is '1.5'"),
        ("steps", "0", "steps is 0"),
        ("learning_rate", "fast", "learning rate is 'fast'"),
        ("learning_rate", "nan", "learning_rate is nan"),
        ("learning_rate", "11", "learning_rate is 11"),
        ("dropout", "0.95", "dropout is 0.95"),
        ("seed", "-1", "seed is -1"),
    ],
)
def test_a_wrong_value_is_named(box: str, text: str, words: str) -> None:
    with pytest.raises(SettingError) as caught:
        settings("tiny", entered(**{box: text}))
    assert words in str(caught.value)


def test_numbers_may_be_written_as_people_write_them() -> None:
    made = settings("tiny", entered(steps=" 10,000 ", learning_rate="5e-4"))
    assert (made.steps, made.learning_rate) == (10_000, 5e-4)


def test_texts_are_named_as_in_a_shell_and_must_be_named() -> None:
    assert command("file", "'~/a text.txt'", "tiny", entered(), None).data == str(Path.home() / "a text.txt")
    assert named('a.txt "b c" d/*.txt') == ("a.txt", "b c", "d/*.txt")
    with pytest.raises(SettingError, match="no file is named"):
        command("file", "  ", "tiny", entered(), None)
    with pytest.raises(SettingError, match="quotation mark"):
        named("'a.txt")


def test_a_path_that_is_there_needs_no_quotes(tmp_path: Path) -> None:
    (tmp_path / "a text.txt").touch()
    assert named(f" {tmp_path}/a text.txt ") == (f"{tmp_path}/a text.txt",)


def test_every_mistake_is_found_at_its_box() -> None:
    wrong = entered(ADAPTER, steps="0", dropout="x", lora_r="", lora_alpha="-1", precision="int4")
    assert list(mistakes(ADAPTER, wrong)) == ["steps", "dropout", "lora_r", "lora_alpha", "precision"]
    assert list(mistakes("tiny", wrong)) == ["steps", "dropout"]  # whose form has no other boxes
    assert mistakes(FINE_TUNE, entered(context="1,024"), 256) == {
        "context": "the model's own context, 256, is the most"
    }
    assert mistakes("tiny", entered(context="1,024")) == {}


def test_fine_tuning_takes_the_loaded_model() -> None:
    train = command("python-docs", "", FINE_TUNE, entered(FINE_TUNE), "openai-community/gpt2")
    assert (train.data, train.model) == ("python-docs", "openai-community/gpt2")
    assert train.training is not None
    assert train.training.learning_rate < PRESETS["tiny"].training.learning_rate
    with pytest.raises(SettingError, match="no model is loaded yet"):
        command("python-docs", "", FINE_TUNE, entered(FINE_TUNE), None)


def test_an_adapter_is_trained_on_the_loaded_model() -> None:
    train = command("python-docs", "", ADAPTER, entered(ADAPTER), "openai-community/gpt2")
    assert train.model == "openai-community/gpt2"
    assert train.training is not None
    assert train.training.lora == "r=8,alpha=16,targets=c_attn"
    assert train.training.precision == "f32"
    assert "an adapter learns (r=8" in summary(train.training, None)
    with pytest.raises(SettingError, match="no model is loaded yet"):
        command("python-docs", "", ADAPTER, entered(ADAPTER), None)


def test_activations_are_computed_again_where_it_is_asked_for() -> None:
    assert settings("tiny", entered(recompute=" on ")).recompute == "on"
    assert mistakes("tiny", entered(recompute="maybe")) == {"recompute": "it must be one of: off, on"}
    assert settings(ADAPTER, entered(ADAPTER, recompute="on")).recompute == "off"  # whose form has no such box


def test_the_context_of_fine_tuning_fits_the_model() -> None:
    assert defaults(FINE_TUNE, 64).context == 64
    assert defaults(FINE_TUNE, 1024).context == 256


def test_the_summary_says_what_a_run_amounts_to() -> None:
    preset = PRESETS["tiny"]
    words = summary(preset.training, preset.config)
    assert f"{preset.config.parameter_count / 1e6:.1f} M parameters" in words
    assert "768 tokens a step" in words
