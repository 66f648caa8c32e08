#!/usr/bin/env bash
# A wheel outside of its checkout: built, installed into a new environment, and the README's commands in an empty folder.
# usage: tests/wheel/run.sh [PYTHON whose installed packages serve as the wheel's dependencies; else they are installed]
set -euo pipefail
cd "$(dirname "$0")/../.."
unset PYTHONPATH
work="$(mktemp -d)"
server=
trap 'test -z "$server" || kill "$server"; rm -rf "$work"' EXIT
builder="$(realpath --no-symlinks "${1:-.venv/bin/python}")"

"$builder" -m pip wheel . --quiet --no-deps --wheel-dir "$work/dist"
"$builder" -m venv "$work/env"
python="$work/env/bin/python" qfae="$work/env/bin/qfae"
site="$("$python" -c 'import sysconfig; print(sysconfig.get_path("purelib"))')"
if [ $# -gt 0 ]; then # an editable install there is not followed
  "$builder" -c 'import sysconfig; print(sysconfig.get_path("purelib"))' > "$site/dependencies.pth"
  "$python" -m pip install --quiet --no-deps --ignore-installed "$work"/dist/*.whl
else
  "$python" -m pip install --quiet "$work"/dist/*.whl
fi
found="$(find "$site" -maxdepth 1 -iname '*qfae*' -printf '%f ' -o -maxdepth 1 -name 'preprocessing*' -printf '%f ')"
echo "in site-packages: $found"
case "$found" in *preprocessing*) exit 1 ;; esac

mkdir "$work/empty" && cd "$work/empty"
"$python" -c 'import qfae_monai, sys; assert qfae_monai.__file__.startswith(sys.prefix), qfae_monai.__file__'
"$qfae" --help > help.txt
"$qfae" prepare
"$qfae" demo --epochs 1 --volumes 8
"$qfae" train demo/data -o M --images 300
"$qfae" predict -i demo/data/image/test-016.nii.gz -o RESULTS -m M
"$qfae" model verify M
"$qfae" model pack M
"$qfae" predict -i demo/data/image/test-016.nii.gz -o RESULTS -m M.zip
"$qfae" prepare volumes demo/data/image prepared --image 'test-00*' --normal --workers 2
"$qfae" view RESULTS --port 8765 --no-browser &
server=$!
"$python" - << 'EXAMPLE'
import time
from urllib.request import urlopen

import qfae_monai as q

model = q.load_model("demo/model")
found = model.predict("demo/data/image/test-016.nii.gz")
print(found.score, found.p_value, found.above_threshold)
for attempt in range(60):
    try:
        page = urlopen("http://127.0.0.1:8765/").read()
        break
    except OSError:
        time.sleep(1)
assert b"<html" in page
EXAMPLE
for file in demo/evaluation/report.html M/evaluation/evaluation.json RESULTS/report.html prepared/qc.html; do test -s "$file"; done
echo "the wheel works outside of its checkout"
