"""Whether the parts of a space can work together, for every combination that may be drawn."""

from __future__ import annotations

from collections.abc import Iterable, Sequence

from sslsearch import registry
from sslsearch.registry import Part
from sslsearch.space.errors import Faults
from sslsearch.space.parts import Use

TRAINING_GIVES = frozenset({"views"})  # the loop makes as many views as a pretext wants


def check_fit(modality: str, uses: Sequence[Use], faults: Faults) -> None:
    """Each part's needs against what the modality and each encoder of the space offer.

    Needs are met by the data or by the encoder, so pairs (part, encoder) are all there is to
    check: an offence in any combination shows in one of its pairs.
    """
    known = [use for use in uses if use.part.fits(modality)]
    encoders = [use for use in known if use.part.kind == "encoder"]
    for use in known:
        if use.part.kind == "encoder":
            missing = lacks(use.part, modality)
            if missing:
                faults.add(
                    use.at, f"{use.part.name}: needs {_words(missing)}, which {modality} has not"
                )
            continue
        for encoder in encoders:
            missing = lacks(use.part, modality, encoder.part)
            if missing:
                faults.add(use.at, _offence(use, encoder, modality, missing))


def lacks(part: Part, modality: str, encoder: Part | None = None) -> frozenset[str]:
    """What `part` needs that neither data of this kind nor the encoder offer."""
    offered = registry.get("modality", modality).gives | TRAINING_GIVES
    return part.needs - offered - (encoder.gives if encoder else frozenset())


def partners(part: Part, modality: str) -> list[str]:
    """The encoders of data of this kind that, with the data, offer what `part` needs."""
    encoders = registry.parts("encoder", modality) if part.fits(modality) else {}
    return [name for name, encoder in encoders.items() if not lacks(part, modality, encoder)]


def why_not(part: Part, modality: str) -> str:
    """Why `part` cannot be used on data of this kind with any encoder; "" where it can."""
    if not part.fits(modality):
        return f"made for {_words(part.modality or ())}"
    if partners(part, modality):
        return ""
    encoders = registry.parts("encoder", modality).values()
    missing = min((lacks(part, modality, encoder) for encoder in encoders), key=len, default=None)
    return "there is no encoder" if missing is None else f"needs {_words(missing)}"


def _offence(use: Use, encoder: Use, modality: str, missing: frozenset[str]) -> str:
    cures = [
        name for name, part in registry.parts("encoder", modality).items() if missing <= part.gives
    ]
    cure = f"take {' or '.join(cures)}" if cures else f"leave {use.part.name} out"
    return (
        f"{use.part.name}: needs {_words(missing)}, which neither {modality} nor "
        f"encoder {encoder.part.name} offers: {cure}"
    )


def _words(needs: Iterable[str]) -> str:
    return " and ".join(sorted(needs))
