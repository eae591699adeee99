#!/usr/bin/env bash
# Installs the clients that the tests drive, then runs every check and test. `./test.sh --long` runs the long loops as well.
set -euo pipefail
cd "$(dirname "$0")"

say() { printf '\n== %s (after %d s)\n' "$*" "$SECONDS"; }
long=
[ "${1:-}" = --long ] && long=1
export MILLPONDTEST_LONG="$long"
# Compilers and checkers collect their garbage seldom, which saves a fifth of their time. What they make runs as everybody runs it.
export GOGC="${GOGC:-400}" GOMEMLIMIT="${GOMEMLIMIT:-2GiB}"
as_usual=(-exec "env -u GOGC -u GOMEMLIMIT")

# Tools of our own go into a folder of the user's cache, so that nothing of the machine is changed but what apt installs.
tools="${XDG_CACHE_HOME:-$HOME/.cache}/millpond-test"
mkdir -p "$tools/bin"
export PATH="$tools/bin:$PATH"

say "clients"
missing=()
command -v pear >/dev/null || missing+=(php-pear php-xml)
command -v python3 >/dev/null && python3 -c 'import venv, ensurepip' 2>/dev/null || missing+=(python3 python3-venv)
command -v npm >/dev/null || missing+=(npm)
command -v gem >/dev/null || missing+=(ruby)
command -v bundle >/dev/null || missing+=(bundler)
command -v git >/dev/null || missing+=(git)
command -v cargo >/dev/null || missing+=(cargo)
command -v skopeo >/dev/null || missing+=(skopeo)
command -v docker-registry >/dev/null || missing+=(docker-registry)
command -v curl >/dev/null || missing+=(curl)
command -v gpgv >/dev/null || missing+=(gpgv)
command -v dpkg-buildpackage >/dev/null && command -v make >/dev/null || missing+=(dpkg-dev)
command -v dput >/dev/null || missing+=(dput)
command -v strace >/dev/null || missing+=(strace)   # tells what a pond does to the disk, so that its power can be cut
command -v gcc >/dev/null || missing+=(gcc libc6-dev)   # for the race detector
for client in curl s3cmd rclone; do command -v "$client" >/dev/null || missing+=("$client"); done
aws --version >/dev/null 2>&1 || missing+=(awscli)
python3 -c 'import boto3' 2>/dev/null || missing+=(python3-boto3) # what awscli stands on, and a little more
command -v mvn >/dev/null && command -v javac >/dev/null || missing+=(maven default-jdk-headless)
plugins=/usr/share/maven-repo/org/apache/maven/plugins # small; a distribution without them has no such packages either
for plugin in compiler deploy install jar resources; do [ -d "$plugins/maven-$plugin-plugin" ] || missing+=("libmaven-$plugin-plugin-java"); done
if [ -n "$long" ]; then # large, or with a wish for rights, and for a script or two each, which are skipped without them
	for client in vagrant chromium debootstrap mmdebstrap reprepro aptly podman buildah gradle; do command -v "$client" >/dev/null || missing+=("$client"); done
	command -v ctr >/dev/null || missing+=(containerd)
	command -v dockerd >/dev/null && command -v docker >/dev/null || missing+=(docker.io)
