"""What users get wrong, and the whole message for each: (what, YAML, lines of the message).

A line that ends in … may go on: lists of known parts grow.
"""
# ruff: noqa: E501

DATA = "data: {modality: timeseries, source: aeon:OSULeaf}\n"
SHORT = DATA + "pretext: {simclr: {}}\n"

WRONG: list[tuple[str, str, list[str]]] = [
    (
        "empty file",
        "",
        [
            "t.yaml:1: nothing is written here",
        ],
    ),
    (
        "a list",
        "- data\n- pretext\n",
        [
            "t.yaml:1: - data - pretext: a space is a mapping: data:, pretext: …",
        ],
    ),
    (
        "a word",
        "hello\n",
        [
            "t.yaml:1: hello: a space is a mapping: data:, pretext: …",
        ],
    ),
    (
        "tab",
        "data:\n\tmodality: timeseries\n",
        [
            "t.yaml:2: a tab: indent and separate with spaces",
        ],
    ),
    (
        "unclosed",
        SHORT + "optim: {lr: 1e-3\n",
        [
            "t.yaml:3: not YAML: expected ',' or '}', but got '<stream end>' while parsing a flow mapping; got 'optim: {lr: 1e-3'",
        ],
    ),
    (
        "colon missing",
        "data\n  modality: x\n",
        [
            "t.yaml:2: not YAML: mapping values are not allowed here; got 'modality: x'",
        ],
    ),
    (
        "twice",
        SHORT + "optim: {lr: 1e-3, lr: 1e-2}\n",
        [
            "t.yaml:3: 'lr' is written twice, first in line 3",
        ],
    ),
    (
        "section twice",
        SHORT + "data: {modality: timeseries, source: aeon:OSULeaf}\n",
        [
            "t.yaml:3: 'data' is written twice, first in line 1",
        ],
    ),
    (
        "anchor",
        SHORT + "optim: &o {lr: 1e-3}\n",
        [
            "t.yaml:3: anchors (&) and aliases (*) are not part of a space: write it out",
        ],
    ),
    (
        "alias",
        SHORT + "optim: *o\n",
        [
            "t.yaml:3: anchors (&) and aliases (*) are not part of a space: write it out",
        ],
    ),
    (
        "tag",
        SHORT + "optim: !!python/object:os.system {lr: 1e-3}\n",
        [
            "t.yaml:3: tags such as !!python/object:os.system are not part of a space: leave it out",
        ],
    ),
    (
        "block text",
        SHORT + "optim:\n  lr: |\n    1e-3\n",
        [
            "t.yaml:4: a block of text (|): write the value on one line",
        ],
    ),
    (
        "key is a list",
        SHORT + "optim: {[a]: 1}\n",
        [
            "t.yaml:3: a key must be a word",
        ],
    ),
    (
        "two documents",
        SHORT + "---\ndata: {modality: timeseries, source: aeon:OSULeaf}\npretext: {simclr: {}}\n",
        [
            "t.yaml:3: not YAML: but found another document expected a single document in the stream; got '---'",
        ],
    ),
    (
        "unknown section",
        SHORT + "augmnt: {jitter: {}}\n",
        [
            "t.yaml:3: augmnt: unknown section; did you mean 'augment'?",
        ],
    ),
    (
        "no pretext",
        DATA,
        [
            "t.yaml:1: pretext: is missing: pretext: {name: {knob: value}}; known: …",
        ],
    ),
    (
        "no data",
        "pretext: {simclr: {}}\n",
        [
            "t.yaml:1: data: is missing: data: {modality: …, source: …} says what to learn from",
        ],
    ),
    (
        "no source",
        "data: {modality: timeseries}\npretext: {simclr: {}}\n",
        [
            "t.yaml:1: data: needs source, kind:place, as in parquet:my.parquet or aeon:OSULeaf",
        ],
    ),
    (
        "unknown modality",
        "data: {modality: timeserie, source: aeon:OSULeaf}\npretext: {simclr: {}}\n",
        [
            "t.yaml:1: timeserie: unknown modality; did you mean 'timeseries'?",
        ],
    ),
    (
        "source without kind",
        "data: {modality: timeseries, source: my.parquet}\npretext: {simclr: {}}\n",
        [
            "t.yaml:1: source: my.parquet: source must be kind:place, as in parquet:my.parquet or aeon:OSULeaf, got my.parquet",
        ],
    ),
    (
        "unknown key",
        "data: {modality: timeseries, sorce: aeon:OSULeaf}\npretext: {simclr: {}}\n",
        [
            "t.yaml:1: sorce: unknown key of data; did you mean 'source'?",
            "t.yaml:1: data: needs source, kind:place, as in parquet:my.parquet or aeon:OSULeaf",
        ],
    ),
    (
        "labels",
        "data:\n"
        "  modality: timeseries\n"
        "  source: aeon:OSULeaf\n"
        "  labels: 10 per clas\n"
        "pretext: {simclr: {}}\n",
        [
            "t.yaml:4: labels: 10 per clas: labels must be all, N per class or P%, as in 10 per class, got 10 per clas",
        ],
    ),
    (
        "labels number",
        "data:\n"
        "  modality: timeseries\n"
        "  source: aeon:OSULeaf\n"
        "  labels: 10\n"
        "pretext: {simclr: {}}\n",
        [
            't.yaml:4: labels: 10: labels must be all, N per class or P%, as in 10 per class, got "10"',
        ],
    ),
    (
        "normalise",
        "data:\n"
        "  modality: timeseries\n"
        "  source: aeon:OSULeaf\n"
        "  normalise: per_serie\n"
        "pretext: {simclr: {}}\n",
        [
            "t.yaml:4: normalise: per_serie: normalise must be per_series | per_channel | none, got per_serie; did you mean 'per_series'?",
        ],
    ),
    (
        "columns",
        "data:\n"
        "  modality: timeseries\n"
        "  source: aeon:OSULeaf\n"
        "  columns: {lable: y}\n"
        "pretext: {simclr: {}}\n",
        [
            "t.yaml:4: lable: unknown key of data.columns; did you mean 'label'?",
        ],
    ),
    (
        "test share",
        "data:\n"
        "  modality: timeseries\n"
        "  source: aeon:OSULeaf\n"
        "  test: 1.0\n"
        "pretext: {simclr: {}}\n",
        [
            "t.yaml:4: test: 1.0: test must be > 0 and < 1 (share of samples), got 1.0",
        ],
    ),
    (
        "open data",
        "data:\n"
        "  modality: timeseries\n"
        "  source: aeon:OSULeaf\n"
        "  normalise: per_series | none\n"
        "pretext: {simclr: {}}\n",
        [
            "t.yaml:4: normalise: per_series | none: is fixed here; only encoder, pretext, augment and optim may be open",
        ],
    ),
    (
        "open fidelity",
        SHORT + "fidelity: {last: 10_000..54_000}\n",
        [
            "t.yaml:3: last: 10_000..54_000: is fixed here; only encoder, pretext, augment and optim may be open",
        ],
    ),
    (
        "section is a value",
        SHORT + "budget: 60\n",
        [
            "t.yaml:3: budget: 60: is a mapping, as in budget: {trials: …}",
        ],
    ),
    (
        "goal",
        SHORT + "goal: maximise probe/accuracy\n",
        [
            "t.yaml:3: goal: maximise probe/accuracy: goal must be maximize or minimize, and a metric: maximize probe/accuracy, minimize probe/mse, got maximise probe/accuracy",
        ],
    ),
    (
        "goal names no metric of the probe",
        SHORT + "goal: maximize probe/acuracy\n",
        [
            "t.yaml:3: goal: probe/acuracy: no metric of probe linear that a goal may name; did you mean 'accuracy'?",
        ],
    ),
    (
        "goal in the wrong direction",
        SHORT + "goal: minimize probe/accuracy\n",
        [
            "t.yaml:3: goal: minimize probe/accuracy: of accuracy more is better: write maximize",
        ],
    ),
    (
        "a list of one goal",
        SHORT + "goal: [maximize probe/accuracy]\n",
        [
            "t.yaml:3: goal: a list holds two objectives or more; write one without brackets",
        ],
    ),
    (
        "the first goal is a cost",
        SHORT + "goal: [minimize cost/params, maximize probe/accuracy]\n",
        [
            "t.yaml:3: goal: minimize cost/params: the first objective is the probe's, as probe/…",
        ],
    ),
    (
        "unknown cost",
        SHORT + "goal: [maximize probe/accuracy, minimize cost/parms]\n",
        [
            "t.yaml:3: goal: cost/parms: no metric of cost that a goal may name; did you mean 'params'?",
        ],
    ),
    (
        "a goal twice",
        SHORT + "goal: [maximize probe/accuracy, maximize probe/accuracy]\n",
        [
            "t.yaml:3: goal: probe/accuracy: is asked for twice",
        ],
    ),
    (
        "unknown knob of a probe",
        SHORT + "probe: {knobs: {k: 3}}\n",
        [
            "t.yaml:3: k: unknown knob of probe linear; known: alpha_high, alpha_low, alpha_steps, folds, head, wide",
        ],
    ),
    (
        "a probe's knob out of range",
        SHORT + "probe: {name: knn, knobs: {k: 0}}\n",
        [
            "t.yaml:3: k: 0: k must be >= 1 (neighbours), got 0",
        ],
    ),
    (
        "name",
        "name: a/b\ndata: {modality: timeseries, source: aeon:OSULeaf}\npretext: {simclr: {}}\n",
        [
            "t.yaml:1: name: a/b: name must be a name for a folder: letters, digits and . _ -, got a/b",
        ],
    ),
    (
        "unknown probe",
        SHORT + "probe: {name: lienar}\n",
        [
            "t.yaml:3: lienar: unknown probe; did you mean 'linear'?",
        ],
    ),
    (
        "unknown watch",
        SHORT + "probe: {watch: [knn, rankmee]}\n",
        [
            "t.yaml:3: rankmee: unknown watch; did you mean 'rankme'?",
        ],
    ),
    (
        "watch is a word",
        SHORT + "probe: {watch: knn}\n",
        [
            "t.yaml:3: watch: knn: watch must be a list, as in [a, b], got knn",
        ],
    ),
    (
        "unknown floor",
        SHORT + "probe: {against: [untraind]}\n",
        [
            "t.yaml:3: untraind: unknown floor; did you mean 'untrained'?",
        ],
    ),
    (
        "judge_by",
        SHORT + "probe: {judge_by: acuracy}\n",
        [
            "t.yaml:3: judge_by: acuracy: no metric of probe linear; did you mean 'accuracy'?",
        ],
    ),
    (
        "first above last",
        SHORT + "fidelity: {first: 2_000, last: 1_000}\n",
        [
            "t.yaml:3: fidelity: {first: 2_000, last: 1_000}: first must be <= last, got 2000 and 1000",
        ],
    ),
    (
        "eta",
        SHORT + "fidelity: {eta: 1}\n",
        [
            "t.yaml:3: eta: 1: eta must be >= 2, got 1",
        ],
    ),
    (
        "real samples",
        SHORT + "fidelity: {first: 2e3}\n",
        [
            "t.yaml:3: first: 2e3: first must be a whole number >= 1 (samples seen), got 2000.0",
        ],
    ),
    (
        "trials",
        SHORT + "budget: {trials: 0}\n",
        [
            "t.yaml:3: trials: 0: trials must be >= 1, got 0",
        ],
    ),
    (
        "minutes",
        SHORT + "budget: {minutes: ten}\n",
        [
            "t.yaml:3: minutes: ten: minutes must be a number > 0 (minutes), got ten",
        ],
    ),
    (
        "sampler",
        SHORT + "search: {sampler: tpee}\n",
        [
            "t.yaml:3: sampler: tpee: sampler must be tpe | random | gp | qmc, got tpee; did you mean 'tpe'?",
        ],
    ),
    (
        "sampler on",
        SHORT + "search: {sampler: on}\n",
        [
            "t.yaml:3: sampler: on: sampler must be tpe | random | gp | qmc, got on",
        ],
    ),
    (
        "slots",
        SHORT + "compute: {slots: 0}\n",
        [
            "t.yaml:3: slots: 0: slots must be auto or >= 1, got 0",
        ],
    ),
    (
        "slots word",
        SHORT + "compute: {slots: many}\n",
        [
            "t.yaml:3: slots: many: slots must be auto or a whole number >= 1, got many",
        ],
    ),
    (
        "storage",
        SHORT + "compute: {storage: ftp://x/y}\n",
        [
            "t.yaml:3: storage: ftp://x/y: storage must be s3://bucket/prefix, gs://bucket/prefix "
            "or a path; credentials are the environment's, got ftp://x/y",
        ],
    ),
    (
        "keep",
        SHORT + "track: {keep: yes}\n",
        [
            "t.yaml:3: keep: yes: keep must be best | all | none, got yes",
        ],
    ),
    (
        "unknown pretext",
        DATA + "pretext: {simclrr: {}}\n",
        [
            "t.yaml:2: simclrr: unknown pretext; did you mean 'simclr'?",
        ],
    ),
    (
        "unknown pretext by name",
        DATA + "pretext: simclr | byoll\n",
        [
            "t.yaml:2: byoll: unknown pretext; did you mean 'byol'?",
        ],
    ),
    (
        "two pretexts",
        DATA + "pretext: {simclr: {}, byol: {}}\n",
        [
            "t.yaml:2: pretext: simclr, byol: one lives here: write one_of: above them",
        ],
    ),
    (
        "no part",
        DATA + "pretext: {}\n",
        [
            "t.yaml:2: pretext: {}: names a part, as in pretext: {name: {knob: value}}; known: …",
        ],
    ),
    (
        "pretext is a list",
        DATA + "pretext: [simclr, byol]\n",
        [
            "t.yaml:2: pretext: [simclr, byol]: names a part, as in pretext: {name: {knob: value}}; known: …",
        ],
    ),
    (
        "one_of beside",
        DATA + "pretext:\n  one_of: {simclr: {}}\n  byol: {}\n",
        [
            "t.yaml:4: byol: stands beside one_of: indent it under one_of",
        ],
    ),
    (
        "one_of a list",
        DATA + "pretext:\n  one_of: [simclr, byol]\n",
        [
            "t.yaml:3: one_of: [simclr, byol]: holds parts, one a line, as in name: {knob: value}",
        ],
    ),
    (
        "subset of pretexts",
        DATA + "pretext:\n  subset_of: {simclr: {}, byol: {}}\n",
        [
            "t.yaml:3: subset_of: has no place in pretext: write one_of: or mix_of:",
        ],
    ),
    (
        "mix of encoders",
        SHORT + "encoder:\n  mix_of: {conv1d: {}, transformer: {}}\n",
        [
            "t.yaml:4: mix_of: has no place in encoder: write one_of:",
        ],
    ),
    (
        "mix of one",
        DATA + "pretext:\n  mix_of: {simclr: {}}\n",
        [
            "t.yaml:3: mix_of: mixes two branches or more",
        ],
    ),
    (
        "mix weight",
        DATA + "pretext:\n  mix_of:\n    simclr: {weight: 0.0}\n    byol: {}\n",
        [
            "t.yaml:4: weight: 0.0: weight must be > 0, got 0.0",
        ],
    ),
    (
        "weight outside of a mix",
        DATA + "pretext: {simclr: {weight: 0.5}}\n",
        [
            "t.yaml:2: weight: unknown knob of simclr; known: projection, temperature",
        ],
    ),
    (
        "one of augmentations",
        SHORT + "augment:\n  one_of: {jitter: {}}\n",
        [
            "t.yaml:4: one_of: has no place in augment: write subset_of: or sequence_of:",
        ],
    ),
    (
        "augment is a word",
        SHORT + "augment: jitter\n",
        [
            "t.yaml:3: augment: jitter: none, or a mapping as in augment: {jitter: {sigma: 0.03}}",
        ],
    ),
    (
        "unknown augmentation",
        SHORT + "augment:\n  subset_of:\n    crop_resize: {}\n    gitter: {}\n",
        [
            "t.yaml:6: gitter: unknown augment; did you mean 'jitter'?",
        ],
    ),
    (
        "knobs are a number",
        SHORT + "augment: {jitter: 0.03}\n",
        [
            "t.yaml:3: jitter: 0.03: holds knobs, as in jitter: {knob: value}",
        ],
    ),
    (
        "unknown knob",
        SHORT + "augment: {jitter: {sigmaa: 0.03}}\n",
        [
            "t.yaml:3: sigmaa: unknown knob of jitter; did you mean 'sigma'?",
        ],
    ),
    (
        "part without knobs",
        DATA + "pretext: {none: {depth: 3}}\n",
        [
            "t.yaml:2: depth: unknown knob of none; it has none",
        ],
    ),
    (
        "log()",
        SHORT + "augment:\n  jitter: {sigma: log(0.01, 0.5)}\n",
        [
            "t.yaml:4: 0.5): unknown knob of jitter; known: sigma",
            "t.yaml:4: sigma: log(0.01: a range is written low..high or low..high log, a choice a | b | c",
        ],
    ),
    (
        "three dots",
        SHORT + "augment:\n  jitter: {sigma: 0.1...0.5}\n",
        [
            "t.yaml:4: sigma: 0.1...0.5: a range is written low..high or low..high log, as in 0.3..0.9",
        ],
    ),
    (
        "half a range",
        SHORT + "augment:\n  jitter: {sigma: 0.1..}\n",
        [
            "t.yaml:4: sigma: 0.1..: a range is written low..high or low..high log, as in 0.3..0.9",
        ],
    ),
    (
        "descending",
        SHORT + "augment:\n  jitter: {sigma: 0.5..0.1}\n",
        [
            "t.yaml:4: sigma: 0.5..0.1: a range goes from low to high: write 0.1..0.5",
        ],
    ),
    (
        "a point",
        SHORT + "augment:\n  jitter: {sigma: 0.5..0.5}\n",
        [
            "t.yaml:4: sigma: 0.5..0.5: a range of one value is a fixed value: write 0.5",
        ],
    ),
    (
        "log of zero",
        SHORT + "augment:\n  jitter: {sigma: 0.0..0.5 log}\n",
        [
            "t.yaml:4: sigma: 0.0..0.5 log: orders of magnitude (log) need low > 0, got 0.0",
        ],
    ),
    (
        "log alone",
        SHORT + "augment:\n  jitter: {sigma: 0.5 log}\n",
        [
            "t.yaml:4: sigma: 0.5 log: a range is written low..high or low..high log, as in 0.3..0.9",
        ],
    ),
    (
        "empty option",
        SHORT + "optim: {batch_size: 8 | | 32}\n",
        [
            "t.yaml:3: batch_size: 8 | | 32: a choice is written a | b | c, without an empty option",
        ],
    ),
    (
        "double option",
        SHORT + "optim: {batch_size: 8 | 8}\n",
        [
            "t.yaml:3: batch_size: 8 | 8: the option 8 stands there twice",
        ],
    ),
    (
        "range in a choice",
        SHORT + "optim: {batch_size: 8 | 16..32}\n",
        [
            "t.yaml:3: batch_size: 8 | 16..32: the options of a choice are fixed values, not ranges",
        ],
    ),
    (
        "negative",
        SHORT + "augment: {jitter: {sigma: -0.1}}\n",
        [
            "t.yaml:3: sigma: -0.1: sigma must be >= 0 (channel standard deviations), got -0.1",
        ],
    ),
    (
        "text for a number",
        SHORT + "augment: {jitter: {sigma: strong}}\n",
        [
            "t.yaml:3: sigma: strong: sigma must be a number >= 0 (channel standard deviations), got strong",
        ],
    ),
    (
        "quoted number",
        SHORT + "augment: {jitter: {sigma: '0.1'}}\n",
        [
            "t.yaml:3: sigma: '0.1': sigma must be a number >= 0 (channel standard deviations), got \"0.1\"",
        ],
    ),
    (
        "time for a number",
        SHORT + "augment: {jitter: {sigma: 12:30}}\n",
        [
            "t.yaml:3: sigma: 12:30: sigma must be a number >= 0 (channel standard deviations), got 12:30",
        ],
    ),
    (
        "infinite",
        SHORT + "augment: {jitter: {sigma: 1e999}}\n",
        [
            "t.yaml:3: sigma: 1e999: a number this large cannot be stored",
        ],
    ),
    (
        "ratio above one",
        DATA + "pretext:\n  mae:\n    masking:\n      random: {ratio: 0.5..1.2}\n",
        [
            "t.yaml:5: ratio: 0.5..1.2: ratio must be >= 0 and < 1 (share of the tokens), got 1.2",
        ],
    ),
    (
        "unknown masking",
        DATA + "pretext:\n  mae:\n    masking: {rondom: {}}\n",
        [
            "t.yaml:4: rondom: unknown masking; did you mean 'random'?",
        ],
    ),
    (
        "masking is a number",
        DATA + "pretext:\n  mae:\n    masking: 0.75\n",
        [
            "t.yaml:4: 0.75: unknown masking; known: …",
        ],
    ),
    (
        "whole for real",
        DATA + "pretext:\n  mae:\n    masking:\n      random: {ratio: 0..1}\n",
        [
            "t.yaml:5: ratio: 0..1: ratio must be >= 0 and < 1 (share of the tokens), got 1",
        ],
    ),
    (
        "real for whole",
        SHORT + "encoder: {conv1d: {depth: 3.0..8.0}}\n",
        [
            "t.yaml:3: depth: 3.0..8.0: depth must be a whole number >= 1 (blocks), got 3.0",
        ],
    ),
    (
        "bool",
        DATA + "pretext: {mae: {normalise: yes}}\n",
        [
            "t.yaml:2: normalise: yes: normalise must be true or false, got yes; did you mean true?",
        ],
    ),
    (
        "bool range",
        DATA + "pretext: {mae: {normalise: 0..1}}\n",
        [
            "t.yaml:2: normalise: 0..1: normalise must be true or false, got 0",
        ],
    ),
    (
        "literal",
        SHORT + "encoder: {conv1d: {pool: maxx}}\n",
        [
            "t.yaml:3: pool: maxx: pool must be mean | max | mean_max, got maxx; did you mean 'max'?",
        ],
    ),
    (
        "literal option",
        SHORT + "encoder: {conv1d: {pool: mean | maxx}}\n",
        [
            "t.yaml:3: pool: mean | maxx: pool must be mean | max | mean_max, got maxx; did you mean 'max'?",
        ],
    ),
    (
        "null",
        SHORT + "encoder: {conv1d: {depth: null}}\n",
        [
            "t.yaml:3: depth: null: depth must be a whole number >= 1 (blocks), got null",
        ],
    ),
    (
        "a list for a number",
        SHORT + "encoder: {conv1d: {depth: [3, 4]}}\n",
        [
            "t.yaml:3: depth: [3, 4]: depth must be a whole number >= 1 (blocks), got [3, 4]",
        ],
    ),
    (
        "multiple",
        DATA + "pretext: {mae: {decoder_width: 60}}\n",
        [
            "t.yaml:2: decoder_width: 60: decoder_width must be >= 1 and a multiple of 16 (units), got 60",
        ],
    ),
    (
        "batch size",
        SHORT + "optim: {batch_size: 0 | 8}\n",
        [
            "t.yaml:3: batch_size: 0 | 8: batch_size must be >= 1 (samples, over all workers), got 0",
        ],
    ),
    (
        "lr",
        SHORT + "optim: {lr: 0.0..0.1}\n",
        [
            "t.yaml:3: lr: 0.0..0.1: lr must be > 0 (at a batch of 32 samples), got 0.0",
        ],
    ),
    (
        "warmup",
        SHORT + "optim: {warmup: 100}\n",
        [
            "t.yaml:3: warmup: 100: warmup must be >= 0 and < 1 (share of the horizon), got 100",
        ],
    ),
    (
        "unknown optim",
        SHORT + "optim: {learning_rate: 0.1}\n",
        [
            "t.yaml:3: learning_rate: unknown knob of optim; known: batch_size, lr, lr_scaling, warmup, weight_decay",
        ],
    ),
    (
        "lr_scaling",
        SHORT + "optim: {lr_scaling: none | square}\n",
        [
            "t.yaml:3: lr_scaling: none | square: lr_scaling must be none | sqrt | linear, got square; did you mean 'sqrt'?",
        ],
    ),
]
