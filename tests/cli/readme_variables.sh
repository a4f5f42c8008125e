#!/usr/bin/env bash
# readme_variables.sh TUTTI README [--update]: the README's table of variables is what `tutti env --markdown` prints.
set -euo pipefail
tutti=$1 readme=$2

between() { sed -n '/^<!-- tutti env --markdown -->$/,/^<!-- end -->$/p' "$readme" | sed '1d;$d'; }

table=$(env -i "$tutti" env --markdown)
[[ -n $table ]] || { echo "tutti env --markdown prints nothing"; exit 1; }
if [[ ${3:-} == --update ]]; then
  new=$(mktemp)
  trap 'rm -f "$new"' EXIT
  awk -v table="$table" '/^<!-- tutti env --markdown -->$/ {print; print table; skip = 1; next}
                         /^<!-- end -->$/ {skip = 0} !skip' "$readme" >"$new"
  cat "$new" >"$readme"
fi
diff <(echo "$table") <(between) || { echo "$readme has another table than $tutti prints; correct it with: $0 $1 $2 --update"; exit 1; }
