#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# docs.sh BUILD: hold what is written against what is there. Every file and
# folder that a page names exists; the verbs of zerogate(1), the keys of
# zerogate.yaml(5), the kinds and fields of zerogate-audit(5) are those of the
# code, no more and no less; every configuration that is shipped loads.
# First it proves on broken pages that it would notice.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
build=${1:-build}
checks=0 broken=0

complain() {
	broken=$((broken + 1))
	echo "docs: $1"
}

# Both ways: WHAT, then two files of one word a line.
same_words() { # WHAT CODE PAGE
	local word
	checks=$((checks + $(wc -l <"$2")))
	while read -r word; do
		complain "$1: '$word' is in the code and not in the page"
	done < <(sort -u "$2" | comm -23 - <(sort -u "$3"))
	while read -r word; do
		complain "$1: '$word' is in the page and not in the code"
	done < <(sort -u "$2" | comm -13 - <(sort -u "$3"))
}

# A name without a folder is a file's of that name in any folder.
check_paths() { # PAGE
	local word
	while read -r word; do
		checks=$((checks + 1))
		if [[ $word == */* ]]; then
			compgen -G "$word" >/dev/null || complain "$1 names $word, which is not there"
		else
			grep -qxE "$(sed 's/\./\\./g; s/\*/.*/g' <<<"$word")" "$tmp/names" ||
				complain "$1 names $word, which is nowhere"
		fi
	done < <(
		# files by their ending, folders by where they begin, other pages by their link
		grep -oE '(^|[ `("|])([A-Za-z0-9_.-][A-Za-z0-9_./*-]*\.(c|h|mjs|sh|mk|md|in|slice)|[A-Za-z0-9_./-]*zerogate[a-z.-]*\.[158])\b' "$1" | sed -E 's/^[ `("|]//'
		grep -oE '`(agent|bpf|include|tests|tools|policies)/[A-Za-z0-9_./*-]*' "$1" | tr -d '`'
		grep -oE '\]\([^)#:]+\)' "$1" | sed -E 's/^..//; s/.$//'
	)
}

# The verbs that a page shows at work.
check_examples() { # PAGE
	local verb
	while read -r verb; do
		checks=$((checks + 1))
		grep -qxF "$verb" "$tmp/verbs" || complain "$1 shows 'zerogate $verb', which is no verb"
	done < <(grep -E '^    |`' "$1" | grep -oE '(^ +|`|sudo )zerogate [a-z]+' | sed -E 's/.* //')
}

# "learn [--x] | verify": the words that stand where a second verb stands.
second_verbs() {
	sed -E 's/\[[^]]*\]//g; s/\.\.\.//g' | tr '|' '\n' | awk '$1 ~ /^[a-z]+$/ {print $1}'
}

check_verbs() { # PAGE
	local verb rest
	"$build/zerogate" --help | awk '/^  / {print $1}' >"$tmp/verbs"
	"$build/zerogate" --help | sed -nE 's/^  ([a-z]+) /\1 /p' | while read -r verb rest; do
		echo "$verb"
		case $verb in run | scan | contain | resume) continue ;; esac
		second_verbs <<<"$rest" | sed "s/^/$verb /"
	done >"$tmp/code"
	sed -nE 's/^\.It Ic ([a-z]+)( .*)?$/\1\2/p' "$1" | while read -r verb rest; do
		echo "$verb"
		rest=${rest%%[A-Z]*}
		second_verbs <<<"$rest" | sed "s/^/$verb /"
	done >"$tmp/page"
	same_words "$1" "$tmp/code" "$tmp/page"
}

check_keys() { # PAGE
	cat agent/config/{settings,profiles,listen,exec}.c |
		grep -oE '\{"[a-z_]+", (parse|zg)_' | grep -oE '[a-z_]+"' | tr -d '"' | sort -u >"$tmp/code"
	while read -r key; do
		checks=$((checks + 1))
		grep -qE "(^\.It Ic .*\b|^\.Ic |[{ (])$key\b" "$1" || complain "$1 does not explain '$key'"
	done <"$tmp/code"
}

check_records() { # PAGE
	sed -nE 's/^X\([A-Z_]+, "([a-z_.]+)".*/\1/p' include/tbl/record_kind.h >"$tmp/code"
	sed -n '/^\.Sh KINDS/,/^\.Sh FIELDS/p' "$1" | sed -zE 's/\\\n//g' | grep '^\.It Cm' |
		tr -s ' ,' '\n' | grep -E '^[a-z]+\.[a-z_]+$' >"$tmp/page"
	same_words "$1" "$tmp/code" "$tmp/page"
	sed -nE 's/^(STR|NUM|HEX|ADR)\(([a-z0-9_]+),.*/\2/p' include/tbl/record_field.h |
		grep -vx signature >"$tmp/code"
	sed -n '/^\.Sh FIELDS/,/^\.Sh SEE/p' "$1" | sed -zE 's/\\\n//g' | grep '^\.It Cm' |
		sed 's/^\.It Cm//' | tr -s ' ,' '\n' | grep . >"$tmp/page"
	same_words "$1" "$tmp/code" "$tmp/page"
}

check_loads() { # CONFIG
	checks=$((checks + 1))
	"$build/zerogate" policy check --config "$1" >"$tmp/out" 2>&1 || {
		complain "$1 does not load"
		sed 's/^/        /' "$tmp/out"
	}
}

tmp=$(mktemp -d) || exit 1
trap 'rm -rf "$tmp"' EXIT
git ls-files | sed 's|.*/||' >"$tmp/names"

self_test() {
	local before page
	check_verbs tools/zerogate/zerogate.1 >/dev/null
	try() { # CHECK TEXT
		echo "$2" >"$tmp/broken.page"
		before=$broken
		"$1" "$tmp/broken.page" >/dev/null
		[ $broken -gt $before ] || { echo "docs: $1 does not notice: $2"; exit 1; }
	}
	try check_paths 'see `agent/parent/no-such-file.c`'
	try check_paths '      no-such-file.c  read it first'
	try check_paths 'in `tests/no-such-folder`'
	try check_paths '[more](NO-SUCH-PAGE.md)'
	try check_examples '    zerogate conjure'
	try check_verbs '.It Ic conjure Ar thing'
	try check_keys '.It Ic version'
	try check_records '.Sh KINDS'
	try check_loads 'version: v0'
	checks=0 broken=0
}

self_test
check_verbs tools/zerogate/zerogate.1
check_keys agent/config/zerogate.yaml.5
check_records agent/ledger/zerogate-audit.5
for page in *.md; do
	check_paths "$page"
	check_examples "$page"
done
mkdir -p "$tmp/etc/servers"
cp -r policies/zerogate.yaml "$tmp/etc/"
cp -r policies/default "$tmp/etc/policies"
for config in "$tmp/etc/zerogate.yaml" policies/default.yaml policies/examples.yaml; do
	check_loads "$config"
done
[ $checks -gt 150 ] || complain "hardly anything was checked"
echo "docs: $checks passed, $broken failed"
[ $broken = 0 ]
