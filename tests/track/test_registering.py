"""The registry: one version for one answer, however often it is told, and it is the encoder."""

import json
import shutil
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from exported import Exported
from mlflow import MlflowClient

import sslsearch
from sslsearch.track.mlflow import Tracker
from sslsearch.track.packing import signature, write_example
from sslsearch.track.registering import ALIAS

NAME, EXPERIMENT = "sslsearch-tiny", "sslsearch/tiny"
SENTENCE = "The best recipe beats the default; it is exported."


@dataclass(frozen=True)
class Place:
    uri: str
    study: Path
    client: MlflowClient


@pytest.fixture(scope="module")
def place(
    exported: Exported, empty_database: Path, tmp_path_factory: pytest.TempPathFactory
) -> Place:
    """A finished study folder that has been told to an MLflow of its own."""
    root = tmp_path_factory.mktemp("registry")
    study = root / "study"
    study.mkdir()
    shutil.copytree(exported.folder, study / "best")
    write_example(exported.prepared.example, study / "example.arrow")
    uri = f"sqlite:///{shutil.copy(empty_database, root / 'mlflow.db')}"
    assert not tell(study, uri, exported)
    return Place(uri, study, MlflowClient(uri))


def tell(study: Path, uri: str, exported: Exported, sentence: str = SENTENCE) -> list[str]:
    """What a study says at its end; returns what the tracker complained of."""
    said: list[str] = []
    tracker = Tracker(study, uri, EXPERIMENT, said.append)
    tracker.study()
    tracker.summary({"exported/test": 0.9})
    tracker.model(
        best=study / "best",
        example=study / "example.arrow",
        name=NAME,
        space="tiny",
        sentence=sentence,
        description=f"{sentence}\n\nThe recipe: …",
        recipe=exported.recipe,
        tags={"sslsearch.exported": "winner", "sslsearch.recipe": exported.recipe.hash},
        metrics={"test": 0.9, "test_low": 0.8},
    )
    tracker.close(120)
    return said


def versions(place: Place) -> list[Any]:
    found = place.client.search_model_versions(f"name = '{NAME}'")
    return sorted(found, key=lambda version: int(version.version))


def test_the_version_says_what_it_is(place: Place, exported: Exported) -> None:
    (version,) = versions(place)
    champion = place.client.get_model_version_by_alias(NAME, ALIAS)
    assert champion.version == version.version
    assert version.description.startswith(SENTENCE)
    assert version.tags["sslsearch.recipe"] == exported.recipe.hash
    assert version.tags["sslsearch.exported"] == "winner"
    run = place.client.get_run(version.run_id)
    assert run.data.tags["sslsearch.kind"] == "study"
    (output,) = run.outputs.model_outputs
    model = place.client.get_logged_model(output.model_id)
    assert str(model.status) == "READY"
    assert model.params["pretext"] == "simclr"
    registered = json.loads(model.tags["mlflow.modelVersions"])
    assert [(one["name"], int(one["version"])) for one in registered] == [(NAME, 1)]
    assert {metric.key: metric.value for metric in model.metrics} == {"test": 0.9, "test_low": 0.8}


def test_it_holds_the_bundle_and_no_pickle(place: Place) -> None:
    (version,) = versions(place)
    folder = Path(version.source.removeprefix("file://"))
    files = {path.relative_to(folder).as_posix() for path in folder.rglob("*") if path.is_file()}
    best = {"recipe.yaml", "encoder.safetensors", "probe.json", "README.md"}
    assert {f"artifacts/best/{name}" for name in best} <= files
    assert "served.py" in files
    assert not [name for name in files if name.endswith((".pkl", ".pickle", ".joblib", ".pyc"))]
    needed = (folder / "requirements.txt").read_text()
    assert f"sslsearch=={sslsearch.__version__}" in needed
    assert "torch==" in needed


