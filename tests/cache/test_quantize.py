"""Tokens kept as 8-bit codes: how near they stay, how small they are, and that they depend on the picture alone."""

from __future__ import annotations

import json
import math
import pickle
from collections.abc import Callable
from pathlib import Path
from typing import Any

import h5py
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays

from stackclip.cache import Store, extract, find_store, fingerprint_digest, part_bytes, plan
from stackclip.cache.manifest import read_sealed
from stackclip.cache.quantize import code_count, decode_tokens, encode_tokens
from stackclip.errors import CorruptStore, FingerprintMismatch, StoreError
from stackclip.ops.seals import sealed
from stackclip.types import CLS, MASK, Part, Sample, patch

TOKENS = (196, 128)
FINITE = arrays.arrays(
    np.float16,
    st.tuples(st.integers(1, 9), st.integers(1, 12)),
    elements=st.floats(-65504, 65504, width=16, allow_subnormal=True),
)


def decoded(tokens: np.ndarray, dtype: str = "float32") -> np.ndarray:
    """The tokens after they were codes."""
    values = np.empty(tokens.shape, dtype)
    decode_tokens(encode_tokens(tokens), values)
    return values


def turned(tokens: np.ndarray, values: np.ndarray) -> np.ndarray:
    """1 - cos of each token and its value, (P,)."""
    tokens, values = tokens.astype(np.float64), values.astype(np.float64)
    return 1 - (tokens * values).sum(-1) / np.linalg.norm(tokens, axis=-1) / np.linalg.norm(values, axis=-1)


def drawn(kind: str) -> np.ndarray:
    """Tokens of one picture as towers make them."""
    random = np.random.default_rng(7)
    tokens = random.standard_normal(TOKENS) * np.exp(0.7 * random.standard_normal(TOKENS[1]))
    if kind == "a channel that is always large":
        tokens[:, 5] += 60
    if kind == "tokens that are huge in one channel":
        tokens[::50, 9] += 20_000
    if kind == "tokens of all lengths":
        tokens *= np.exp(3 * random.standard_normal((TOKENS[0], 1)))
    if kind == "one picture in many":
        tokens = tokens[:1] + 0.01 * random.standard_normal(TOKENS)
    return tokens.clip(-65504, 65504).astype(np.float16)


@pytest.mark.parametrize(
    "kind",
    [
        "channels of all sizes",
        "a channel that is always large",
        "tokens that are huge in one channel",
        "tokens of all lengths",
        "one picture in many",
    ],
)
def test_no_token_turns_by_more_than_one_in_ten_thousand(kind: str) -> None:
    tokens = drawn(kind)
    assert turned(tokens, decoded(tokens)).max() <= 1e-4
    assert turned(tokens, decoded(tokens, "float16")).max() <= 1e-4


@pytest.mark.parametrize("name", ["stackclip-tiny", "random-vit-8"])
def test_no_token_of_our_towers_turns_by_more_than_one_in_ten_thousand(
    name: str, request: pytest.FixtureRequest, tmp_path: Path
) -> None:
    from stackclip.clip import load_tower
    from stackclip.data import open_dataset

    names = ["synthetic[part=combinations,categories=4,per_category=2,train_good=0]"]
    names += [str(folder) for folder in real_folders(request)]
    samples = [sample for name in names for sample in open_dataset(name, generated=tmp_path).samples]
    samples = [*samples[:6], *samples[8::40]]
    tower = load_tower(name)
    coded = Store.create(tmp_path, tower.fingerprint, spec=tower.spec, recorded={}, dtype="int8")
    exact = Store.create(tmp_path, tower.fingerprint, spec=tower.spec, recorded={})
    assert not extract(exact, tower, samples, {CLS, *tower.spec.taps}).failed
    with coded.writer() as writer:
        for sample in samples:
            writer.add(
                coded.source(sample), {part: each[0] for part, each in exact.batch([sample], exact.parts).items()}
            )
    for part in tower.spec.taps:
        assert turned(exact.read(samples, part), coded.read(samples, part)).max() <= 1e-4
    np.testing.assert_array_equal(exact.read(samples, CLS), coded.read(samples, CLS))
    assert coded.size_bytes <= 0.52 * exact.size_bytes  # half, and what each file says of itself


