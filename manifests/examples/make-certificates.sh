#!/usr/bin/env bash
# Makes the examples' certificates anew: one authority, and a TLS Secret a host. They are for trying Postern on your own
# machine: the private keys are public.
set -euo pipefail
cd "$(dirname "$0")"
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 36500 -subj "/CN=Postern examples" \
    -addext "keyUsage=critical,keyCertSign,cRLSign" -keyout "$work/ca.key" -out ca.crt 2>/dev/null

secret() { # NAME HOST FILE...
    local name=$1 host=$2
    shift 2
    openssl req -new -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -subj "/CN=$host" \
        -keyout "$work/$name.key" -out "$work/$name.csr" 2>/dev/null
    openssl x509 -req -in "$work/$name.csr" -CA ca.crt -CAkey "$work/ca.key" -CAcreateserial -days 36500 \
        -extfile <(printf 'subjectAltName=DNS:%s\nextendedKeyUsage=serverAuth\nbasicConstraints=CA:FALSE\n' "$host") \
        -out "$work/$name.crt" 2>/dev/null
    for file in "$@"; do
        cat > "$file" <<YAML
# For trying Postern on your own machine: this private key is public. Made by make-certificates.sh.
apiVersion: v1
kind: Secret
metadata:
  name: $name
  namespace: istio-system
type: kubernetes.io/tls
data:
  tls.crt: $(base64 -w0 < "$work/$name.crt")
  tls.key: $(base64 -w0 < "$work/$name.key")
YAML
    done
}

secret tls-secret example.com {web-gateway,multi-domain,canary}/tls-secret.yaml
secret api-tls-secret api.example.com {multi-domain,canary}/api-tls-secret.yaml
rm -f ca.srl
