#!/bin/bash
# SPDX-License-Identifier: Apache-2.0
#
# may-use.sh BUILD: hold the may-use rules of ARCHITECTURE.md against what the
# sources include and against the undefined symbols of the objects in BUILD.
# First it proves on broken examples that it would notice.
set -u
cd "$(dirname "$(readlink -f "$0")")/.." || exit 1
build=${1:-build}
checks=0 broken=0

# folder | what its objects must not call (whole symbol names, extended regex) | why
io='open|openat|creat|fopen|fdopen|freopen|opendir|read|write|pread|pwrite|recv|recvmsg|send|sendmsg|printf|fprintf|puts|perror'
net='socket|socketpair|connect|bind|listen|accept|accept4|getaddrinfo'
clock='time|gettimeofday|clock_gettime|clock_nanosleep|nanosleep|sleep|usleep|random|rand|getrandom'
paths='open|openat|openat2|creat|fopen|freopen|opendir|mkdir|rename|unlink|unlinkat|symlink|link|chmod|chown|execve|execv|execvp|posix_spawn|fork|system|popen'
symbol_rules() {
	cat <<-EOF
		policy|$io|$net|$clock|no I/O, sockets, clock or randomness
		scan|$io|$net|$clock|no I/O, sockets, clock or randomness
		parent|json_.*|yaml_.*|evhttp_.*|curl_.*|hs_.*|ldns_.*|the parent parses nothing from outside
		gateway|bpf_.*|btf_.*|libbpf_.*|sqlite3_.*|yaml_.*|$paths|no BPF, no database, no path is opened
		ledger|evhttp_.*|curl_.*|bpf_.*|libbpf_.*|hs_.*|yaml_.*|the ledger sees neither HTTP nor BPF
		canary|bpf_.*|libbpf_.*|json_.*|yaml_.*|sqlite3_.*|$paths|it dials, and no more
		resolver|bpf_.*|btf_.*|libbpf_.*|json_.*|yaml_.*|sqlite3_.*|curl_.*|evhttp_.*|hs_.*|$paths|DNS alone: no BPF, no other format, no path is opened
		config|bpf_.*|libbpf_.*|evhttp_.*|curl_.*|sqlite3_.*|$net|the config role sees no network
		base|json_.*|yaml_.*|evhttp_.*|curl_.*|bpf_.*|sqlite3_.*|hs_.*|base is below all of them
	EOF
}

# folder | folders whose headers it may include (include/ and its own always)
include_rules() {
	cat <<-EOF
		base|
		policy|base
		scan|base
		config|base policy scan
		parent|base
		gateway|base policy scan
		ledger|base
		canary|base
		resolver|base
	EOF
}

complain() {
	broken=$((broken + 1))
	echo "may-use: $1"
}

# What an object needs from outside, without what FORTIFY and LFS put around a name.
undefined() { # OBJECT
	nm -u "$1" | awk '{print $2}' | sed -E 's/^__(.*)_(chk|2)$/\1/; s/^(open|openat|fopen|freopen|creat|pread|pwrite)64$/\1/'
}

check_symbols() { # ROOT
	local folder rest why pattern object symbol
	while IFS= read -r line; do
		folder=${line%%|*} rest=${line#*|}
		why=${rest##*|} pattern=${rest%|*}
		for object in "$1/agent/$folder"/*.o; do
			[ -e "$object" ] || continue
			checks=$((checks + 1))
			while read -r symbol; do
				complain "$object calls $symbol: $why"
			done < <(undefined "$object" | grep -xE "$pattern")
		done
	done < <(symbol_rules)
	for object in "$1"/agent/*/*.o "$1"/tools/zerogate/*.o; do
		[ -e "$object" ] || continue
		case ${object#"$1"/} in agent/parent/kernel*.o) continue ;; esac
		checks=$((checks + 1))
		while read -r symbol; do
			complain "$object calls $symbol: only agent/parent/kernel*.c see libbpf"
		done < <(undefined "$object" | grep -xE '(bpf|btf|libbpf|ring_buffer)_.*')
	done
}

check_includes() { # ROOT
	local folder allowed file header place found
	while IFS='|' read -r folder allowed; do
		for file in "$1/agent/$folder"/*.[ch]; do
			[ -e "$file" ] || continue
			checks=$((checks + 1))
			while read -r header; do
				found=
				case $header in ../* | */../*) complain "$file includes \"$header\": no ../" ;; esac
				for place in include "agent/$folder" $(printf 'agent/%s ' $allowed); do
					[ -e "$1/$place/$header" ] && found=1
				done
				[[ ${file#"$1"/} == agent/parent/kernel*.c && $header == *.skel.h ]] && found=1
				[ -n "$found" ] || complain "$file includes \"$header\", which $folder may not use"
			done < <(sed -nE 's/^[[:space:]]*#[[:space:]]*include[[:space:]]*"([^"]+)".*/\1/p' "$file")
		done
	done < <(include_rules)
}

# A tree that breaks one rule each way: the checks above must see every one.
self_test() {
	local before
	root=$(mktemp -d) || exit 1 # not local: the trap outlives this function
	trap 'rm -rf "$root"' EXIT
	mkdir -p "$root"/{include,build/agent/{policy,scan,parent,gateway,ledger}} "$root"/agent/{policy,gateway,parent}
	try_symbol() { # FOLDER FUNCTION
		echo "int $2(int); int f(int a); int f(int a) { return $2(a); }" >"$root/t.c"
		gcc -fno-builtin -c -o "$root/build/agent/$1/t.o" "$root/t.c" || exit 1
		before=$broken
		check_symbols "$root/build" >/dev/null
		rm "$root/build/agent/$1/t.o"
		[ $broken -gt $before ] || { echo "may-use: does not notice $2() in $1"; exit 1; }
	}
	try_include() { # FOLDER HEADER
		echo "#include \"$2\"" >"$root/agent/$1/t.c"
		before=$broken
		check_includes "$root" >/dev/null
		rm "$root/agent/$1/t.c"
		[ $broken -gt $before ] || { echo "may-use: does not notice $2 in $1"; exit 1; }
	}
	touch "$root"/agent/gateway/gateway.h "$root"/agent/policy/decide.h "$root"/agent/parent/kernel.h
	try_symbol policy clock_gettime
	try_symbol scan fopen
	try_symbol parent json_loadb
	try_symbol parent bpf_obj_get
	try_symbol gateway openat
	try_symbol gateway bpf_map_lookup_elem
	try_symbol ledger curl_easy_init
	try_include policy gateway.h
	try_include parent decide.h
	try_include gateway ../parent/kernel.h
	before=$broken
	echo '#include "decide.h"' >"$root/agent/gateway/t.c"
	check_includes "$root"
	[ $broken = $before ] || { echo "may-use: complains about what is allowed"; exit 1; }
	checks=0 broken=0
}

self_test
check_symbols "$build"
check_includes .
[ $checks -gt 20 ] || complain "hardly anything was checked below $build: is it built?"
echo "may-use: $checks passed, $broken failed"
[ $broken = 0 ]
