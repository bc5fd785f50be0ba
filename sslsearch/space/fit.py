"""Whether the parts of a space can work together, for every combination that may be drawn."""

from __future__ import annotations

from collections.abc import Sequence

from sslsearch import registry
from sslsearch.space.errors import Faults
from sslsearch.space.parts import Use

TRAINING_GIVES = frozenset({"views"})  # the loop makes as many views as a pretext wants


def check_fit(modality: str, uses: Sequence[Use], faults: Faults) -> None:
    """Each part's needs against what the modality and each encoder of the space offer.

    Needs are met by the data or by the encoder, so pairs (part, encoder) are all there is to
    check: an offence in any combination shows in one of its pairs.
    """
    data = registry.get("modality", modality)
    known = [use for use in uses if use.part.fits(modality)]
    encoders = [use for use in known if use.part.kind == "encoder"]
    for use in known:
        needs = use.part.needs - data.gives - TRAINING_GIVES
        if use.part.kind == "encoder":
            if needs:
                faults.add(
                    use.at, f"{use.part.name}: needs {_words(needs)}, which {modality} has not"
                )
            continue
        for encoder in encoders:
            missing = needs - encoder.part.gives
            if missing:
                faults.add(use.at, _offence(use, encoder, modality, missing))


def _offence(use: Use, encoder: Use, modality: str, missing: frozenset[str]) -> str:
    cures = [
        name for name, part in registry.parts("encoder", modality).items() if missing <= part.gives
    ]
    cure = f"take {' or '.join(cures)}" if cures else f"leave {use.part.name} out"
    return (
        f"{use.part.name}: needs {_words(missing)}, which neither {modality} nor "
        f"encoder {encoder.part.name} offers: {cure}"
    )


def _words(needs: frozenset[str]) -> str:
    return " and ".join(sorted(needs))
