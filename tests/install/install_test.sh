#!/usr/bin/env bash
# Installs into an empty folder, then builds examples/hello against that folder only, by find_package and by pkg-config, with all
# public headers, and runs it alone and as two ranks that no launcher has started; then the same of a plugin.
set -euo pipefail
cmake=$1 compiler=$2 build=$3 example=$4 consumer=$5 version=$6 plugin=$7

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
prefix=$work/prefix

# expect TEXT COMMAND...: the command succeeds and prints the text.
expect() {
  local text=$1 output
  shift
  output=$("$@" 2>&1) || { echo "failed: $*"; echo "$output"; exit 1; }
  [[ $output == *"$text"* ]] || { echo "'$text' is not in the output of: $*"; echo "$output"; exit 1; }
}

# run_two_ranks COMMAND...: two ranks by plain variables. Another program may have taken the port: then try another one.
run_two_ranks() {
  local attempt port first
  for attempt in 1 2 3 4 5; do
    port=$((20000 + RANDOM % 12000))
    export TUTTI_SIZE=2 TUTTI_RENDEZVOUS=127.0.0.1:$port TUTTI_SECRET=$RANDOM$RANDOM TUTTI_TIMEOUT=20
    TUTTI_RANK=0 "$@" >"$work/rank0" 2>&1 &
    first=$!
    if TUTTI_RANK=1 "$@" >"$work/rank1" 2>&1 && wait $first; then
      unset TUTTI_SIZE TUTTI_RENDEZVOUS TUTTI_SECRET TUTTI_TIMEOUT
      cat "$work/rank0" "$work/rank1"
      return
    fi
    wait $first || true
    echo "attempt $attempt, port $port:"
    cat "$work/rank0" "$work/rank1"
    grep -qi 'address already in use' "$work/rank0" || return 1
  done
  return 1
}

check_program() {
  expect "rank 0 of 1: the sum is 0" "$1"
  local output
  output=$(run_two_ranks "$1") || { echo "two ranks of $1 failed:"; echo "$output"; exit 1; }
  [[ $output == *"rank 0 of 2: the sum is 1"* && $output == *"rank 1 of 2: the sum is 1"* ]] ||
    { echo "two ranks of $1 printed:"; echo "$output"; exit 1; }
}

"$cmake" --install "$build" --prefix "$prefix" >/dev/null
expect "$version" "$prefix/bin/tutti" --version

mkdir "$work/source"
cp "$consumer/CMakeLists.txt" "$example" "$work/source"
(cd "$prefix/include" && find tutti -name '*.h' | sort | sed 's/.*/#include <&>/') >"$work/source/headers.cpp"

echo "== find_package"
"$cmake" -S "$work/source" -B "$work/build" -G Ninja -DCMAKE_PREFIX_PATH="$prefix" -DCMAKE_CXX_COMPILER="$compiler" >/dev/null
"$cmake" --build "$work/build" >"$work/log" || { cat "$work/log"; exit 1; }
check_program "$work/build/consumer"

echo "== pkg-config, after the tree has been moved"
mv "$prefix" "$work/moved"
pc=$(find "$work/moved" -name tutti.pc)
export PKG_CONFIG_PATH=${pc%/*}
expect "$version" pkg-config --modversion tutti
# shellcheck disable=SC2046  # flags are words
"$compiler" -std=c++20 "$work/source/hello.cpp" -o "$work/hello" $(pkg-config --cflags --libs tutti)
LD_LIBRARY_PATH=$(pkg-config --variable=libdir tutti)
export LD_LIBRARY_PATH
check_program "$work/hello"

echo "== a plugin, which the installed program proves and runs"
# shellcheck disable=SC2046
"$compiler" -std=c++20 -shared -fPIC -o "$work/libmine.so" "$plugin" $(pkg-config --cflags --libs tutti)
expect "1 of 1 algorithms proved" "$work/moved/bin/tutti" verify --plugins "$work/libmine.so" --algorithm both_ways --ranks 2..5
output=$(TUTTI_PLUGINS=$work/libmine.so run_two_ranks "$work/moved/bin/tutti" perf all_gather --max-bytes 1K --iterations 1 \
  --algorithm both_ways) || { echo "two ranks with a plugin failed:"; echo "$output"; exit 1; }
[[ $output == *both_ways* ]] || { echo "both_ways was not run:"; echo "$output"; exit 1; }

echo "== an older C++ is told"
# shellcheck disable=SC2046
! "$compiler" -std=c++17 -fsyntax-only $(pkg-config --cflags tutti) "$work/source/hello.cpp" 2>"$work/log" || { echo "C++17 passes"; exit 1; }
grep -q "tutti needs C++20" "$work/log" || { cat "$work/log"; exit 1; }
echo "passed"
