#!/bin/sh
# Writes crds/gateway-api anew from the Go module of the Gateway API, word for word. Run it after changing the version here.
#
# Istio's five kinds are in istio.yaml, which says where it is from.
set -eu
version=v1.6.3

cd "$(dirname "$0")"
module=$(cd / && go mod download -json "sigs.k8s.io/gateway-api@$version" | sed -n 's/^\t"Dir": "\(.*\)",$/\1/p')
rm -rf gateway-api
for channel in standard experimental; do
    mkdir -p "gateway-api/$channel"
    cp "$module/config/crd/$channel/"gateway.networking.*.yaml "gateway-api/$channel/"
    {
        echo "# The $channel channel of the Gateway API $version. Written by crds/vendor.sh."
        echo 'apiVersion: kustomize.config.k8s.io/v1beta1'
        echo 'kind: Kustomization'
        echo 'resources:'
        (cd "gateway-api/$channel" && ls gateway.networking.*.yaml | sed 's/^/- /')
    } > "gateway-api/$channel/kustomization.yaml"
done
chmod -R u+w gateway-api
