"""The layout of a bundle on the Hugging Face Hub, and the way there and back.

config.json               what it is: versions, sizes, classes, hash of the weights
preprocessor_config.json  the fitted preprocessing
model.safetensors         the weights
recipe.yaml, probe.json   as in best/; the probe without what the two above hold
README.md                 the model card

No file says anything twice: together they hold what best/ holds. Needs huggingface_hub only where
the network is asked.
"""

from __future__ import annotations

import json
import re
from pathlib import Path
from typing import Any

import yaml

from sslsearch.train.card import card
from sslsearch.train.hub_card import front_matter
from sslsearch.values import Recipe

CONFIG, PREPROCESSOR, WEIGHTS = "config.json", "preprocessor_config.json", "model.safetensors"
RECIPE, PROBE, CARD = "recipe.yaml", "probe.json", "README.md"
OTHERS = (CONFIG, PREPROCESSOR)
FILES = (CONFIG, PREPROCESSOR, WEIGHTS, RECIPE, PROBE, CARD)
IN_PROBE = ("schema", "sslsearch", "scores", "probe")  # the rest goes into config.json
ADDRESS = re.compile(r"hf://(?P<repo>[\w.-]+/[\w.-]+)(?:@(?P<revision>[\w./-]+))?")


def rearrange(folder: Path, licence: str) -> None:
    """Make a folder in the layout of best/ one in the Hub's."""
    about: dict[str, Any] = json.loads((folder / PROBE).read_text(encoding="utf-8"))
    recipe = Recipe(yaml.safe_load((folder / RECIPE).read_text(encoding="utf-8")))
    config = {key: value for key, value in about.items() if key not in (*IN_PROBE, "preprocess")}
    said: dict[str, Any] = {"library_name": "sslsearch", "model_type": recipe.part("encoder")[0]}
    said["id2label"] = {str(place): name for place, name in enumerate(about["classes"])}
    _write(folder / CONFIG, said | config)
    _write(folder / PREPROCESSOR, {"preprocess": about["preprocess"]})
    _write(folder / PROBE, {key: about[key] for key in IN_PROBE})
    (folder / "encoder.safetensors").rename(folder / WEIGHTS)
    text = front_matter(recipe, about, licence) + card(recipe, about)
    (folder / CARD).write_text(text, encoding="utf-8")


def _write(path: Path, values: dict[str, Any]) -> None:
    path.write_text(json.dumps(values, allow_nan=False, indent=1), encoding="utf-8")


def is_address(path: str | Path) -> bool:
    return isinstance(path, str) and path.startswith("hf:")


def fetched(address: str | Path) -> Path:
    """The folder of `hf://owner/name` or `hf://owner/name@revision`, downloaded or in the cache.

    Raises:
        ValueError: it cannot be had, and why.
    """
    found = ADDRESS.fullmatch(str(address))
    if found is None:
        raise ValueError(f"{address}: write hf://owner/name, or hf://owner/name@revision")
    library = _library()
    try:
        # no download runs code of the repository: only these files are asked for
        place = library.snapshot_download(
            found["repo"], revision=found["revision"], allow_patterns=list(FILES)
        )
    except (library.errors.HfHubHTTPError, library.errors.LocalEntryNotFoundError) as error:
        raise ValueError(f"{address} cannot be had: {_first_line(error)}") from error
    return Path(place)


def push(folder: Path, repo: str, *, private: bool, token: str | None, message: str) -> str:
    """Upload a folder in the Hub's layout as the model `repo`, which is made if it is not there;
    the address of the commit.

    Raises:
        ValueError: nobody is logged in, HF_HUB_OFFLINE is set, or the Hub refuses.
    """
    library = _library()
    if library.constants.HF_HUB_OFFLINE:
        raise ValueError("HF_HUB_OFFLINE is set: unset it to push to the Hub")
    if token is None and library.get_token() is None:
        raise ValueError("nobody is logged in to the Hugging Face Hub: run `hf auth login` first")
    api = library.HfApi(endpoint=library.constants.ENDPOINT, token=token)
    try:
        api.create_repo(repo, private=private, exist_ok=True)
        done = api.upload_folder(
            repo_id=repo, folder_path=folder, allow_patterns=list(FILES), commit_message=message
        )
    except library.errors.HfHubHTTPError as error:
        raise ValueError(f"the Hub refuses {repo}: {_first_line(error)}") from error
    return str(done.commit_url)


def _library() -> Any:
    try:
        import huggingface_hub
        import huggingface_hub.constants
        import huggingface_hub.errors
    except ImportError as error:
        raise ValueError(
            "the Hugging Face Hub needs its library: pip install 'sslsearch[hub]'"
        ) from error
    return huggingface_hub


def _first_line(error: Exception) -> str:
    return next((line for line in str(error).splitlines() if line.strip()), type(error).__name__)
