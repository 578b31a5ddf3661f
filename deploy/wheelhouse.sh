#!/usr/bin/env bash
# Fills a folder with everything a PC without internet needs to install the inspector.
set -euo pipefail

usage() {
  cat <<'END'
usage: wheelhouse.sh [--extra NAME]… WHEEL DIR

  WHEEL         strip_inspector-….whl (`pip wheel --no-deps .` makes it)
  DIR           where the wheels go; copy it, with the wheel, to the PC
  --extra NAME  besides `service`: tensorrt (its library is on NVIDIA's index, which is asked, too), gpu, postgres …

Run it with the Python version and on the processor of that PC: wheels fit no other.
END
}

nvidia=https://pypi.nvidia.com

say() { printf 'wheelhouse.sh: %s\n' "$*"; }
fail() {
  printf 'wheelhouse.sh: %s\n' "$*" >&2
  exit "${2:-1}"
}

main() {
  local wheel='' folder='' extras=service nvidias=() pip=(python3 -m pip --quiet --disable-pip-version-check)
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
  # `wheel`, not `download`: what is published as source only is built here, where there are compilers and a network.
  "${pip[@]}" wheel "${nvidias[@]}" --wheel-dir "$folder" "${wheel}[$extras]" ||
    fail "not everything could be had: see pip's words above"
  "${pip[@]}" install --dry-run --ignore-installed --no-index --find-links "$folder" "${wheel}[$extras]" ||
    fail "$folder is not enough to install from: see pip's words above"
  say "$folder: $(find "$folder" -name '*.whl' | wc -l) wheels, $(du -sh "$folder" | cut -f1); on the PC:"
  say "deploy/install.sh --wheelhouse $(basename "$folder")$(printf '%s' ",${extras}" | sed 's/,service//; s/,/ --extra /g') $(basename "$wheel")"
}

main "$@"
