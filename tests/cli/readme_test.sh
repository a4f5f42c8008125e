#!/usr/bin/env bash
# readme_test.sh TUTTI SOURCES [--update]: what the README quotes is what it quotes from: the table of variables is what
# `tutti env --markdown` prints, its first program is examples/hello.cpp below the opening comment, and the sessions
# are what a user gets.
set -euo pipefail
tutti=$1 sources=$2 update=${3:-}
readme=$sources/README.md
quoted=$(mktemp)
trap 'rm -f "$quoted"' EXIT

# check NAME TEXT: the part of the README between "<!-- NAME -->" and "<!-- end -->" is TEXT.
check() {
  local name=$1 text=$2
  [[ -n $text ]] || { echo "$name: nothing to compare with"; exit 1; }
  if [[ $update == --update ]]; then
    NAME=$name TEXT=$text awk '$0 == "<!-- " ENVIRON["NAME"] " -->" {print; print ENVIRON["TEXT"]; skip = 1}
                               $0 == "<!-- end -->" {skip = 0} !skip' "$readme" >"$quoted"
    cat "$quoted" >"$readme"
  fi
  NAME=$name awk '$0 == "<!-- end -->" {on = 0} on {print} $0 == "<!-- " ENVIRON["NAME"] " -->" {on = 1}' "$readme" >"$quoted"
  diff <(echo "$text") "$quoted" || { echo "README.md quotes another '$name'; correct it with: $0 $tutti $sources --update"; exit 1; }
}

check "tutti env --markdown" "$(env -i "$tutti" env --markdown)"
check "examples/hello.cpp" '```cpp
'"$(sed '1,/^#include/{/^#include/!d}' "$sources/examples/hello.cpp")"'
```'

# Commands as a user types them, each with what it prints.
session() {
  local command
  tutti() { "$program" "$@"; }
  echo '```'
  for command; do
    echo "\$ $command"
    eval "$command" 2>&1
  done
  echo '```'
}
program=$(realpath "$tutti")
folder=$(mktemp -d)
trap 'rm -rf "$quoted" "$folder"' EXIT
check "a schedule, edited" "$(set +e; cd "$folder" && session "tutti schedule all_gather --algorithm direct --ranks 2 | tee steps.txt" \
  "tutti verify steps.txt" "sed -i 's/recv 0 -> output.0./recv 0 -> output[1]/' steps.txt && tutti verify steps.txt")"
check "the algorithms of one collective" "$(session "tutti algorithms all_to_all")"
check "an explanation" "$(session "tutti explain all_reduce --bytes 1M --ranks 16 --topology \"node:4 core:4\"")"
