"""What a network has to do: the shape of its input, and the classes of its output."""

from dataclasses import dataclass, replace

from nasgtn.errors import InvalidDataError


@dataclass(frozen=True, kw_only=True)
class Task:
    """An image classification task. Search spaces build networks for it."""

    name: str
    """Name of the dataset, for people."""
    n_channels: int
    height: int
    width: int
    class_names: tuple[str, ...]
    """One name a class; text from outside, to be escaped where it is shown."""
    mean: tuple[float, ...]
    """Mean of each channel over the training part, pixels in [0, 1]."""
    std: tuple[float, ...]
    """Standard deviation of each channel over the training part, pixels in [0, 1]."""
    flips: bool = False
    """Whether a horizontally mirrored image keeps its class (photos yes, digits no)."""

    def __post_init__(self) -> None:
        if min(self.n_channels, self.height, self.width) < 1:
            raise InvalidDataError(f"images must have at least one pixel, got {self.input_shape}")
        if self.n_classes < 2:
            raise InvalidDataError(f"at least two classes are needed, got {self.n_classes}")

    @property
    def n_classes(self) -> int:
        return len(self.class_names)

    @property
    def input_shape(self) -> tuple[int, int, int]:
        """Shape of one image: channels, height, width."""
        return self.n_channels, self.height, self.width

    def shrunk(self, size: int) -> "Task":
        """Make the same task on smaller images: their longer side at most `size`; 0: as they are.

        >>> Task(name="", n_channels=1, height=28, width=14, class_names=("a", "b"),
        ...      mean=(0.5,), std=(0.2,)).shrunk(16).input_shape
        (1, 16, 8)
        """
        longer = max(self.height, self.width)
        if not 0 < size < longer:
            return self
        height, width = (max(1, round(side * size / longer)) for side in (self.height, self.width))
        return replace(self, height=height, width=width)