def real_folders(request: pytest.FixtureRequest) -> list[Path]:
    """The small real data sets beside the repository, if they are there."""
    try:
        shared: Path = request.getfixturevalue("shared")
    except pytest.skip.Exception:
        return []
    return sorted(path for path in (shared / "data").glob("*-mini"))


@given(FINITE)
def test_the_values_are_those_that_the_format_describes(tokens: np.ndarray) -> None:
    count, width = tokens.shape
    codes = encode_tokens(tokens)
    assert codes.shape == (code_count(tokens.shape),)
    row = codes.tobytes()
    by_token, by_channel = row[count * width : count * width + count], row[count * width + count :]
    values = decoded(tokens)
    for (i, j), code in np.ndenumerate(codes[: count * width].reshape(tokens.shape)):
        token = math.ldexp(4 + by_token[i] % 4, by_token[i] // 4 - 42)
        channel = math.ldexp(8 + by_channel[j] % 8, by_channel[j] // 8 - 34)
        assert float(values[i, j]) == int(code) * token * channel  # to the last bit


@given(FINITE)
def test_no_value_is_further_off_than_half_a_step(tokens: np.ndarray) -> None:
    count, width = tokens.shape
    scales = encode_tokens(tokens)[count * width :].view(np.uint8).astype(int)
    token = np.ldexp(4.0 + scales[:count] % 4, scales[:count] // 4 - 42)[:, None]
    channel = np.ldexp(8.0 + scales[count:] % 8, scales[count:] // 8 - 34)
    assert (np.abs(decoded(tokens) - tokens.astype(np.float64)) <= 0.500001 * token * channel).all()
    length = np.linalg.norm(tokens.astype(np.float64), axis=1, keepdims=True)
    assert (token <= 1.26 * np.maximum(length / 127, 2.0**-40)).all()


@given(FINITE)
def test_half_precision_is_rounded_from_single_and_stays_finite(tokens: np.ndarray) -> None:
    with np.errstate(over="ignore"):
        wanted = decoded(tokens).clip(-65504, 65504).astype(np.float16)
    np.testing.assert_array_equal(decoded(tokens, "float16"), wanted)


def test_a_case_worked_by_hand() -> None:
    """The tokens (3, 4) and (2, 0) have the lengths 5 and 2; the channels' largest shares are 1 and .8.

    Rounded up in eighths of an octave, these are 8/8 and 13/16. Then 4 / (13/16) / 127 = .0388 and 2 / 127 = .0157
    rounded up in quarters are 5/128 and 5/256; 3, 4 and 2 are 76.8, 126.03 and 102.4 of such steps.
    """
    tokens = np.array([[3, 4], [2, 0]], np.float16)
    assert encode_tokens(tokens).view(np.uint8).tolist() == [77, 126, 102, 0, 141, 137, 248, 245]
    values = [[77 * 5 / 128, 126 * 13 / 16 * 5 / 128], [102 * 5 / 256, 0]]
    assert decoded(tokens).tolist() == values


def test_nothing_becomes_nothing() -> None:
    tokens = drawn("channels of all sizes")
    tokens[3], tokens[:, 4] = 0, 0
    values = decoded(tokens)
    assert not values[3].any()
    assert not values[:, 4].any()
    assert not decoded(np.zeros((4, 6), np.float16)).any()


def test_the_codes_do_not_depend_on_where_the_tokens_lie_in_memory() -> None:
    tokens = drawn("channels of all sizes")
    wanted = encode_tokens(tokens)
    for shift in range(1, 33):
        memory = np.empty(tokens.nbytes + 64, np.uint8)[shift * 2 : shift * 2 + tokens.nbytes]
        moved = memory.view(np.float16).reshape(tokens.shape)
        moved[...] = tokens
        np.testing.assert_array_equal(encode_tokens(moved), wanted)
    np.testing.assert_array_equal(encode_tokens(np.asfortranarray(tokens)), wanted)


# The store


@pytest.fixture
def new_coded(tmp_path: Path, fingerprint: dict[str, Any], spec: Any) -> Callable[..., Store]:
    """Open an int8 store below a folder of this name; it is made the first time."""
    return lambda name="coded": Store.create(tmp_path / name, fingerprint, spec=spec, recorded={}, dtype="int8")


@pytest.fixture
def coded(new_coded: Callable[..., Store], samples: list[Sample], tower: Any, parts: frozenset[Part]) -> Store:
    store = new_coded()
    extract(store, tower, samples, parts, batch_size=4)
    return store


def rows_on_disk(store: Store) -> dict[tuple[str, str], bytes]:
    """The bytes of every dense row, by the digest of its picture and the part, read with plain h5py."""
    rows = {}
    for path in sorted((store.folder / "segments").glob("*.h5")):
        with h5py.File(path) as file:
            sources = file["records/source"][:]
            for part in ("cls", "patch/1", "patch/2"):
                if part in file:
                    for row, record in zip(file[f"{part}/features"], file[f"{part}/record"], strict=True):
                        rows[sources[record].decode(), part] = row.tobytes()
    return rows


def test_patch_parts_are_codes_and_class_tokens_are_not(coded: Store, filled: Store, samples: list[Sample]) -> None:
    assert (coded.feature_dtype, filled.feature_dtype) == ("int8", "float16")
    with h5py.File(coded.folder / "segments" / "000001.h5") as file:
        assert (file["cls/features"].dtype, file["cls/features"].shape) == (np.float16, (6, 6))
        assert (file["patch/2/features"].dtype, file["patch/2/features"].shape) == (np.int8, (6, 16 * 8 + 16 + 8))
        row = file["patch/2/features"][0]
    values = np.empty((16, 8), np.float32)
    decode_tokens(row, values)
    exact = coded.batch(samples, [patch(2)], dtype=np.float32)[patch(2)]
    assert any(np.array_equal(values, picture) for picture in exact)
    for part in (patch(1), patch(2)):
        assert turned(filled.read(samples, part), coded.read(samples, part)).max() <= 1e-4
        assert coded.read(samples, part).dtype == np.float16
    np.testing.assert_array_equal(filled.read(samples, CLS), coded.read(samples, CLS))
    np.testing.assert_array_equal(filled.masks(samples), coded.masks(samples))


def test_codes_are_read_alike_in_batches_processes_and_after_verify(coded: Store, samples: list[Sample]) -> None:
    assert coded.verify() == []
    wanted = coded.read(samples, patch(1))
    again = pickle.loads(pickle.dumps(coded))
    for batch, arrays_read in again.batches(samples, [patch(1), CLS, MASK], batch_size=4, dtype=np.float32):
        places = [samples.index(sample) for sample in batch]
        np.testing.assert_array_equal(arrays_read[patch(1)].astype(np.float16), wanted[places])
        assert arrays_read[CLS].dtype == np.float32


def test_what_is_stored_depends_on_the_picture_alone(new_coded, samples, tower, parts) -> None:
    at_once, piecemeal = new_coded("at once"), new_coded("piecemeal")
    extract(at_once, tower, samples, parts, batch_size=6)
    for some in (samples[4:], samples[1:4], samples[:1]):
        extract(piecemeal, tower, some, {patch(2), MASK}, batch_size=1)
        extract(piecemeal, tower, some[::-1], parts, batch_size=2)
    assert len(list((piecemeal.folder / "segments").glob("*.h5"))) == 6
    assert len(rows_on_disk(at_once)) == 18
    assert rows_on_disk(at_once) == rows_on_disk(piecemeal)


def test_a_repair_brings_the_same_bytes_again(coded: Store, new_coded, samples, tower, parts) -> None:
    before = rows_on_disk(coded)
    damage(coded, lambda extent: extent["offset"])
    assert len(new_coded().repair()) == 1
    assert extract(new_coded(), tower, samples, parts, batch_size=1).encoded == 6
    assert rows_on_disk(coded) == before


def damage(store: Store, where: Callable[[dict[str, Any]], int]) -> None:
    """Change one bit of the array of patch/2."""
    path = store.folder / "segments" / "000001.h5"
    place = where(read_sealed(path.with_suffix(".json"))["parts"]["patch/2"])
    content = bytearray(path.read_bytes())
    content[place] ^= 1
    path.write_bytes(content)


@pytest.mark.parametrize("byte", [0, 16 * 8 - 1, 16 * 8, 16 * 8 + 15, 16 * 8 + 16, 16 * 8 + 16 + 7])
def test_a_bit_that_flips_in_a_code_or_a_scale_is_noticed(coded: Store, samples: list[Sample], byte: int) -> None:
    damage(coded, lambda extent: extent["offset"] + byte)
    with pytest.raises(CorruptStore, match=r"patch/2 of screws/000.png is not what was written"):
        Store.open(coded.folder).read(samples, patch(2))
    assert len(coded.verify()) == 1


def test_int8_and_float16_are_two_stores_and_each_is_found(coded, store, tmp_path, fingerprint, samples) -> None:
    assert len(store.lacking(samples, {CLS})) == 6
    assert find_store(tmp_path / "coded", fingerprint) is None
    found = find_store(tmp_path / "coded", fingerprint, dtype="int8")
    assert found is not None
    assert found.folder == coded.folder
    assert Store.create(tmp_path / "coded", coded.fingerprint, spec=coded.spec, recorded={}).folder == coded.folder
    with pytest.raises(FingerprintMismatch, match=r"feature_dtype is absent, wanted .int8."):
        Store.open(store.folder, fingerprint=coded.fingerprint)


def test_the_fingerprint_of_a_float16_store_is_what_it_always_was(store: Store, fingerprint: dict[str, Any]) -> None:
    assert store.fingerprint == json.loads(json.dumps(fingerprint))
    assert store.digest == "4e5cbe35241c30d813c3e0ccbbc8f6de7ddf31bca931cf8d247f01e95c9b306e"
    assert read_sealed(store.folder / "store.json")["format"] == 1


def test_an_older_reader_refuses_an_int8_store_by_its_number(coded: Store) -> None:
    assert read_sealed(coded.folder / "store.json")["format"] == 2


@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"feature_dtype": "int4", "quantization": 1}, "cannot read features kept as .*int4"),
        ({"feature_dtype": "int8", "quantization": 2}, "cannot read features kept as .*2"),
        ({"feature_dtype": "float16"}, "cannot read features kept as .*float16"),
        ({"feature_dtype": ["int8"], "quantization": 1}, "cannot read features kept as"),
        ({"quantization": 1}, "its format is not that of its fingerprint"),
    ],
)
def test_features_kept_in_a_way_that_is_not_known_are_refused(coded: Store, change: dict[str, Any], said: str) -> None:
    facts = coded.folder / "store.json"
    content = read_sealed(facts)
    inputs = {name: value for name, value in coded.fingerprint.items() if name not in ("feature_dtype", "quantization")}
    content["fingerprint"] = {**inputs, **change}
    facts.write_bytes(sealed({**content, "digest": fingerprint_digest(content["fingerprint"])}))
    with pytest.raises(StoreError, match=said) as raised:
        Store.open(coded.folder)
    assert "\n" not in str(raised.value)


def test_a_format_that_does_not_fit_the_fingerprint_is_refused(coded: Store, store: Store) -> None:
    for each, number in ((coded, 1), (store, 2)):
        facts = each.folder / "store.json"
        facts.write_bytes(sealed({**read_sealed(facts), "format": number}))
        with pytest.raises(CorruptStore, match="its format is not that of its fingerprint"):
            Store.open(each.folder)


def test_another_word_for_a_type_is_refused(tmp_path: Path, fingerprint: dict[str, Any], spec: Any) -> None:
    with pytest.raises(StoreError, match="no store keeps features as 'int4'; wanted float16 or int8"):
        Store.create(tmp_path, fingerprint, spec=spec, recorded={}, dtype="int4")  # type: ignore[arg-type]  # on purpose


def test_a_plan_knows_how_small_codes_are(coded: Store, make_samples, tmp_path: Path, spec: Any) -> None:
    samples = make_samples(2, root=tmp_path / "more", dataset="more", seed=1)
    planned = plan(coded, samples, {CLS, patch(1)}, spec, dtype="int8")
    assert planned.bytes == 2 * (12 + 16 * 8 + 16 + 8)
    assert part_bytes(patch(1), spec) == 2 * 16 * 8
