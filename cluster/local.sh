#!/usr/bin/env bash
# A Ray cluster of several nodes on this one machine, for trying out what runs on a real one.
#
#   cluster/local.sh start [NODES] [CPUS_PER_NODE]   head and further nodes (default 3 with 1 CPU)
#   cluster/local.sh submit SPACE [WORDS…]           sslsearch.run SPACE WORDS… as a job of it
#   eval "$(cluster/local.sh env)"                   `ray job …` and `--address` find it
#   cluster/local.sh stop                            ends what `start` has started, nothing else
#
# Whoever asks anything of it needs its token. The dashboard listens on loopback, Ray's own ports on
# all interfaces, as they always do. What may be set in the environment:
#   CLUSTER_DIR     token, pids, logs and Ray's own files (default /tmp/sslsearch-cluster; keep it
#                   short: sockets lie below it)
#   CLUSTER_PORT    of the head; the two above it are taken too, and ten for each further node
#                   (default 6479)
#   DASHBOARD_PORT  of the dashboard and of jobs (default 8265)
#   NODE_MEMORY_MB  object store of each node (default 256)
set -euo pipefail

dir=${CLUSTER_DIR:-/tmp/sslsearch-cluster}
port=${CLUSTER_PORT:-6479}
dashboard=${DASHBOARD_PORT:-8265}
store=$((${NODE_MEMORY_MB:-256} * 1024 * 1024))
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

fail() {
  printf '%s\n' "$*" >&2
  exit 2
}

describe() { # what a process must know to find the cluster
  printf 'export RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH=%q\n' "$dir/token"
  printf 'export RAY_ADDRESS=127.0.0.1:%d RAY_API_SERVER_ADDRESS=http://127.0.0.1:%d\n' \
    "$port" "$dashboard"
}

# node NUMBER OPTIONS…: one node, in a session of its own, and its pid. It has its own folder, for a
# node that unpacks what a job brings along removes what is in its place: the others work in it.
node() {
  local number=$1 base=$((port + 10 * $1))
  shift
  RAY_AUTH_MODE=token RAY_AUTH_TOKEN_PATH="$dir/token" RAY_ADDRESS='' \
    PATH="$(dirname "$(command -v ray)"):$PATH" \
    setsid ray start --block --disable-usage-stats --node-ip-address=127.0.0.1 \
    --temp-dir="$dir/$number" --object-store-memory="$store" \
    --dashboard-agent-listen-port=$((base + 1)) "$@" \
    >"$dir/node-$number.log" 2>&1 </dev/null &
  echo $! >"$dir/node-$number.pid"
}

wait_for() { # wait_for NUMBER: until the node says that it runs
  local deadline=$((SECONDS + 120))
  until grep -qs 'Ray runtime started' "$dir/node-$1.log"; do
    if ! kill -0 "$(cat "$dir/node-$1.pid")" 2>/dev/null || ((SECONDS > deadline)); then
      tail -n 20 "$dir/node-$1.log" >&2
      stop >/dev/null
      fail "node $1 has not started"
    fi
    sleep 0.2
  done
}

start() {
  local nodes=${1:-3} cpus=${2:-1} number deadline
  command -v ray >/dev/null || fail "ray is not on the PATH; activate the environment"
  compgen -G "$dir/node-*.pid" >/dev/null && fail "$dir holds a cluster; first: $0 stop"
  mkdir -p -m 700 "$dir"
  (umask 077 && od -An -N32 -tx1 /dev/urandom | tr -d ' \n' >"$dir/token")
  node 0 --head --port="$port" --num-cpus="$cpus" \
    --ray-client-server-port=$((port + 2)) --include-dashboard=true \
    --dashboard-host=127.0.0.1 --dashboard-port="$dashboard"
  wait_for 0
  for ((number = 1; number < nodes; number++)); do
    node "$number" --address="127.0.0.1:$port" --num-cpus="$cpus"
    wait_for "$number" # one by one: two at once may choose the same ports
  done
  deadline=$((SECONDS + 60))
  until (: <"/dev/tcp/127.0.0.1/$dashboard") 2>/dev/null; do
    ((SECONDS < deadline)) || fail "the dashboard does not answer; see $dir"
    sleep 0.2
  done
  printf '%d nodes with %d CPU each; for `ray job …` and --address:\n' "$nodes" "$cpus"
  describe
}

stop() {
  local file pid tries
  compgen -G "$dir/node-*.pid" >/dev/null || fail "$dir holds no cluster"
  for file in "$dir"/node-*.pid; do kill -TERM "$(cat "$file")" 2>/dev/null || true; done
  for file in "$dir"/node-*.pid; do
    pid=$(cat "$file")
    for ((tries = 0; tries < 200; tries++)); do
      kill -0 "$pid" 2>/dev/null || break
      sleep 0.1
    done
    pkill -KILL -s "$pid" || true # what is left in the session that `node` made
  done
  rm -rf "$dir"
  echo "stopped"
}

submit() {
  (($#)) || fail "which space? $0 submit SPACE [WORDS…]"
  [ -f "$dir/token" ] || fail "no cluster runs; first: $0 start"
  local words=("$@") here="$PWD"
  # The job runs in a copy of the checkout on a node: what it writes must lie elsewhere.
  [[ " $* " == *' --out '* ]] || words+=(--out "$here/runs/$(basename "$1" .yaml)")
  [[ " $* " == *track.mlflow=* ]] || words+=(--set "track.mlflow=sqlite:///$here/mlflow.db")
  eval "$(describe)"
  unset RAY_ADDRESS # of `ray job` it would be the dashboard's
  exec ray job submit --working-dir "$root" -- python -m sslsearch.run "${words[@]}"
}

case ${1:-} in
  start | stop | submit) "$@" ;;
  env) describe ;;
  *) fail "$(sed -n '2,/^set/{/^set/!s/^# \{0,1\}//p}' "${BASH_SOURCE[0]}")" ;;
esac
