#!/usr/bin/env bash
# Fills a folder with everything a PC without internet needs to install the inspector.
set -euo pipefail

usage() {
  cat <<'END'
usage: wheelhouse.sh [--extra NAME]… WHEEL DIR

  WHEEL         strip_inspector-….whl (`.venv/bin/pip wheel --no-deps -w dist .` makes it)
  DIR           where the wheels go; copy it, with the wheel, to the PC
  --extra NAME  besides `service`: tensorrt (its library is on NVIDIA's index, which is asked, too), gpu, postgres …

Run it with the Python version and on the processor of that PC: wheels fit no other. PYTHON=.venv/bin/python takes the
pip of a venv, where the system has none. Libraries come in the versions of requirements.lock, checked by their hashes.
END
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
nvidia=https://pypi.nvidia.com

say() { printf 'wheelhouse.sh: %s\n' "$*"; }
fail() {
  printf 'wheelhouse.sh: %s\n' "$*" >&2
  exit "${2:-1}"
}

# Only the versions: with hashes, pip would require hashes of everything else, too.
versions() { grep -o '^[a-z0-9][^ ]*==[^ ]*' "$here/requirements.lock"; }

main() {
  local wheel='' folder='' extras=service nvidias=() pip=("${PYTHON:-python3}" -m pip --quiet --disable-pip-version-check)
  while (($#)); do
    case $1 in
      --extra) extras+=,${2:?--extra needs a name} && shift ;;
      --help | -h) usage && exit ;;
      -*) usage >&2 && exit 2 ;;
      *) if [[ -z $wheel ]]; then wheel=$1; else folder=$1; fi ;;
    esac
    shift
  done
  [[ -f $wheel && -n $folder ]] || { usage >&2 && exit 2; }
  wheel=$(realpath "$wheel")
  if [[ $extras == *tensorrt* ]]; then nvidias=(--extra-index-url "$nvidia"); fi
  "${pip[@]}" --version >/dev/null 2>&1 ||
    fail "${PYTHON:-python3} has no pip: python3 -m venv .venv, then PYTHON=.venv/bin/python $0 …"
  "${pip[@]}" wheel --require-hashes --requirement "$here/requirements.lock" --wheel-dir "$folder" ||
    fail "the locked versions could not be downloaded: see pip's output above"
  # `wheel`, not `download`: packages published only as source are built here, with compilers and a network.
  "${pip[@]}" wheel "${nvidias[@]}" --find-links "$folder" --constraint <(versions) --wheel-dir "$folder" "${wheel}[$extras]" ||
    fail "not all packages could be downloaded: see pip's output above"
  "${pip[@]}" install --dry-run --ignore-installed --no-index --find-links "$folder" "${wheel}[$extras]" ||
    fail "$folder is not enough to install from: see pip's output above"
  say "$folder: $(find "$folder" -name '*.whl' | wc -l) wheels, $(du -sh "$folder" | cut -f1); on the PC:"
  say "deploy/install.sh --wheelhouse $(basename "$folder")$(printf '%s' ",${extras}" | sed 's/,service//; s/,/ --extra /g') $(basename "$wheel")"
}

main "$@"