def test_it_gives_what_the_bundle_gives(
    place: Place, exported: Exported, monkeypatch: pytest.MonkeyPatch
) -> None:
    import mlflow

    monkeypatch.setenv("MLFLOW_ALLOW_PICKLE_DESERIALIZATION", "false")
    mlflow.set_tracking_uri(place.uri)
    served = mlflow.pyfunc.load_model(f"models:/{NAME}@{ALIAS}")
    trained = sslsearch.load(exported.folder)
    x_NCT = np.load(exported.root / "waves.npz")["X_test"]
    assert (served.predict(x_NCT) == trained.embed(x_NCT)).all()
    told = served.predict(x_NCT, params={"output": "prediction"})
    assert told["prediction"].tolist() == trained.predict(x_NCT)
    proba_NK = told[[f"probability.{name}" for name in trained.classes]].to_numpy()
    assert np.allclose(proba_NK, trained.predict_proba(x_NCT))
    ragged = np.empty(2, object)
    ragged[:] = [x_NCT[0], x_NCT[1, :, :17]]
    assert (served.predict(ragged) == trained.embed(list(ragged))).all()
    with pytest.raises(ValueError, match="embedding or prediction"):
        served.predict(x_NCT, params={"output": "labels"})
    assert np.shape(served.input_example) == (3, 2, 40)


def test_telling_it_again_makes_no_second_version(place: Place, exported: Exported) -> None:
    assert not tell(place.study, place.uri, exported)
    (place.study / "events.shipped.json").unlink()  # forgets what was shipped
    assert not tell(place.study, place.uri, exported)
    assert len(versions(place)) == 1
    assert len(place.client.search_logged_models([experiment(place)])) == 1


def experiment(place: Place) -> str:
    found = place.client.get_experiment_by_name(EXPERIMENT)
    assert found is not None
    return str(found.experiment_id)


def test_a_new_verdict_is_a_new_version_and_the_champion(place: Place, exported: Exported) -> None:
    assert not tell(place.study, place.uri, exported, "After a longer search: the default.")
    first, second = versions(place)[-2:]
    assert second.description.startswith("After a longer search")
    assert place.client.get_model_version_by_alias(NAME, ALIAS).version == second.version
    (place.study / "events.shipped.json").unlink()
    assert not tell(place.study, place.uri, exported, "After a longer search: the default.")
    assert [v.version for v in versions(place)][-2:] == [first.version, second.version]


def test_what_was_half_done_is_finished(place: Place, exported: Exported, tmp_path: Path) -> None:
    """The process died between making the model and uploading it."""
    study = tmp_path / "study"
    shutil.copytree(place.study, study, ignore=shutil.ignore_patterns("events*"))
    half = Tracker(study, place.uri, EXPERIMENT)
    half.study()
    half.close(60)
    from sslsearch.track.registering import answer_of

    answer = answer_of(half.study_id, study / "best", SENTENCE)["answer"]
    place.client.create_logged_model(experiment(place), "best", tags={"sslsearch.answer": answer})
    before = len(versions(place))
    assert not tell(study, place.uri, exported)
    assert len(versions(place)) == before + 1
    models = place.client.search_logged_models([experiment(place)])
    (mine,) = [model for model in models if model.tags.get("sslsearch.answer") == answer]
    assert str(mine.status) == "READY"


def test_an_encoder_that_has_changed_since_is_not_registered(
    place: Place, exported: Exported, tmp_path: Path
) -> None:
    study = tmp_path / "study"
    shutil.copytree(place.study, study, ignore=shutil.ignore_patterns("events*"))
    before = len(versions(place))
    tracker = Tracker(study, "none", EXPERIMENT)
    tracker.close()
    events = study / "events.jsonl"
    tell(study, "none", exported, "An answer that was never shipped.")
    weights = study / "best" / "encoder.safetensors"
    weights.write_bytes(weights.read_bytes() + b"\0")
    said: list[str] = []
    tracker = Tracker(study, place.uri, EXPERIMENT, said.append)
    tracker.close(60)
    assert events.exists()
    assert [line for line in said if "best/ has changed" in line] == said
    assert len(versions(place)) == before


def test_a_signature_says_which_axes_may_vary() -> None:
    made = signature(np.zeros((3, 2, 40)), (0, 2), 16).to_dict()
    assert json.loads(made["inputs"])[0]["tensor-spec"] == {
        "dtype": "float64",
        "shape": [-1, 2, -1],
    }
    assert json.loads(made["outputs"])[0]["tensor-spec"]["shape"] == [-1, 16]
    assert json.loads(made["params"])[0]["default"] == "embedding"
