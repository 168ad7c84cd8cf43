"""Which activation a checkpoint computes: GELU or QuickGELU.

The weights do not tell. A CLIP that was trained with one and runs with the other loses points of accuracy and no error
says so (open_clip #771: OpenAI's weights under a name without "-quickgelu"). So it is taken from what the checkpoint
says of itself, what a person says must agree with that, and where neither says anything, nothing is imported.
"""

import re
from collections.abc import Collection
from dataclasses import dataclass

from model.config import Activation
from model.errors import ForeignCheckpointError
from model.importing.state_dict import StateDict
from model.layouts.openai import BUFFERS


@dataclass(frozen=True)
class Evidence:
    """An activation, and who says so."""

    activation: Activation
    because: str


def evidence_of(state: StateDict) -> Evidence | None:
    """What a file of tensors in OpenAI's names tells of its activation, if anything."""
    if state.code is not None:
        quick, exact = "sigmoid(" in state.code, re.search(r"\btorch\.gelu\(", state.code) is not None
        if quick != exact:
            computes = "a sigmoid" if quick else "torch.gelu"
            return Evidence("quick_gelu" if quick else "gelu", f"the archive's own code computes {computes}")
    if state.tensors.keys() >= BUFFERS:
        return Evidence("quick_gelu", f"among the tensors stand {', '.join(sorted(BUFFERS))}, as in OpenAI's alone")
    return None


def settle(evidences: Collection[Evidence | None], subject: str) -> Evidence:
    """The one activation that all evidence agrees on.

    Raises ForeignCheckpointError if there is none, or if there are two.
    """
    known = [evidence for evidence in evidences if evidence is not None]
    if not known:
        raise ForeignCheckpointError(
            f"Nothing says whether {subject} computes GELU or QuickGELU; the tensors are the same, and with the wrong "
            "one it would work a little worse and no error would say so. Say it: --activation quick_gelu for weights "
            "from OpenAI or trained on from them, and for MetaCLIP's and DFN's; --activation gelu for LAION's and "
            "DataComp's, and whatever open_clip trained under a name without -quickgelu."
        )
    if len({evidence.activation for evidence in known}) > 1:
        said = "; ".join(f"{evidence.activation}: {evidence.because}" for evidence in known)
        raise ForeignCheckpointError(f"Two activations for {subject}, of which one is wrong: {said}.")
    return Evidence(known[0].activation, ", and ".join(evidence.because for evidence in known))
