#!/bin/sh
# From NEU-Seg's training part to the model of this folder: sh reproduce.sh NEU_SEG OUT
# Two cores need two hours. Started again after whatever cut it off, it goes on where it was.
set -eu
data=$1 out=$2 here=$(dirname "$0")

train() {  # RUN [OPTION…]
  run=$out/$1
  shift
  if [ -e "$run/last.ckpt" ]; then
    trainer train --out "$run" --resume
  else
    trainer train --data "$data" --split "$here/split.json" --out "$run" \
      --widths 32,64,128,256,256 --stem-stride 2 --sub-pixel --no-relight --balanced 0.35 "$@"
  fi
}

mkdir -p "$out"
train first --minutes 112
[ -e "$out/shown" ] || trainer simulate --out "$out/shown" --frames 40 --seed 30 --defective-share 0.6 \
  --height 200 --width 200
trainer export "$out/first/best.ckpt" --out "$out/model" --name neu_seg --data "$data" --half-weights \
  --map-stride 1 --flips 8 --golden "$out/shown"
