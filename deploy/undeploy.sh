#!/usr/bin/env bash
# Takes SIAF's functions out of Nuclio. Images, the state directory, Redis and Secrets stay.
set -euo pipefail

usage() {
    echo "deploy/undeploy.sh --kind interactor|tracker|both [--platform local|kube] [--namespace NAME] [--dry-run]"
}

die() {
    echo "undeploy.sh: $*" >&2
    exit 2
}

kind='' platform=local namespace=nuclio dry_run=''
while (($#)); do
    case $1 in
        --dry-run) dry_run=yes ;;
        -h | --help) usage && exit 0 ;;
        --kind | --platform | --namespace)
            (($# > 1)) || die "$1 needs a value"
            printf -v "${1#--}" %s "$2"
            shift
            ;;
        *) die "unknown option $1 (see --help)" ;;
    esac
    shift
done

[[ $platform =~ ^(local|kube)$ ]] || die "--platform must be local or kube"
case $kind in
    interactor | tracker) kinds=("$kind") ;;
    both) kinds=(interactor tracker) ;;
    *) die "--kind must be interactor, tracker or both" ;;
esac

options=(--platform "$platform" --namespace "$namespace")
for kind in "${kinds[@]}"; do
    if [[ ! $dry_run ]] && ! nuctl get function "siaf-$kind" "${options[@]}" >/dev/null 2>&1; then
        echo "siaf-$kind is not there"
        continue
    fi
    echo nuctl delete function "siaf-$kind" "${options[@]}"
    [[ $dry_run ]] || nuctl delete function "siaf-$kind" "${options[@]}"
done
