#!/usr/bin/env bash
# What only a GPU can tell, within nine minutes:  bench/on_gpu.sh OUT [SECONDS] [--dry]
#
# Needs the checkout, a Python with what `dependencies` of pyproject.toml lists (nothing is installed; without
# pytest, two of the steps say so and are left out) and, for the collection, ZCP_DATA: a folder whose `images`
# holds cifar10_2048.npz, cifar100_2048.npz and imagenet16_120_approx.npz. By default it is the checkout
# itself: git ignores its folder `images`, which has to travel with it (12 MB).
#
# Writes at most eight files into OUT, each below 16 MiB: log.txt (also printed), environment.json,
# conformance.json, golden.json, kernels.json, gains.json, rate.json, and collection.tar, a collection at batch
# 64 in the seeded order, the topology space and then the size space, until SECONDS after the start (default
# 510).
# Each step has a time limit of its own and its failure costs no other. --dry runs all of it on the CPU, in
# miniature.
set -u
cd "$(dirname "$0")/.." || exit 1
dry="" words=()
for word in "$@"; do [ "$word" = --dry ] && dry=--dry || words+=("$word"); done
[ "${#words[@]}" -ge 1 ] || { sed -n '2,4p' "$0"; exit 2; }
mkdir -p "${words[0]}" && out=$(cd "${words[0]}" && pwd) || exit 1
end=${words[1]:-510}
work=$(mktemp -d)
export PYTHONPATH="$PWD/src:$PWD/tests:$PWD${PYTHONPATH:+:$PYTHONPATH}" PYTHONUNBUFFERED=1 OMP_NUM_THREADS=1
# Pipes of the MPS server, which a fork of CUDA's client looks for.
export CUDA_MPS_PIPE_DIRECTORY="$work/mps" CUDA_MPS_LOG_DIRECTORY="$work/mps"
[ -d images ] && export ZCP_DATA=${ZCP_DATA:-$PWD}
python=${PYTHON:-python3}
device=cuda inputs=images
[ -n "$dry" ] && device=cpu inputs=gaussian
exec > >(tee "$out/log.txt") 2>&1
trap 'echo quit | nvidia-cuda-mps-control > /dev/null 2>&1; rm -rf "$work"' EXIT

step() {  # step NAME SECONDS COMMAND...: as long as there is time
    local name=$1 limit=$2 left=$((end - SECONDS)); shift 2
    [ -n "$dry" ] && limit=$left  # a busy CPU is no fault
    [ "$left" -lt "$limit" ] && limit=$left
    [ "$limit" -gt 0 ] || { echo "== $name: no time is left"; return; }
    echo "== $name, second $SECONDS, at most $limit s"
    timeout -k 5 "$limit" "$@"
    echo "== $name ended with $? in second $SECONDS"
}
measure() { step "$1" "$2" "$python" -m bench.on_gpu "$1" "$out" $dry "${@:3}"; }
collect() {  # the one line that knows how a collection is asked for; a signal ends it with its rows kept
    step "collect $1" 9999 "$python" -c 'from zcp.cli import main; main()' \
        collect --out "$work/$1" --space "$1" --count "$2" \
        --batch 64 --device "$device" --workers "$3" --inputs "$inputs" "${@:4}"
}

measure environment 40
measure conformance 90
measure golden 200
measure kernels 40
measure gains 60
if [ -z "$dry" ] && nvidia-cuda-mps-control -d; then measure rate 80 --mps; else measure rate 80; fi
workers=$("$python" -m bench.on_gpu workers "$out")
[ "${workers##* }" = mps ] || echo quit | nvidia-cuda-mps-control > /dev/null 2>&1
if [ -n "$dry" ]; then
    collect tss 1 1 --dataset cifar10 --proxies params,l2_norm
    collect sss 1 1 --dataset cifar10 --proxies params,l2_norm
else
    collect tss 15625 "${workers%% *}"
    collect sss 32768 "${workers%% *}"
fi
(cd "$work" && tar cf "$out/collection.tar" --exclude=mps .)
ls -l "$out"
sleep 0.2
