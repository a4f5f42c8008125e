#!/usr/bin/env bash
# What messages cost, counted at the device, and what 128 connections hold.
set -u
. "$(dirname "$0")/common.sh"
expect 0 "$binaries/tests/verbs_counts_test"
printed "[  PASSED  ] 7 tests."
grep "^with 128 peers" "$work/out"
finish
