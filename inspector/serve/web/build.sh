#!/usr/bin/env bash
# Builds the page from this folder into ../static, or with --check says whether the files there are what it builds.
# npm works in a copy under out/web: node_modules must not lie inside the Python package.
set -euo pipefail
source=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
static=$source/../static
work=$source/../../../out/web

if ! command -v npm >/dev/null; then
  echo "page: npm is not installed: the built files are not compared with their source"
  exit 0
fi
mkdir -p "$work"
find "$work" -mindepth 1 -maxdepth 1 ! -name node_modules ! -name .installed -exec rm -rf {} +
cp -r "$source"/. "$work"
cd "$work"
if ! cmp -s package-lock.json .installed; then
  if ! npm ci --no-audit --no-fund --silent; then
    echo "page: npm cannot install what the page is built with: the built files are not compared with their source"
    exit 0
  fi
  cp package-lock.json .installed
fi
npm run --silent check
npm run --silent build -- --logLevel warn
case ${1:-} in
  --check)
    diff -rq dist "$static" || { echo "page: inspector/serve/static is not what its source gives: make page"; exit 1; }
    ;;
  *)
    rm -rf "$static"
    cp -r dist "$static"
    ;;
esac
