#!/bin/sh
# Installs Postern, or a newer version of it, where kubectl points, and replaces no CustomResourceDefinition of somebody else's.
#
#   manifests/install.sh [KUSTOMIZATION]      the default is the folder of this script
#
# A CustomResourceDefinition that the cluster already has, that differs from ours and that somebody else installed (Istio, the Gateway
# API, another gateway; newer or older) is left as it is, and the output says so. So is the Gateway API's admission policy. The reasons
# are in docs/adr/0010.
set -eu

kustomization=${1:-$(dirname "$0")}
# The name that owns what this script writes. The apiserver refuses to let one owner change another's fields unasked.
owner=postern-install

work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT

# What several installers bring along goes into files of its own, one per object, so that each is refused or accepted by itself.
mkdir "$work/shared"
kubectl kustomize "$kustomization" | awk -v work="$work" '
    function flush() {
        if (document == "") return
        if (document ~ /(^|\n)kind: (CustomResourceDefinition|ValidatingAdmissionPolicy|ValidatingAdmissionPolicyBinding)\n/)
            printf "%s", document > (work "/shared/" ++n ".yaml")
        else
            printf "---\n%s", document > (work "/own.yaml")
        document = ""
    }
    /^---$/ { flush(); next }
    { document = document $0 "\n" }
    END { flush() }
'

apply() {
    kubectl apply --server-side --field-manager="$owner" "$@"
}

# The version that an annotation of the object says, where there is one.
version_of() {
    sed -n 's/^ *gateway.networking.k8s.io\/bundle-version: */ /p' | head -n 1
}

# Applies one file, or says whose the object is.
apply_shared() {
    if apply -f "$1" > "$work/out" 2>&1; then
        cat "$work/out"
        return
    fi
    others=$(grep -o 'conflicts\{0,1\} with "[^"]*"' "$work/out" | grep -o '"[^"]*"' | sort -u | paste -s -d ' ')
    if [ -z "$others" ]; then
        cat "$work/out" >&2
        exit 1
    fi
    theirs=$(kubectl get -f "$1" -o yaml | version_of)
    ours=$(version_of < "$1")
    echo "$(kubectl get -f "$1" -o name): left as it is; $others installed another version${theirs:+,$theirs}${ours:+ (ours is$ours)}"
    kept=$((kept + 1))
}

kept=0
if [ -n "$(ls "$work/shared")" ]; then
    # At once is ten times as fast as one by one, but does not say which object a conflict is about.
    if apply -f "$work/shared" > "$work/out" 2>&1; then
        cat "$work/out"
    else
        for file in "$work"/shared/*.yaml; do
            apply_shared "$file"
        done
    fi
    kinds=$(grep -l '^kind: CustomResourceDefinition$' "$work"/shared/*.yaml | sed 's/^/-f /')
    if [ -n "$kinds" ]; then
        # shellcheck disable=SC2086  # One word for each flag and file.
        kubectl wait --for=condition=Established --timeout=60s $kinds > "$work/out" || { cat "$work/out" >&2; exit 1; }
    fi
fi
if [ -e "$work/own.yaml" ]; then
    # These are Postern's own, and installing means to have them as they are here.
    apply --force-conflicts -f "$work/own.yaml"
fi
if [ "$kept" -gt 0 ]; then
    echo "$kept objects belong to somebody else and were left as they are. To have ours instead, if nothing else needs theirs:"
    echo "kubectl apply --server-side --force-conflicts --field-manager=$owner -k DIRECTORY, with one of those below manifests/crds"
fi
