#!/usr/bin/env bash
# Serves one of manifests/examples on this machine, with the backends that its local endpoints name. For `make run`.
set -euo pipefail
cd "$(dirname "$0")/.."

example=manifests/examples/${1:-web-gateway}
bin=${CARGO_TARGET_DIR:-target}/release
[[ -d $example ]] || {
    echo "there is no example ${1}: $(cd manifests/examples && ls -d */ | tr -d / | paste -sd' ')" >&2
    exit 1
}

backends=()
stop() { ((${#backends[@]} == 0)) || kill "${backends[@]}" 2> /dev/null || true; }
trap stop EXIT
"$bin/postern-backend" --name app-service --listen 127.0.0.1:9080 &
backends+=($!)
if [[ -e $example/local/api-endpoints.yaml ]]; then
    "$bin/postern-backend" --name api-service --listen 127.0.0.1:9081 &
    backends+=($!)
fi

# Ctrl-C reaches all of them; this shell waits for the proxies to drain.
trap : INT TERM
"$bin/postern" serve --filename "$example" --cacert manifests/examples/ca.crt --access-log text
