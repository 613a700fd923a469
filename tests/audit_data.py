"""A made-up audit that finds nothing wrong, for the tests of words and report."""

import base64
import io
from dataclasses import replace

from PIL import Image

from nasgtn.findings import Audit, ClassFindings, Copying, Likeness, Pair


def make_class(name: str, **changed: float | None) -> ClassFindings:
    good = ClassFindings(
        name=name,
        n_synthetic=20,
        n_validation=30,
        recognised=0.95,
        judged=0.97,
        taught=0.8,
        taught_by_real=0.82,
        loss_error=0.02,
        diversity=0.9,
    )
    return replace(good, **changed)  # type: ignore[arg-type]


def make_audit(*classes: ClassFindings) -> Audit:
    classes = classes or tuple(make_class(str(digit)) for digit in range(10))
    file = io.BytesIO()
    Image.new("L", (16, 8), 128).save(file, format="PNG")
    png = base64.b64encode(file.getvalue()).decode()
    return Audit(
        dataset="digits",
        space="convnet",
        seed=0,
        n_networks=8,
        n_steps=16,
        n_images=20 * len(classes),
        recognised=0.95,
        judged=0.97,
        taught=0.8,
        taught_by_real=0.82,
        synthetic=Likeness(frechet=0.9, precision=0.93, coverage=0.53),
        validation=Likeness(frechet=0.2, precision=0.94, coverage=0.67),
        between=1.02,
        copying=Copying(
            exact_share=0.0,
            close=0.22,
            close_share=0.01,
            far_share=0.02,
            median=0.37,
            validation_median=0.35,
            pairs=tuple(
                Pair(name=one.name, training_name=one.name, distance=0.2, png=png)
                for one in classes[:3]
            ),
        ),
        classes=classes,
        seconds=4.5,
    )