fi
if [ ${#missing[@]} -gt 0 ]; then
	if command -v apt-get >/dev/null && [ "$(id -u)" = 0 ]; then
		apt-get update -q >/dev/null || echo "the lists of packages cannot be updated"
		for i in "${!missing[@]}"; do # some distributions keep an old cargo under the plain name
			if [ "${missing[i]}" = cargo ] && apt-cache show cargo-web >/dev/null 2>&1; then missing[i]=cargo-web; fi
		done
		apt-get install -yq --no-install-recommends "${missing[@]}" >/dev/null || for one in "${missing[@]}"; do # what there is of them
			apt-get install -yq --no-install-recommends "$one" >/dev/null || echo "$one cannot be installed; the scripts that need it are skipped"
		done
	else
		echo "not installed, and this script cannot install them: ${missing[*]}; the scripts that need them are skipped"
	fi
fi
without() { echo "$1 cannot be installed; its scripts are skipped"; }
python() { # python NAME PROGRAM REQUIREMENT…: has PROGRAM, in a virtual environment of its own, as NAME
	local name="$1" program="$2" at="$tools/python/$1"
	shift 2
	[ -x "$tools/bin/$name" ] && return
	python3 -m venv --without-pip "$at" &&
		"$tools/bin/pip" --python "$at/bin/python" install -q --disable-pip-version-check --upgrade "$@" &&
		ln -sfn "../python/$name/bin/$program" "$tools/bin/$name"
}
pips() { # the pip that came with Python as oldpip, which takes twice the time, and the newest as pip
	[ -x "$tools/bin/pip" ] && [ -x "$tools/bin/oldpip" ] && return
	python3 -m venv "$tools/python/oldpip" && python3 -m venv "$tools/python/pip" &&
		"$tools/python/pip/bin/pip" install -q --disable-pip-version-check --upgrade pip &&
		ln -sfn ../python/oldpip/bin/pip "$tools/bin/oldpip" && ln -sfn ../python/pip/bin/pip "$tools/bin/pip"
}
node() { # node NAME PACKAGE@VERSION BIN: has the program BIN of an npm package as NAME
	[ -x "$tools/bin/$1" ] && return
	npm install --silent --no-audit --no-fund --prefix "$tools/npm/$1" "$2" && ln -sfn "../npm/$1/node_modules/.bin/$3" "$tools/bin/$1"
}
tool() { # tool NAME MODULE@VERSION: installs a Go program unless it is there
	[ -x "$tools/bin/$1" ] || GOBIN="$tools/bin" go install "$2" || echo "$1 cannot be installed; it is skipped"
}
clients() {
	if command -v python3 >/dev/null; then
		pips || without pip
		python uv uv uv || without uv
		python poetry poetry poetry || without poetry
		python twine twine twine || without twine
		python flit flit flit || without flit
	fi
	if command -v npm >/dev/null; then
		node pnpm pnpm@12 pnpm || without pnpm
		node yarn yarn@1 yarn || without yarn
		node yarn4 @yarnpkg/cli-dist@4 yarn || without "yarn 4"
		node bun bun@1 bun || without bun
	fi
	tool staticcheck honnef.co/go/tools/cmd/staticcheck@v0.8.2
	tool crane github.com/google/go-containerregistry/cmd/crane@v0.22.1
	if [ -n "$long" ]; then # they take minutes to build; without them their scripts are skipped
		tool regctl github.com/regclient/regclient/cmd/regctl@v0.11.7
		tool helm helm.sh/helm/v3/cmd/helm@v3.19.0
		tool oras oras.land/oras/cmd/oras@v1.3.0
		[ -x "$tools/bin/s3clients" ] || (cd testdata/s3clients && go build -o "$tools/bin/s3clients" .) || echo "s3clients cannot be built; it is skipped"
	fi
	tool govulncheck golang.org/x/vuln/cmd/govulncheck@v1.8.0
}
clients & # they come over the network, while the processors compile
trap wait EXIT # nothing goes on when this script has ended

say "gofmt"
unformatted=$(gofmt -l $(git ls-files '*.go'))
[ -z "$unformatted" ] || { echo "not formatted: $unformatted"; exit 1; }

# What was translated from C, compresses, hashes passwords, matches patterns or reads a command line is not watched for races of its
# own: it would take half of the time.
# Nothing is written for debuggers. All that follows builds in this one way, so that everything is compiled once.
watched=(-race -ldflags=-w -gcflags=all=-dwarf=0 -gcflags=modernc.org/...="-dwarf=0 -d=checkptr=0" -gcflags=archive/zip="-dwarf=0 -l")
for module in modernc.org/sqlite/lib github.com/klauspost/compress/... github.com/ulikunitz/xz/... compress/... golang.org/x/crypto/... regexp/... github.com/alecthomas/kong; do watched+=("-gcflags=$module=-dwarf=0 -race=false"); done

say "go vet"
go vet "${watched[@]}" ./...
wait # for the clients

if command -v staticcheck >/dev/null; then
	say "staticcheck"
	GOFLAGS="${GOFLAGS:-} $(printf "'%s' " "${watched[@]}")" staticcheck ./...
fi

if command -v govulncheck >/dev/null; then
	say "govulncheck"
	# Its database lives on the network: where that cannot be reached there is nothing to compare with.
	out=$(govulncheck ./... 2>&1) && echo "$out" | tail -n 1 || {
		if grep -qE 'dial tcp|no such host|connection refused|timeout|unexpected status|fetching vulnerabilities' <<<"$out"; then
			echo "skipped: the vulnerability database cannot be reached"
		else
			echo "$out"
			exit 1
		fi
	}
fi

say "go test -race"
# Otherwise every program that ends takes a second more, in which its last goroutines might still show a race: hundreds do.
export GORACE="${GORACE:-} atexit_sleep_ms=50"
# Many tests wait, for clients, clocks and upstreams that are slow: one package more than there are processors runs at once.
# The packages that take longest come first. Everything was vetted above.
go test "${watched[@]}" "${as_usual[@]}" -vet=off -timeout 20m -p $(($(getconf _NPROCESSORS_ONLN) + 1)) . ./repo ./...

if [ -n "$long" ]; then
	say "the long loops"
	CATALOGTEST_KILLS=1000 go test "${watched[@]}" "${as_usual[@]}" -timeout 60m ./catalog/...
	go test "${watched[@]}" "${as_usual[@]}" -timeout 120m ./blob/disk ./repo ./format/oci -args -long
	go test "${as_usual[@]}" -timeout 10m -run 'InABrowser|ClientsThatNeverAsk' ./internal/server -args -long
	go test "${as_usual[@]}" -timeout 10m -run 'TestCase0[1468]' ./format/raw -args -long
	go test "${as_usual[@]}" -timeout 15m -run TestLargeArtifact ./format/maven -args -long
	go test "${as_usual[@]}" -timeout 10m -run TestP11MemoryAtFullLoad . # which the race detector would be seen in
	DEBIANTEST_ROUNDS=50 MANY=60000 go test "${as_usual[@]}" -timeout 60m -run 'TestCase0[12]|TestCase11|TestCase23|TestMany' ./format/debian
else
	echo "the long loops (a thousand kills, power cuts at every call) and the largest real builds were not run: ./test.sh --long runs them"
fi
