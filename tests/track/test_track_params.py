"""Recipes as MLflow params: readable, the same everywhere, without secrets."""

from sslsearch.track.params import flatten, recipe_params, scrub
from sslsearch.values import Recipe

BODY = {
    "data": {"modality": "timeseries", "source": "s3://me:hunter2@bucket/pool"},
    "encoder": {"conv1d": {"depth": 3}},
    "pretext": {"mae": {"masking": {"span": {"ratio": 0.5, "length": 4}}}},
    "augment": {"crop_resize": {"keep": 0.4}, "jitter": {"sigma": 0.03}},
    "optim": {"lr": 1e-3, "batch_size": 32, "warmup": None},
    "fidelity": {"first": 2000},
    "track": {"mlflow": "http://me:hunter2@here"},
}


def test_names_are_the_paths_of_the_recipe():
    assert recipe_params(Recipe(BODY)) == {
        "data.modality": "timeseries",
        "data.source": "s3://bucket/pool",
        "encoder": "conv1d",
        "encoder.conv1d.depth": "3",
        "pretext": "mae",
        "pretext.mae.masking": "span",
        "pretext.mae.masking.span.ratio": "0.5",
        "pretext.mae.masking.span.length": "4",
        "augment": "crop_resize+jitter",
        "augment.crop_resize.keep": "0.4",
        "augment.jitter.sigma": "0.03",
        "optim.lr": "0.001",
        "optim.batch_size": "32",
        "optim.warmup": "none",
        "fidelity.first": "2000",
    }


def test_a_mix_is_named_by_its_members():
    mix = {"mix_of": {"simclr": {"weight": 0.7}, "mae": {"weight": 0.3}}}
    params = recipe_params(Recipe({**BODY, "pretext": mix}))
    assert params["pretext"] == "mae+simclr"
    assert params["pretext.simclr.weight"] == "0.7"


def test_no_augmentation_says_so():
    assert recipe_params(Recipe({**BODY, "augment": {}}))["augment"] == "none"


def test_secrets_never_pass():
    assert flatten({"store": {"api_key": "abc", "token": "t", "host": "h"}}) == {
        "store.api_key": "***",
        "store.token": "***",
        "store.host": "h",
    }
    assert scrub("postgresql://me:pw@db/x and https://b/x?sig=1") == (
        "postgresql://db/x and https://b/x"
    )
