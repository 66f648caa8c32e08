#!/usr/bin/env bash
# A wheel outside of its checkout: built, installed into a new environment, run in an empty folder.
# usage: tests/wheel/run.sh [PYTHON whose installed packages serve as the wheel's dependencies]
set -euo pipefail
cd "$(dirname "$0")/../.."
python="$(realpath --no-symlinks "${1:-.venv/bin/python}")"
unset PYTHONPATH
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT

"$python" -m pip wheel . --quiet --no-deps --wheel-dir "$work/dist"
"$python" -m venv "$work/env"
site="$("$work/env/bin/python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
"$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/dependencies.pth"  # an editable install there is not followed
"$work/env/bin/python" -m pip install --quiet --no-deps --ignore-installed "$work"/dist/*.whl
found="$(find "$site" -maxdepth 1 -iname '*qfae*' -printf '%f ' -o -maxdepth 1 -name 'preprocessing*' -printf '%f ')"
echo "in site-packages: $found"
case "$found" in *preprocessing*) exit 1 ;; esac

mkdir "$work/empty" && cd "$work/empty"
qfae="$work/env/bin/qfae"
"$work/env/bin/python" -c 'import qfae_monai, sys; assert qfae_monai.__file__.startswith(sys.prefix), qfae_monai.__file__'
"$qfae" --help > help.txt
"$qfae" prepare
"$qfae" demo --epochs 1 --volumes 8 --output demo
"$qfae" prepare volumes demo/data/image prepared --image 'test-00*' --normal --workers 2
test -s demo/evaluation/report.html && test -s prepared/qc.html
echo "the wheel works outside of its checkout"
