#!/usr/bin/env bash
# Runs the demo line with the operator's page until Ctrl-C: live.sh INSPECTOR, the path of the command.
set -euo pipefail
inspector=$(realpath "$1")
config=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)/live.toml
out=$(dirname "$config")/../../out/demo-live
mkdir -p "$out"

"$inspector" run --config "$config" --json >"$out/run.json" 2>"$out/line.log" &
line=$!
trap 'kill -INT $line 2>/dev/null || true; wait $line || true' EXIT

# One account, so that everything can be tried; its password lies beside the results.
if [[ ! -s $out/password ]]; then
  (umask 077 && head -c 9 /dev/urandom | base64 >"$out/password")
  "$inspector" user add demo --role admin --config "$config" <"$out/password" >/dev/null
fi
echo "page      http://127.0.0.1:8470"
echo "log in    demo, password $(<"$out/password")"
echo "results   $(realpath "$out"); the line's log: line.log"
echo "stop      Ctrl-C"
"$inspector" serve --config "$config" 2>"$out/page.log" || { tail -n 3 "$out/page.log"; exit 1; }
