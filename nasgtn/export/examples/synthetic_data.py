"""The synthetic training set as a dataset of PyTorch; needs torch and numpy."""

from pathlib import Path

import numpy as np
import torch
from torch import Tensor
from torch.utils.data import Dataset

FILE = Path(__file__).resolve().parent / "synthetic.npz"


class SyntheticBatches(Dataset[tuple[Tensor, Tensor]]):
    """One item is one whole batch: images and class probabilities, in the order to learn them.

    Batches are made already, so a loader must make none:

        for images, probabilities in DataLoader(SyntheticBatches(), batch_size=None): ...

    Images are float32, normalised: `(pixels - mean) / std`, with pixels in [0, 1].
    """

    def __init__(self, file: str | Path = FILE) -> None:
        with np.load(file, allow_pickle=False) as arrays:
            self.images = torch.from_numpy(arrays["images"])
            self.labels = torch.from_numpy(arrays["labels"])
            self.class_names = [str(name) for name in arrays["class_names"]]
            self.mean = torch.from_numpy(arrays["mean"]).view(-1, 1, 1)
            self.std = torch.from_numpy(arrays["std"]).view(-1, 1, 1)

    def __len__(self) -> int:
        return len(self.images)

    def __getitem__(self, step: int) -> tuple[Tensor, Tensor]:
        return self.images[step], self.labels[step]
