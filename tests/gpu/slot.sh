#!/usr/bin/env bash
# A short slot on a GPU machine without network: everything that needs a GPU, the most needed first, each figure
# written as it is measured. Nothing is installed.
set -euo pipefail

usage() {
  cat <<'END'
usage: slot.sh pack DIR                      (here, with network) the small libraries such a machine lacks
       slot.sh OUT [--site DIR] [--neu-seg DIR] [--minutes M] [--steps NAME,NAME…]

  OUT            figures.jsonl and slot.log go here
  --site DIR     what `pack` made
  --neu-seg DIR  images/ and masks/ of NEU-Seg; without it nothing is trained
  --minutes M    of the whole slot (default 9.5); training takes what the checks before it leave
  --steps …      only these (see slot.py)
END
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/../.." && pwd)
python=${PYTHON:-python3}

# The GPU machine's Python; wheels are unpacked, not installed: they need be on PYTHONPATH only.
for_python=3.12
packed=(pyzmq msgspec pydantic pydantic-settings structlog jsonschema)

pack() {
  local platforms=()
  for glibc in 2_17 2_24 2_26 2_27 2_28 2_31 2_34; do platforms+=(--platform "manylinux_${glibc}_x86_64"); done
  "$python" -m pip install --quiet --disable-pip-version-check --target "$1" --upgrade --no-compile --only-binary=:all: \
    --python-version "$for_python" --implementation cp "${platforms[@]}" --platform manylinux2014_x86_64 "${packed[@]}"
  rm -rf "$1"/bin "$1"/*/tests
  du -sh "$1"
}

case ${1:-} in
  '' | -h | --help) usage && exit ;;
  pack) pack "${2:?pack needs a folder}" && exit ;;
esac
out=$1 site='' arguments=()
shift
while (($#)); do
  case $1 in
    --site) site=$(realpath "${2:?--site needs a folder}") && shift ;;
    *) arguments+=("$1") ;;
  esac
  shift
done
mkdir -p "$out"
export PYTHONPATH="$root${site:+:$site}${PYTHONPATH:+:$PYTHONPATH}" PYTHONDONTWRITEBYTECODE=1 PYTHONUNBUFFERED=1
"$python" "$root/tests/gpu/slot.py" "$out" "${arguments[@]}" 2>&1 | tee -a "$out/slot.log"
