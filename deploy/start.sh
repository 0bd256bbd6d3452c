#!/bin/sh
# Starts the worker with the permissions that its settings call for, and no more: it reads the
# program, the model, a file of keys and ./data, writes ./data, listens on its own address, and connects to the state
# store. Environment and system are as in deno.json's set `start`. Settings come from the
# environment; RWKV_ALLOW_NET names further hosts, as `kv.example.com,[2001:db8::1]:443`.
set -eu

app=$(cd "$(dirname "$0")/.." && pwd)
data=$(pwd -P)
data=${data%/}/data

# A model's folder is looked through for its vocabulary.
read=$app,$data,/models
for path in "${RWKV_MODEL:-}" "${RWKV_VOCAB:-}"; do
  case $path in
    /*)
      [ -d "$path" ] || path=$(dirname "$path")
      read=$read,$path
      ;;
  esac
done
case ${RWKV_KEYS:-} in
  /*) read=$read,$(dirname "$RWKV_KEYS") ;;
esac

host=${HOST:-127.0.0.1}
case $host in
  *:*) host="[$host]" ;;
esac
net=$host:${PORT:-8000}
case ${RWKV_KV:-} in
  http://* | https://*)
    kv=${RWKV_KV#*://}
    kv=${kv%%[/?#]*}
    net=$net,${kv##*@}
    ;;
esac
net=$net${RWKV_ALLOW_NET:+,$RWKV_ALLOW_NET}

# Connections are files. One without a request costs 15 kB until it is dropped, which is when there can
# be no more: some 250 MB.
# shellcheck disable=SC3045 # Debian's sh has it; without it nothing is lost.
ulimit -n 16384 2> /dev/null || :

# exec: signals are to reach the worker itself.
exec deno run -q -P=start --no-prompt --cached-only --frozen --deny-import \
  "--allow-read=$read" "--allow-write=$data" "--allow-net=$net" \
  "$app/src/cli/main.ts" "$@"
