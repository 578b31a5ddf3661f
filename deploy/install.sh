#!/usr/bin/env bash
# Installs, upgrades or removes the inspector as a systemd service. It can run repeatedly: what is in place
# stays unchanged, and config, recipes, engines and results are never overwritten.
set -euo pipefail
umask 022 # the stages' users must be able to read what it installs

usage() {
  cat <<'END'
usage: install.sh [--wheelhouse DIR] [--extra NAME]… [--no-demo] [--no-restart] WHEEL
       install.sh --uninstall

  WHEEL             strip_inspector-….whl
  --wheelhouse DIR  take all libraries from this folder, for a PC without internet: wheelhouse.sh fills it
  --extra NAME      besides `service`: serve (the operator's page), mqtt, opcua, tensorrt or torch (a GPU PC: workers get its
                    devices), postgres, …;
                    what these add is not in requirements.lock
  --no-demo         build no demo engine
  --no-restart      upgrade, but leave the running stages on the old release
  --uninstall       remove units and releases; config, engines and results stay

/opt/inspector/releases/…   each release in its own venv; `current` is the one in use
/opt/inspector/engines/     engine folders, root's; a worker's instance is named by its folder
/etc/inspector/             line.toml, recipes, keys: root's, readable by the group inspector
/var/lib/inspector/         verdicts and pictures: decide's, readable by the group inspector
/var/lib/inspector-serve/   accounts and reviews of the operator's page
/var/lib/inspector-archive/ frames, if line.toml has an [archive] table
/var/lib/inspector-mqtt/    how far results were sent; the same for inspector-opcua, with its certificates

Libraries come in the versions of requirements.lock, each checked by its hash.
END
}

here=$(cd "$(dirname "${BASH_SOURCE[0]}")" && pwd)
home=/opt/inspector
etc=/etc/inspector
units=/usr/local/lib/systemd/system
tmpfiles=/usr/local/lib/tmpfiles.d/inspector.conf
keep_releases=2 # the one in use and the previous one
gpu_unit=strip-inspector-gpu.service
gpu_drop_in=inspector-worker@.service.d/worker-gpu.conf
backoff_since=254 # first systemd version with RestartSteps=

say() { printf 'install.sh: %s\n' "$*"; }
fail() {
  printf 'install.sh: %s\n' "$*" >&2
  exit "${2:-1}"
}

inspector_units() { systemctl list-units --all --plain --no-legend "$@" 'inspector-*.service' 'inspector-*.path' 'inspector.target' | awk '{ print $1 }'; }

switch_to() {
  # A rename, so that a release exists at every moment.
  ln -sfn "$1" "$home/.current"
  mv -T "$home/.current" "$home/current"
}

