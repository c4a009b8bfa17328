"""The errors users see. Each message is one readable line: what was wrong, where, and what to do."""


class SgError(Exception):
    """Base of every error the engine raises on purpose."""


class SettingError(SgError, ValueError):
    """A setting outside its range: names the field, the value and the allowed range."""


class ModelFileError(SgError):
    """A model folder or file that can't be used."""


class DataError(SgError):
    """A training text that can't be used."""


class DownloadError(SgError):
    """A download that could not be completed and verified; what was there before is untouched."""


class CheckpointError(SgError):
    """A checkpoint that can't be loaded or written."""


class TrainingError(SgError):
    """Training that can't start or go on."""


class KernelError(SgError):
    """Kernels that can't be compiled, or compiled ones that can't be read or kept."""
