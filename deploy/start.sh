#!/bin/sh
# Starts the worker with the permissions that its settings need, and no others. It can read the
# program, the model, the key file and ./data, write ./data, listen on its own address, and connect
# to the state store. The permission set `start` in deno.json grants access to environment variables
# and system information. Settings come from the environment. RWKV_ALLOW_NET grants access to
# additional hosts, for example `kv.example.com,[2001:db8::1]:443`.
set -eu

app=$(cd "$(dirname "$0")/.." && pwd)
data=$(pwd -P)
data=${data%/}/data

# The worker searches the folder of the model for its vocabulary.
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

# Every connection needs a file descriptor. Idle connections take 15 kB each and are closed only when
# descriptors run out, so this limit bounds them to about 250 MB.
# shellcheck disable=SC3045 # Debian's sh supports it, and failure is harmless.
ulimit -n 16384 2> /dev/null || :

# exec: the worker must receive signals itself.
exec deno run -q -P=start --no-prompt --cached-only --frozen --deny-import \
  "--allow-read=$read" "--allow-write=$data" "--allow-net=$net" \
  "$app/src/cli/main.ts" "$@"
