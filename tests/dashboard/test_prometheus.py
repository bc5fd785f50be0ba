"""What Grafana asks for is what sslsearch and Ray export, and a real Prometheus answers it."""

import json
import re
import shutil
import socket
import subprocess
import time
import urllib.parse
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest
import yaml

from sslsearch.search.gauges import METRICS
from sslsearch.space import Space

FOLDER = Path(__file__).parents[2] / "dashboards"
CONFIG = FOLDER / "prometheus.yml"
BOARD = json.loads((FOLDER / "grafana" / "sslsearch.json").read_text())
PANELS = [panel for panel in BOARD["panels"] if panel["type"] != "row"]
QUERIES = [
    pytest.param(panel["title"], target["expr"], id=f"{panel['title']}-{target['refId']}")
    for panel in PANELS
    for target in panel["targets"]
]
VALUES = {"$__rate_interval": "1m", "$study": ".*", "$pretext": ".*", "$node": ".*"}
EMPTY = {"Failures", "GPU", "GPU memory", "Object store"}  # may have nothing to show
OWN = "ray_sslsearch_"


def filled(query: str) -> str:
    """A query as Grafana sends it, everything selected."""
    for name, value in VALUES.items():
        query = query.replace(name, value)
    assert "$" not in query, query
    return query


def of_ray() -> set[str]:
    """The names that Ray's own dashboards ask for and its agents report."""
    import ray.dashboard

    home = Path(ray.dashboard.__file__).parent / "modules"
    panels = home / "metrics" / "dashboards" / "default_dashboard_panels.py"
    agent = home / "reporter" / "reporter_agent.py"
    reported = re.findall(r'"(\w+)": Gauge\(', agent.read_text())
    return {*re.findall(r"ray_\w+", panels.read_text()), *(f"ray_{name}" for name in reported)}


@pytest.mark.parametrize(("title", "query"), QUERIES)
def test_every_name_is_exported(title: str, query: str) -> None:
    labels_out = re.sub(r"\{[^}]*\}", "", query)
    names = set(re.findall(r"\bray_\w+", labels_out))
    assert names, title
    for name in names:
        if name.startswith(OWN):
            _, labels, _ = METRICS[name.removeprefix("ray_")]
            asked = set(
                re.findall(r"(\w+)(?==~|!~|=)", "".join(re.findall(name + r"(\{.*?\})", query)))
            )
            assert asked <= {"study", "space", *labels}, (title, name)
        else:
            assert name in of_ray(), (title, name)


def test_every_own_metric_is_shown() -> None:
    shown = "".join(query for _, query in (param.values for param in QUERIES))
    assert {name for name in METRICS if f"ray_{name}" not in shown} == set()


def test_the_board_is_whole() -> None:
    assert BOARD["schemaVersion"] >= 39
    assert len({panel["id"] for panel in BOARD["panels"]}) == len(BOARD["panels"])
    names = [variable["name"] for variable in BOARD["templating"]["list"]]
    assert names == ["datasource", "study", "pretext", "node"]
    for variable in BOARD["templating"]["list"][1:]:
        assert variable["definition"].startswith("label_values(ray_")
    taken: set[tuple[int, int]] = set()
    for panel in BOARD["panels"]:
        place = panel["gridPos"]
        cells = {
            (place["x"] + i, place["y"] + j) for i in range(place["w"]) for j in range(place["h"])
        }
        assert not taken & cells, panel["title"]
        assert max(x for x, _ in cells) < 24
        taken |= cells
        if panel["type"] != "row":
            assert panel["datasource"]["uid"] == "${datasource}"
            assert len({target["refId"] for target in panel["targets"]}) == len(panel["targets"])


