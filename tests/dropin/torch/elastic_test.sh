#!/usr/bin/env bash
# elastic_test.sh BUILD PYTHON: torchrun's workers lose one of them, learn which, and go on where they were when they are started again.
set -u
build=$1 python=$2
. "$(dirname "$0")/common.sh"
export TMPDIR=$work

# train STATUS NAME [RANK]: two workers, which write to $work/NAME; RANK kills itself.
train() {
  local status=$1 name=$2 before=$failures
  shift 2
  mkdir "$work/$name"
  expect "$status" timeout -k 5 180 "$python" -W ignore -m torch.distributed.run --nproc-per-node=2 --max-restarts=1 --rdzv-backend=c10d \
    --rdzv-endpoint=127.0.0.1:0 "$here/elastic_test.py" "$work/$name" "$@"
  ((failures == before)) || grep -h "Error: " "$work/err"
}
# wrote NAME TEXT FILE...: in $work/NAME each of the files holds TEXT.
wrote() {
  local name=$1 text=$2 file
  shift 2
  for file; do grep -qsF -- "$text" "$work/$name/$file" || fail "$name: $file is not '$text' but: $(cat "$work/$name/$file" 2>&1)"; done
}

train 0 undisturbed
wrote undisturbed 0 attempt.0.0 attempt.0.1
[[ ! -e $work/undisturbed/attempt.1.0 ]] || fail "undisturbed workers were started again"
cmp "$work"/undisturbed/losses.{0,1} || fail "undisturbed ranks have other losses"

# Where one agent is alone, all attempts have the same store, in which the first one's keys are still there; or each has a new one.
for new_stores in 0 1; do
  export TORCH_DISABLE_SHARE_RDZV_TCP_STORE=$new_stores
  killed=$((1 - new_stores)) other=$new_stores
  name=killed.$killed
  train 0 "$name" "$killed"
  wrote "$name" 0 attempt.0.0 attempt.0.1
  wrote "$name" "rank $killed" "failure.$other"
  [[ ! -e $work/$name/failure.$killed ]] || fail "$name: rank $killed failed otherwise: $(cat "$work/$name/failure.$killed")"
  wrote "$name" 3 attempt.1.0 attempt.1.1
  for rank in 0 1; do
    cmp "$work"/{undisturbed,$name}/losses.$rank || fail "$name: rank $rank has other losses than undisturbed"
  done
done
finish
