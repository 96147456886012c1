#!/bin/sh
# Builds the image with buildah and tries it: it labels a line, and serves a broker and HTTP until SIGTERM.
#
#   docker/check.sh [BASE]
#
# BASE is the base image of docker/Dockerfile. Without it: localhost/hearken-base if there is one, else a Debian that is made
# with debootstrap and kept under that name, else the base image that the Dockerfile names. Where none of them can be had, or
# no buildah, the last line begins with NOT RUN, and the exit code is 0. Needs root (apt install buildah debootstrap).
set -eu
cd "$(dirname "$0")/.."
# Needs neither cgroups nor a container engine: also works in a container and in a virtual machine.
export BUILDAH_ISOLATION="${BUILDAH_ISOLATION:-chroot}"

not_run() {
    echo "NOT RUN: the image, because $1"
    exit 0
}

make_base() {
    echo 'making a base image with debootstrap: a minute or two, once'
    folder=$(mktemp -d)
    if ! debootstrap --variant=minbase bookworm "$folder" >"$folder.log" 2>&1; then
        tail -5 "$folder.log"
        rm -rf "$folder" "$folder.log"
        return 1
    fi
    box=$(buildah from scratch)
    buildah copy --quiet "$box" "$folder" / >/dev/null
    buildah commit --quiet "$box" localhost/hearken-base >/dev/null
    buildah rm "$box" >/dev/null
    rm -rf "$folder" "$folder.log"
}

command -v buildah >/dev/null || not_run 'there is no buildah'
box=$(buildah from scratch 2>/dev/null) || not_run 'buildah does not work here'
buildah rm "$box" >/dev/null
base="${1:-}"
if [ -z "$base" ]; then
    if buildah inspect --type image localhost/hearken-base >/dev/null 2>&1 ||
        { [ "$(id -u)" = 0 ] && command -v debootstrap >/dev/null && make_base; }; then
        base=localhost/hearken-base
    else
        base=$(sed -n 's/^ARG BASE=//p' docker/Dockerfile)
        timeout 120 buildah pull --quiet "$base" >/dev/null 2>&1 || not_run "no base image can be had ($base is not reached)"
    fi
fi

# What pip is told by variables here is told to pip in the build too: another index, certificates of a proxy.
set --
if [ -n "${PIP_CERT:-}" ]; then
    set -- --volume "$PIP_CERT:/run/host-certificates.crt:ro" --build-arg PIP_CERT=/run/host-certificates.crt
fi
for name in PIP_INDEX_URL PIP_EXTRA_INDEX_URL; do
    eval "value=\${$name:-}"
    if [ -n "$value" ]; then set -- "$@" --build-arg "$name=$value"; fi
done

echo "building the image on $base"
old=$(buildah images --quiet localhost/hearken 2>/dev/null || true)
buildah build "$@" --build-arg "BASE=$base" -f docker/Dockerfile -t localhost/hearken .
if [ -n "$old" ]; then buildah rmi "$old" >/dev/null 2>&1 || true; fi
box=$(buildah from localhost/hearken)
trap 'buildah rm "$box" >/dev/null' EXIT

echo 'labelling a line'
echo 'we met anna rice in rome' | buildah run "$box" -- hearken tag --input text | grep '"text":"anna rice"'

echo 'serving a broker and HTTP'
buildah run "$box" -- sh -eu -s <<'END'
test "$(id -u)" = 10001
hearken broker --port 19092 &
broker=$!
hearken serve --broker 127.0.0.1:19092 --fetch-wait-ms 5 --http-port 18477 &
serve=$!
trap 'kill $broker $serve 2>/dev/null || true' EXIT
python3 - <<'PROBE'
import json
import time
import urllib.request


def ask(path, body=None):
    with urllib.request.urlopen("http://127.0.0.1:18477" + path, body, timeout=10) as answer:
        return answer.read()


end = time.monotonic() + 180
while True:
    try:
        ask("/readyz")
        break
    except OSError:
        if time.monotonic() > end:
            raise
        time.sleep(0.5)
ask("/healthz")
labelled = json.loads(ask("/v1/label", b'{"text": "we met anna rice in rome"}'))
assert "anna rice" in json.dumps(labelled), labelled
PROBE
kill -TERM $serve
wait $serve
kill -TERM $broker
wait $broker
END
echo "OK: the image was built on $base, and works"
