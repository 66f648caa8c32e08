#!/usr/bin/env bash
# Fetches NiiVue, as published on npm, into static/niivue/; only who changes its version runs this (needs npm).
# The UMD bundle is the smallest file that holds all of it: minified, with its letters and decoders inside.
set -euo pipefail
version=0.69.0
sum=47b896b77ec4a5be3ef1949c33ad393b6f45629921f326c279000bcf51bdb4af
target="$(cd "$(dirname "$0")" && pwd)/static/niivue"
work="$(mktemp -d)"
trap 'rm -rf "$work"' EXIT
cd "$work"
npm install --silent --no-audit --no-fund --ignore-scripts --omit=dev --omit=optional --prefix "$work" "@niivue/niivue@$version"
echo "$sum  node_modules/@niivue/niivue/dist/niivue.umd.js" | sha256sum --check --quiet
cp node_modules/@niivue/niivue/dist/niivue.umd.js "$target/niivue.umd.js"
# NiiVue's own licence is not in its package: static/niivue/LICENSE is that of its repository. Those of what the bundle
# holds besides are collected here.
{
  echo "niivue.umd.js ($version) holds the following packages, under these licences. NiiVue's own is in LICENSE."
  echo "Its letters are Roboto's (Google, Apache License 2.0). numcodecs holds Blosc, LZ4, Zstandard and zlib (BSD and"
  echo "zlib licences), which read Zarr files; the viewer does not use them."
  find node_modules -mindepth 2 -maxdepth 3 -iname 'license*' | LC_ALL=C sort | while read -r file; do
    package="$(dirname "${file#node_modules/}")"
    printf '\n==== %s ====\n\n' "$package"
    cat "$file"
  done
} > "$target/THIRD_PARTY_LICENSES"