uninstall() {
  local found
  mapfile -t found < <(inspector_units)
  if ((${#found[@]})); then systemctl stop "${found[@]}"; fi
  systemctl disable --quiet inspector.target 'inspector-decide.service' 2>/dev/null || true
  find /etc/systemd/system -name 'inspector*' -type l -delete
  if [[ -e $units/$gpu_unit ]]; then systemctl stop "$gpu_unit"; fi
  rm -rf "$units"/inspector* "${units:?}/$gpu_unit" "$tmpfiles" "$home/releases" "$home/current" /run/inspector
  for program in inspector trainer; do
    if [[ $(readlink "/usr/local/bin/$program") == "$home"/* ]]; then rm "/usr/local/bin/$program"; fi
  done
  systemctl daemon-reload
  systemctl reset-failed 'inspector-*' 2>/dev/null || true
  say "removed; left as they are: $etc, $home/engines, /var/lib/inspector, and the users and groups inspector*"
}

make_user() {
  local name=$1 groups=$2
  getent passwd "$name" >/dev/null ||
    useradd --system --gid inspector --home-dir /var/lib/inspector --no-create-home --shell /usr/sbin/nologin "$name"
  if [[ -n $groups ]]; then usermod --append --groups "$groups" "$name"; fi
}

make_users() {
  # One user per stage, one group per link: docs/decisions/0002-users-of-the-stages.md.
  local group
  for group in inspector inspector-{links,news,frames,results,archive}; do
    getent group "$group" >/dev/null || groupadd --system "$group"
  done
  make_user inspector-ingest inspector-links,inspector-news,inspector-frames,inspector-archive
  make_user inspector-worker inspector-links,inspector-frames,inspector-results
  make_user inspector-decide inspector-links,inspector-news,inspector-results
  make_user inspector-archive inspector-links,inspector-archive
  make_user inspector-serve ''
  make_user inspector-mqtt ''
  make_user inspector-opcua ''
  make_user inspector-alarm ''
}

make_release() {
  local release=$1 wheel=$2 wheelhouse=$3 extras=$4 from=()
  if [[ -e $release/.whole ]]; then return; fi
  rm -rf "$release"
  python3 -m venv "$release" || fail "no venv: apt install python3-venv, then run this again"
  if [[ -n $wheelhouse ]]; then
    from=(--no-index --find-links "$wheelhouse")
  elif [[ $extras == *tensorrt* ]]; then
    from=(--extra-index-url https://pypi.nvidia.com) # the library is on no other
  fi
  local pip=("$release/bin/pip" install --quiet --disable-pip-version-check --no-cache-dir "${from[@]}")
  # Locked versions first; the second call adds the release itself and the libraries of the extra.
  { "${pip[@]}" --require-hashes --requirement "$here/requirements.lock" && "${pip[@]}" "${wheel}[$extras]"; } ||
    { rm -rf "$release"; fail "the release could not be installed: see pip's output above; nothing was changed"; }
  touch "$release/.whole"
}

make_home() {
  # An administrator may have created it with a umask that keeps the stages out.
  install -d -o root -g root -m 0755 "$home" "$home/releases"
}

make_folders() {
  install -d -o root -g inspector -m 0750 "$etc" "$home/engines"
  for file in line.toml recipe.toml; do
    if [[ ! -e $etc/$file ]]; then
      install -o root -g inspector -m 0640 "$here/etc/$file" "$etc/$file"
      say "$etc/$file: an example, yours to change"
    fi
    # Every key with its default, for this release, so it is always overwritten.
    install -D -o root -g inspector -m 0640 "$here/../configs/plant/$file" "$etc/examples/$file"
  done
}

make_demo_engine() {
  local release=$1 model=$here/../configs/demo/model
  if [[ -e $home/engines/demo || ! -d $model ]] || ! grep -q "$home/engines/demo" "$etc/line.toml"; then return; fi
  "$release/bin/trainer" build-engine "$model" --backend openvino --out "$home/engines/demo"
}

own_engines() {
  # Code belongs to root: the service may read but not change it. The group may not read secrets.
  local secret=(-path "$etc/keys" -o -path "$etc/credentials")
  find "$home/engines" "$etc" \( "${secret[@]}" \) -prune -o -exec chown -h root:inspector {} + -exec chmod u=rwX,g=rX,o= {} +
}

check_release() {
  local release=$1 stage line
  for stage in decide worker; do
    line=$(runuser -u "inspector-$stage" -- "$release/bin/inspector" check --stage "$stage" --config "$etc/line.toml" 2>&1) ||
      { printf '%s\n' "$line" >&2; return 1; }
  done
}

uses_gpu() {
  # Requested now, or installed by hand before.
  [[ ,$1, =~ ,(gpu|tensorrt|torch), ]] || compgen -G '/etc/systemd/system/inspector-worker@*.service.d/worker-gpu.conf' >/dev/null
}

install_units() {
  local extras=$1 version
  version=$(systemctl --version | awk 'NR == 1 { print $2 }')
  install -d "$units/inspector-.service.d"
  install -m 0644 "$here"/systemd/inspector*.{service,path} "$here"/systemd/inspector.target "$units"
  install -m 0644 "$here"/systemd/inspector-.service.d/10-common.conf "$units/inspector-.service.d"
  local own
  for own in strip report; do
    install -D -m 0644 "$here/systemd/inspector-$own.service.d/30-user.conf" "$units/inspector-$own.service.d/30-user.conf"
  done
  if ((${version%%[!0-9]*} >= backoff_since)); then
    install -m 0644 "$here"/systemd/inspector-.service.d/20-backoff.conf "$units/inspector-.service.d"
  fi
  if uses_gpu "$extras"; then
    install -m 0644 "$here/systemd/$gpu_unit" "$units"
    install -D -m 0644 "$here/systemd/examples/worker-gpu.conf" "$units/$gpu_drop_in"
  else
    rm -f "${units:?}/$gpu_unit" "$units/$gpu_drop_in"
  fi
  install -D -m 0644 "$here"/systemd/inspector.tmpfiles.conf "$tmpfiles"
  systemd-tmpfiles --create "$tmpfiles"
  systemctl daemon-reload
}

restart_or_go_back() {
  local before=$1 running=("${@:2}")
  if ! ((${#running[@]})); then return; fi
  say "restarting ${running[*]}"
  if systemctl restart "${running[@]}" && systemctl --quiet is-active "${running[@]}"; then return; fi
  if [[ -z $before || ! -d $before ]]; then fail "the line did not start: journalctl -u 'inspector-*'"; fi
  switch_to "$before"
  systemctl reset-failed "${running[@]}" || true
  systemctl restart "${running[@]}"
  fail "the line did not start on the new release and runs on the old one again: journalctl -u 'inspector-*'"
}

remove_old_releases() {
  local release kept=0
  while read -r release; do
    if [[ $release == "$(readlink "$home/current")" ]] || ((++kept < keep_releases)); then continue; fi
    rm -rf "$release"
  done < <(ls -dt "$home"/releases/*/ | sed 's:/$::')
}

main() {
  local wheel='' wheelhouse='' extras=service demo=yes restart=yes before release running=()
  while (($#)); do
    case $1 in
      --uninstall) uninstall && exit ;;
      --wheelhouse) wheelhouse=$(realpath "${2:?--wheelhouse needs a folder}") && shift ;;
      --extra) extras+=,${2:?--extra needs a name} && shift ;;
      --no-demo) demo=no ;;
      --no-restart) restart=no ;;
      --help | -h) usage && exit ;;
      -*) usage >&2 && exit 2 ;;
      *) wheel=$1 ;;
    esac
    shift
  done
  [[ -f $wheel ]] || { usage >&2 && exit 2; }
  wheel=$(realpath "$wheel")
  make_users
  make_home
  release=$(basename "$wheel" | cut -d- -f2)
  release=$home/releases/$release-$(sha256sum "$wheel" | cut -c1-12)$(tr , + <<<"${extras#service}")
  make_release "$release" "$wheel" "$wheelhouse" "$extras"
  make_folders
  if [[ $demo == yes ]]; then make_demo_engine "$release"; fi
  own_engines
  before=$(readlink "$home/current" || true)
  if ! check_release "$release"; then
    if [[ -n $before ]]; then fail "the new release does not start on this config: the old one stays in use"; fi
    say "not ready to start yet: fix what stands above, then \`inspector check --config $etc/line.toml\`"
  fi
  mapfile -t running < <(inspector_units --state=active)
  switch_to "$release"
  install_units "$extras"
  for program in inspector trainer; do ln -sfn "$home/current/bin/$program" "/usr/local/bin/$program"; done
  if [[ $restart == yes && $before != "$release" ]]; then restart_or_go_back "$before" "${running[@]}"; fi
  remove_old_releases
  say "release $(basename "$release") is in use"
}

case ${1:-} in --help | -h) usage && exit ;; esac
((EUID == 0)) || fail "must be root: sudo $0 $*"
[[ -d /run/systemd/system ]] || fail "this PC was not booted with systemd"
python3 -c 'import sys; sys.exit(sys.version_info < (3, 11))' || fail "needs Python 3.11 or newer"
main "$@"
