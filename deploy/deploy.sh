#!/usr/bin/env bash
# Builds the image and deploys SIAF's functions to the Nuclio of a CVAT server. May be run again at any time:
# a second run is an upgrade, and the function keeps its port.
set -euo pipefail

usage() {
    cat <<'USAGE'
deploy/deploy.sh --device cpu|gpu --kind interactor|tracker|both [option...]

  --platform local|kube  where Nuclio runs: Docker (default) or Kubernetes
  --registry PREFIX      push a finished image to PREFIX/siaf-cvat and deploy that one; needed for kube
  --store STORE          memory: (default), file:/DIRECTORY/OF/THE/HOST or redis://HOST:PORT/DB;
                         on kube the Secret `siaf` decides unless this is given
  --model NAME           what finds the objects (SIAF_MODEL; default siaf-t); edgetam and sam2.1-… get an image of
                         their own, which has their packages
  --weights PATH         the model's weights on the host (siaf weights fetch), for local; on kube they come by --patch
  --namespace NAME       Nuclio's namespace (default nuclio; with CVAT's Helm chart: the release's namespace)
  --network NAME         Docker network of the functions (default cvat_cvat)
  --patch FILE           merge FILE into function.yaml last; may be repeated (deploy/patches)
  --dry-run              print every command and every rendered file, do nothing

Environment: SIAF_TOKEN (local; kube takes the Secret's), NUCLIO_VERSION (default: nuctl's own; must be the
dashboard's), TORCH_INDEX (package index for torch), PYTHON (one from 3.11 on, with PyYAML; default python3).
USAGE
}

die() {
    echo "deploy.sh: $*" >&2
    exit 2
}

root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)
python=${PYTHON:-python3}
device='' kind='' platform=local registry='' store='' model='' weights='' namespace=nuclio network=cvat_cvat dry_run=''
patches=()

while (($#)); do
    case $1 in
        --dry-run) dry_run=yes ;;
        -h | --help) usage && exit 0 ;;
        --device | --kind | --platform | --registry | --store | --model | --weights | --namespace | --network | --patch)
            (($# > 1)) || die "$1 needs a value"
            if [[ $1 == --patch ]]; then patches+=(--patch "$2"); else printf -v "${1#--}" %s "$2"; fi
            shift
            ;;
        *) die "unknown option $1 (see --help)" ;;
    esac
    shift
done

[[ $device =~ ^(cpu|gpu)$ ]] || die "--device must be cpu or gpu"
[[ $platform =~ ^(local|kube)$ ]] || die "--platform must be local or kube"
case $kind in
    interactor | tracker) kinds=("$kind") ;;
    both) kinds=(interactor tracker) ;;
    *) die "--kind must be interactor, tracker or both" ;;
esac
[[ $platform == local || -n $registry ]] || die "--platform kube needs --registry: a cluster cannot see local images"
"$python" -c 'import yaml, tomllib' 2>/dev/null || die "$python needs to be Python 3.11 or newer, with PyYAML: set PYTHON"

# In a dry run nothing is written, and secrets are not shown.
if [[ $dry_run ]]; then
    work=/tmp/siaf-deploy
    [[ -z ${SIAF_TOKEN:-} ]] || export SIAF_TOKEN='***'
    store=$(sed -E 's#://[^@/]*@#://***@#' <<<"$store")
else
    work=$(mktemp -d)
    trap 'rm -rf "$work"' EXIT
fi

run() {
    local line
    printf -v line '%q ' "$@"
    echo "${line% }"
    [[ $dry_run ]] || "$@"
}

version=$(sed -n 's/^version = "\(.*\)"/\1/p' "$root/pyproject.toml")
revision=${REVISION:-$(git -C "$root" rev-parse HEAD 2>/dev/null || echo unknown)}
tag=$version-$device
case $device in
    cpu) torch_index=${TORCH_INDEX:-https://download.pytorch.org/whl/cpu} ;;
    gpu) torch_index=${TORCH_INDEX:-https://pypi.org/simple} ;;
esac
sam2=()
case $model in edgetam | sam2.1-*) tag+=-sam2 sam2=(--build-arg SAM2=yes) ;; esac
nuctl_options=(--platform "$platform" --namespace "$namespace")

build() { # target image [docker build option...]
    run docker build --target "$1" --tag "$2" --build-arg "TORCH_INDEX=$torch_index" \
        --build-arg "VERSION=$version" --build-arg "REVISION=$revision" "${sam2[@]}" "${@:3}" "$root"
}

if [[ $registry ]]; then
    nuclio=${NUCLIO_VERSION:-$(nuctl version 2>/dev/null | sed -n 's/.*Label: \([0-9][0-9.]*\).*/\1/p')}
    [[ $nuclio ]] || die "no nuctl on the PATH: set NUCLIO_VERSION to the dashboard's version"
    image=$registry/siaf-cvat:$tag
    image_options=(--image "$image")
    source_options=(--run-image "$image")
else
    image=siaf-cvat-base:$tag
    image_options=(--base-image "$image")
    source_options=(--path "$work/context")
fi

# First what can be refused, then what takes minutes.
for kind in "${kinds[@]}"; do
    rendered=$("$python" "$root/deploy/render.py" --kind "$kind" --device "$device" --platform "$platform" \
        --namespace "$namespace" --network "$network" ${store:+--store "$store"} \
        ${model:+--model "$model"} ${weights:+--weights "$weights"} "${image_options[@]}" "${patches[@]}")
    if [[ $dry_run ]]; then
        printf '# %s:\n%s\n' "$work/$kind.yaml" "$rendered"
    else
        (umask 077 && echo "$rendered" >"$work/$kind.yaml")
    fi
done

if [[ $registry ]]; then
    build processor "$image" --build-arg "NUCLIO_VERSION=$nuclio"
    run docker push "$image"
else
    build base "$image"
    # nuctl copies the whole of --path to /opt/nuclio, so it gets a folder with the function's package and no more.
    run mkdir "$work/context"
    run cp -R "$root/function" "$work/context/function"
    run find "$work/context" -name __pycache__ -prune -exec rm -r '{}' +
fi

if [[ $store == file:* ]]; then # the function does not run as root
    run docker run --rm --user 0:0 --volume "${store#file:}:/var/lib/siaf/state" "$image" \
        chown 10001:10001 /var/lib/siaf/state
fi

echo "nuctl get project cvat ${nuctl_options[*]} || nuctl create project cvat ${nuctl_options[*]}"
if [[ ! $dry_run ]] && ! nuctl get project cvat "${nuctl_options[@]}" >/dev/null 2>&1; then
    nuctl create project cvat "${nuctl_options[@]}"
fi

for kind in "${kinds[@]}"; do
    run nuctl deploy "${nuctl_options[@]}" --project-name cvat "${source_options[@]}" --file "$work/$kind.yaml"
done
