"""A bundle as one ONNX file for phones and other runtimes, with everything that is needed to feed and read it."""

from __future__ import annotations

import tempfile
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import jinja2
import numpy as np
from numpy.typing import NDArray

from ml import onnx_reference
from ml.bundle import CARD, Bundle
from ml.errors import BundleError
from ml.files import write_bytes
from ml.labels import Status, load_taxonomy
from ml.preprocess import Preprocessing
from ml.runtime import full_precision
from ml.transforms.serving import VIEWS

if TYPE_CHECKING:
    import onnxruntime

MODEL = "model.onnx"
README = "README.md"
REFERENCE = "example.py"
OPSET = 18
TOLERANCE = 1e-3
"""How far a logit of the exported file may lie from the bundle's own: both are single precision, in other orders."""
_TEMPLATE = "onnx_readme.md.j2"


def export_onnx(bundle: Bundle, out: Path) -> Path:
    """Write `model.onnx`, `card.json`, `example.py` and `README.md` to `out`; returns the path of the first.

    The file holds every network of the bundle with its weights, in single precision whatever the bundle keeps. Inputs
    are `images_K` float32 [batch, 3, S, S], one for each network; outputs `logits_K` [batch, C] and `probabilities`
    [batch, C], calibrated. It is compared with the bundle before anything is written. Raises BundleError where the
    bundle is damaged, the two differ, or `out` cannot be written.
    """
    content = onnx_bytes(bundle)
    _check_equal(bundle, content)
    page = readme(bundle, len(content))
    try:
        out.mkdir(parents=True, exist_ok=True)
        write_bytes(out / CARD, (bundle.path / CARD).read_bytes())
        write_bytes(out / REFERENCE, Path(onnx_reference.__file__).read_bytes())
        write_bytes(out / README, page.encode())
        write_bytes(out / MODEL, content)
    except OSError as error:
        raise BundleError(f"Cannot write to {out}: {error.strerror or 'the folder is not writable'}.") from error
    return out / MODEL


def onnx_bytes(bundle: Bundle) -> bytes:
    """The content of the ONNX file, unchecked. Raises BundleError for a damaged bundle."""
    import torch

    from ml.onnx_graph import build_graph

    graph = build_graph(bundle)
    sizes = [network.card.image_size for network in bundle.networks()]
    # Two pictures: with one, the exporter would take the length of the batch for a constant.
    examples = tuple(torch.zeros(2, 3, size, size) for size in sizes)
    batch = torch.export.Dim("batch", min=1)
    numbers = range(len(sizes))
    with tempfile.TemporaryDirectory() as folder, warnings.catch_warnings():
        warnings.simplefilter("ignore")  # the exporter's notes to its own developers
        path = Path(folder) / MODEL
        torch.onnx.export(
            graph,
            examples,
            path,
            input_names=[f"images_{number}" for number in numbers],
            output_names=[*(f"logits_{number}" for number in numbers), "probabilities"],
            dynamic_shapes=(tuple({0: batch} for _ in sizes),),
            opset_version=OPSET,
            external_data=False,
            dynamo=True,
            verbose=False,
        )
        return path.read_bytes()


def open_session(content: bytes, threads: int = 0) -> onnxruntime.InferenceSession:
    """The file in ONNX Runtime on the CPU, with so many threads; 0 for its own choice."""
    import onnxruntime

    options = onnxruntime.SessionOptions()
    options.intra_op_num_threads = threads
    options.inter_op_num_threads = 1
    return onnxruntime.InferenceSession(content, options, providers=["CPUExecutionProvider"])


def example_inputs(bundle: Bundle, batch: int, seed: int = 0) -> dict[str, NDArray[np.float32]]:
    """Random normalised tensors [batch, 3, S, S] for every input, by its name."""
    rng = np.random.default_rng(seed)
    return {
        f"images_{number}": rng.normal(size=(batch, 3, size, size)).astype(np.float32)
        for number, size in enumerate(network.card.image_size for network in bundle.networks())
    }


def _check_equal(bundle: Bundle, content: bytes) -> None:
    import torch

    from ml.onnx_graph import build_graph

    graph, session = build_graph(bundle), open_session(content)
    for batch in (1, 3):
        inputs = example_inputs(bundle, batch)
        with torch.inference_mode(), full_precision():
            wanted = graph(*(torch.from_numpy(value) for value in inputs.values()))
        for found, own in zip(session.run(None, inputs), wanted, strict=True):
            if not np.allclose(found, own.numpy(), atol=TOLERANCE):
                raise BundleError(
                    f"The exported file answers otherwise than '{bundle.card.name}' does, so it was not written. "
                    "Install the pinned releases of torch and onnx again."
                )


def readme(bundle: Bundle, size: int) -> str:
    """The page beside the file, for whoever runs it elsewhere; `size` is that of the file in bytes."""
    environment = jinja2.Environment(
        loader=jinja2.FileSystemLoader(Path(__file__).parent),
        autoescape=False,  # noqa: S701  # Markdown
        undefined=jinja2.StrictUndefined,
        trim_blocks=True,
        lstrip_blocks=True,
        keep_trailing_newline=True,
    )
    card, networks = bundle.card, [network.card for network in bundle.networks()]
    taxonomy = load_taxonomy(card.label_set)
    return environment.get_template(_TEMPLATE).render(
        card=card,
        networks=networks,
        taxonomy=taxonomy,
        infectious=any(label.status is Status.INFECTIOUS for label in taxonomy.labels),
        steps=_steps([network.preprocessing for network in networks]),
        views={network.test_time_views: VIEWS[network.test_time_views] for network in networks},
        files={"model": MODEL, "card": CARD, "example": REFERENCE},
        megabytes=size / 1e6,
        opset=OPSET,
    )


def _steps(preprocessing: Sequence[Mapping[str, Any]]) -> list[str]:
    """Steps that change the pixels of a photo before it is cut, by name, over all networks."""
    chosen = [vars(Preprocessing.from_card(dict(values))) for values in preprocessing]
    return sorted({name for steps in chosen for name, parameters in steps.items() if parameters})
