"""Train: the form, the run, its charts."""

from __future__ import annotations

from sg_tui.keys.action import Action, inner

TRAINING = (
    Action("start", ("enter",), "start", "Start the run as the form has it", "form", footer=1, palette=False),
    Action("show_run", ("escape",), "the run", "Back to the last run", "form", footer=2, palette=False),
    *inner(
        "choice",
        ("move(-1)", ("up", "left"), "The choice before"),
        ("move(1)", ("down", "right", "space"), "The next choice"),
    ),
    Action("pause", ("p",), "pause", "Pause the training, or go on with it", "train", footer=1),
    Action("stop_training", ("s",), "stop", "Stop the training; its last state is saved", "train", footer=1),
    Action("talk", ("t",), "talk", "Ask the model as it is now", "train", footer=1),
    Action("sample_now", ("g",), "sample", "Let the model write a sample now", "train", footer=3),
    Action("change", ("e",), "change", "Change learning rate, schedule or dropout from here on", "train", footer=2),
    Action("back_to_best", ("b",), "back", "Go back to the step with the lowest validation loss", "train", footer=4),
    Action("fork", ("k",), "fork", "Write the run as it is into a folder of its own, and go on", "train", footer=4),
    Action("find_rate", ("r",), "find rate", "Try all learning rates on a copy of the run", "train", footer=3),
    Action("blocks", ("h",), "blocks", "Blocks: gradient, update by weight, dead GELUs", "train", footer=5),
    Action("new_run", ("n",), "new run", "Start another run (when none is under way)", "train", footer=2),
    Action("toggle_log", ("l",), "log", "Loss on a logarithmic or a linear axis", "train", footer=4),
    Action("next_x_axis", ("x",), "x axis", "Loss by step, by tokens or by time", "train", footer=4),
    Action("open_in_write", ("w",), "write", "Write with this model: its best weights, saved first", "train", footer=2),
    Action(
        "compare_runs", ("c",), "compare", "Compare runs: settings, curves, samples side by side", "train", footer=5
    ),
    Action("compare", ("o",), "beside", "Draw earlier runs beside this one", "train", footer=7),
    Action("older_sample", ("comma",), "older", "The sample before", "train", footer=7),
    Action("newer_sample", ("full_stop",), "newer", "The next sample", "train", footer=7),
    Action("save_elsewhere", ("f",), "save to", "Save this run into another folder", "train"),
    Action("leave", ("escape",), "", "Stop the answer; leave the line", "train", palette=False),
    *inner(
        "samples",
        ("look(-1)", ("left",), "The sample before"),
        ("look(1)", ("right",), "The next sample"),
        ("look(-999)", ("home",), "The first sample"),
        ("look(999)", ("end",), "The newest sample"),
    ),
    Action("zoom_in", ("plus", "equals_sign"), "zoom", "Zoom in", "chart", footer=6, palette=False),
    Action("zoom_out", ("minus",), "out", "Zoom out", "chart", palette=False),
    Action("zoom_x_in", ("right_square_bracket",), "", "Zoom in along x", "chart", palette=False),
    Action("zoom_x_out", ("left_square_bracket",), "", "Zoom out along x", "chart", palette=False),
    Action("pan_left", ("left",), "", "Move to what is left", "chart", palette=False),
    Action("pan_right", ("right",), "", "Move to what is right", "chart", palette=False),
    Action("pan_up", ("up",), "", "Move up", "chart", palette=False),
    Action("pan_down", ("down",), "", "Move down", "chart", palette=False),
    Action("reset_scales", ("0", "home"), "all", "See the whole chart again", "chart", footer=6, palette=False),
)
