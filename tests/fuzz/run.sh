#!/bin/sh
# SPDX-License-Identifier: BSD-3-Clause
#
# run.sh TARGET DICTIONARY SEEDS FOLDER - fuzz for USHER_FUZZ_SECONDS (6)
#
# Inputs that reach new code are kept for the next run in FOLDER/corpus, or in $USHER_FUZZ_CORPUS. An input that fails is kept
# in FOLDER.
set -eu

target=$1 dictionary=$2 seeds=$3 folder=$4
corpus=${USHER_FUZZ_CORPUS:-$folder/corpus}
mkdir -p "$folder" "$corpus"
exec "$target" -max_total_time="${USHER_FUZZ_SECONDS:-6}" -dict="$dictionary" -max_len=8192 -timeout=20 \
  -rss_limit_mb=2048 -print_final_stats=1 -artifact_prefix="$folder/" "$corpus" "$seeds"