@pytest.mark.skipif(shutil.which("promtool") is None, reason="promtool is not installed")
def test_promtool_reads_all_of_it(tmp_path: Path) -> None:
    checked = subprocess.run(
        ["promtool", "check", "config", str(CONFIG)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stderr
    rules = [
        {"record": f"panel:{number}", "expr": filled(param.values[1])}  # type: ignore[arg-type]
        for number, param in enumerate(QUERIES)
    ]
    path = tmp_path / "rules.yml"
    path.write_text(yaml.safe_dump({"groups": [{"name": "board", "rules": rules}]}))
    checked = subprocess.run(
        ["promtool", "check", "rules", str(path)], capture_output=True, text=True
    )
    assert checked.returncode == 0, checked.stdout + checked.stderr
    assert f"{len(QUERIES)} rules found" in checked.stdout


def free_port() -> int:
    with socket.socket() as held:
        held.bind(("127.0.0.1", 0))
        port: int = held.getsockname()[1]
        return port


@contextmanager
def prometheus(config: Path, folder: Path) -> Iterator[str]:
    """A real Prometheus on loopback; its address."""
    port = free_port()
    command = ["prometheus", f"--config.file={config}", f"--storage.tsdb.path={folder / 'tsdb'}"]
    with (folder / "prometheus.log").open("w") as log:
        process = subprocess.Popen(
            [*command, f"--web.listen-address=127.0.0.1:{port}"], stdout=log, stderr=log
        )
        try:
            yield f"http://127.0.0.1:{port}"
        finally:
            process.terminate()
            process.wait(20)


def ask(address: str, query: str, since: float) -> list[Any]:
    """All series that a range query gives."""
    words = {"query": query, "start": since, "end": time.time(), "step": 2}
    url = f"{address}/api/v1/query_range?{urllib.parse.urlencode(words)}"
    with urllib.request.urlopen(url, timeout=10) as page:
        answer = json.load(page)
    assert answer["status"] == "success"
    series: list[Any] = answer["data"]["result"]
    return series


@pytest.mark.slow
@pytest.mark.skipif(shutil.which("prometheus") is None, reason="prometheus is not installed")
@pytest.mark.usefixtures("ray_cluster")
def test_prometheus_answers_every_panel(space: Space, tmp_path: Path) -> None:
    """A real search on a real Ray, scraped as dashboards/prometheus.yml says."""
    import ray

    from sslsearch.search.study import Study
    from sslsearch.track.console import Console

    (node,) = [n for n in ray.nodes() if n["Alive"]]
    target = f"{node['NodeManagerAddress']}:{node['MetricsExportPort']}"
    found = tmp_path / "prom_metrics_service_discovery.json"  # as Ray's dashboard writes it
    found.write_text(json.dumps([{"labels": {"job": "ray"}, "targets": [target]}]))
    config = tmp_path / "prometheus.yml"
    config.write_text(CONFIG.read_text().replace("/tmp/ray/", f"{tmp_path}/"))
    began = time.time()
    with prometheus(config, tmp_path) as address:
        study = Study(space, tmp_path / "mine", Path.cwd(), Console(space.name, 4, 5))
        study.run(None)
        study.close()
        rows = study.record.rows()
        total = sum(row.samples_seen for row in rows)
        deadline = time.time() + 60
        while time.time() < deadline:  # Ray reports every 10 s, Prometheus asks every 10 s
            seen = ask(address, f'sum({OWN}samples_total{{study="mine"}})', began)
            if seen and float(seen[0]["values"][-1][1]) == total:
                break
            time.sleep(1)
        time.sleep(11)  # one scrape more: a rate needs two
        assert float(seen[0]["values"][-1][1]) == total
        for param in QUERIES:
            title, query = param.values
            series = ask(address, filled(str(query)), began)
            assert series or title in EMPTY, title
        ended = ask(
            address, f'sum({OWN}trials{{study="mine",kind="trial",status="running"}})', began
        )
        assert max(float(value) for _, value in ended[0]["values"]) >= 1
        labels = ask(address, f"{OWN}samples_total", began)[0]["metric"]
        assert not [name for name in labels if name.startswith("otel_")]
