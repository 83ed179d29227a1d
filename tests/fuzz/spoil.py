"""Ways to spoil a file: bytes, JSON, the headers of safetensors and npz."""

from __future__ import annotations

import copy
import io
import json
import struct
import zipfile
from random import Random
from typing import Any

DEEP = "@deep@"
HOSTILE: list[Any] = [
    None, True, False, "", "x", "\0", "../../etc/passwd", "a" * 5000, DEEP, [], {}, [[]], [None] * 9, {"": {}},
    0, -1, 1, 2, 255, 65536, 2**31, 2**53 + 1, 2**63, 2**64, 10**30, 10**400, -(2**63), 0.5, -0.0, 1e38, 1e308,
    float("nan"), float("inf"), float("-inf"),
]  # fmt: skip
NUMBERS = [
    struct.pack("<" + kind, value)
    for kind, values in {
        "b": (0, -1, 127, -128), "h": (-1, 2**15 - 1, -(2**15)), "i": (-1, 2**31 - 1, -(2**31)),
        "q": (-1, 2**63 - 1, -(2**63), 2**40), "f": (float("nan"), float("inf"), 1e38, -1e38, 1e-45),
        "d": (float("nan"), float("-inf"), 1e308), "e": (float("nan"), float("inf"), 65504.0),
    }.items()
    for value in values
]  # fmt: skip


def spoil_bytes(data: bytes, rng: Random) -> bytes:
    """Change one to four places: flips, numbers, cuts, repeats, moved and foreign pieces."""
    changed = bytearray(data)
    for _ in range(rng.choice((1, 1, 1, 2, 4))):
        at, many = rng.randrange(len(changed) + 1), rng.choice((1, 2, 4, 8, 64, 1000))
        if rng.random() < 0.5:  # headers decide more than what follows them
            at = rng.randrange(min(len(changed), 400) + 1)
        match rng.randrange(8):
            case 0 if changed:
                changed[at % len(changed)] ^= 1 << rng.randrange(8)
            case 1 if changed:
                changed[at % len(changed)] = rng.randrange(256)
            case 2 | 3:
                number = rng.choice(NUMBERS)
                changed[at : at + len(number)] = number
            case 4:
                del changed[at:]
            case 5:
                del changed[at : at + many]
            case 6:
                changed[at:at] = changed[at : at + many]
            case _:
                changed[at:at] = rng.randbytes(many)
    return bytes(changed)


def spoil_json(data: Any, rng: Random) -> Any:
    """Give JSON data with one to three nodes replaced, removed, repeated or renamed."""
    spoilt = copy.deepcopy(data)
    for _ in range(rng.choice((1, 1, 2, 3))):
        spoilt = _spoil_node(spoilt, rng)
    return spoilt


def _spoil_node(data: Any, rng: Random) -> Any:
    if not isinstance(data, (dict, list)) or not data or rng.random() < 0.12:
        return copy.deepcopy(rng.choice(HOSTILE))  # what is put in may be spoilt in its turn
    key = rng.choice(list(data)) if isinstance(data, dict) else rng.randrange(len(data))
    what = rng.random()
    if what < 0.1:
        del data[key]
    elif what < 0.15 and isinstance(data, list):
        data *= rng.choice((2, 50))
    elif what < 0.2 and isinstance(data, dict):
        data[rng.choice(["", "more", str(key) + " ", "version"])] = data.pop(key)
    else:
        data[key] = _spoil_node(data[key], rng)
    return data


def json_text(data: Any, rng: Random) -> bytes:
    """Write JSON, now and then with keys that stand twice; `DEEP` becomes lists within lists."""
    text = json.dumps(data)
    depth = rng.choice((50, 900, 100_000))
    text = text.replace(f'"{DEEP}"', "[" * depth + "]" * depth)
    if rng.random() < 0.05 and isinstance(data, dict) and data:
        text = f"{{{json.dumps(rng.choice(list(data)))}: {json.dumps(rng.choice(HOSTILE[:9]))}, {text[1:]}"
    return text.encode()


def spoil_json_file(data: bytes, rng: Random) -> bytes:
    """Spoil a JSON file in its structure or its bytes."""
    if rng.random() < 0.25:
        return spoil_bytes(data, rng)
    return json_text(spoil_json(json.loads(data), rng), rng)


def spoil_safetensors(data: bytes, rng: Random) -> bytes:
    """Spoil a safetensors file: bytes, the header's numbers, the description in it."""
    if rng.random() < 0.35:
        return spoil_bytes(data, rng)
    size = int.from_bytes(data[:8], "little")
    header, body = json.loads(data[8 : 8 + size]), data[8 + size :]
    about = header.get("__metadata__", {}).get("about")
    if about is not None and rng.random() < 0.55:
        spoilt = json_text(spoil_json(json.loads(about), rng), rng).decode()
        header["__metadata__"]["about"] = spoilt
        text = json.dumps(header).encode()
    else:
        text = json_text(_spoil_header(header, rng), rng)
    declared = rng.choice(HOSTILE_SIZES) if rng.random() < 0.05 else len(text)
    return struct.pack("<Q", declared) + text + body


HOSTILE_SIZES = [0, 1, 2**20, 2**27, 2**40, 2**63, 2**64 - 1]
DTYPES = ["F64", "F32", "F16", "BF16", "I64", "I32", "I16", "I8", "U8", "BOOL", "F8_E4M3", "C64", "U64", "X"]


def _spoil_header(header: dict[str, Any], rng: Random) -> Any:
    names = [name for name in header if name != "__metadata__"]
    if not names or rng.random() < 0.3:
        return spoil_json(header, rng)
    entry = header[rng.choice(names)]
    match rng.randrange(5):
        case 0:
            entry["dtype"] = rng.choice(DTYPES)
        case 1:
            entry["shape"] = [rng.choice([0, 1, 3, 160, 2**31, 2**62]) for _ in range(rng.randrange(6))]
        case 2:  # the same bytes in another shape
            entry["shape"] = rng.choice([[*entry["shape"], 1], [1, *entry["shape"]], entry["shape"][::-1]])
        case 3:
            entry["data_offsets"] = [rng.choice([0, 1, 2**40, *entry["data_offsets"]]) for _ in range(2)]
        case _:
            other = rng.choice(names)
            header[rng.choice([other, other + "2"])] = header.pop(rng.choice(names))
    return header


def spoil_npz(data: bytes, rng: Random) -> bytes:
    """Spoil an npz: bytes, array headers, entries that are missing, twice, foreign, or much smaller than they open."""
    if rng.random() < 0.45:
        return spoil_bytes(data, rng)
    with zipfile.ZipFile(io.BytesIO(data)) as archive:
        entries = [(entry.filename, archive.read(entry)) for entry in archive.infolist()]
    which = rng.randrange(len(entries))
    name, array = entries[which]
    match rng.randrange(6):
        case 0 | 1:
            entries[which] = name, _spoil_array(array, rng)
        case 2:
            entries[which] = name, spoil_bytes(array, rng)
        case 3:
            entries.append(rng.choice(entries))
        case 4:
            entries[which] = rng.choice(["x", "../x.npy", "version.npy", name + "x"]), array
        case _:
            entries[which] = name, array + bytes(rng.choice((1, 10**6, 2 * 10**7)))
    kind = rng.choice([zipfile.ZIP_STORED, zipfile.ZIP_DEFLATED, zipfile.ZIP_DEFLATED, zipfile.ZIP_LZMA])
    out = io.BytesIO()
    with zipfile.ZipFile(out, "w", kind) as archive:
        for name, array in entries:
            archive.writestr(name, array)
    return out.getvalue()


SHAPES = ["()", "(0,)", "(2147483648,)", "(4611686018427387904, 4)", "(-1,)", "(3, 6, 8)", "(1, 144)", "((1,),)"]
DESCRIPTIONS = ["'<i2'", "'<f4'", "'>i2'", "'O'", "'V8'", "'<U9'", "'M8[s]'", "'?'", "[('a', '<i2')]", "'V2147483647'"]


def _spoil_array(array: bytes, rng: Random) -> bytes:
    size = struct.unpack("<H", array[8:10])[0]
    shape, kind = rng.choice(SHAPES), rng.choice(DESCRIPTIONS)
    text = array[10 : 10 + size].decode()
    if rng.random() < 0.6:
        text = text[: text.index("(")] + shape + text[text.rindex(")") + 1 :]
    else:
        text = f"{{'descr': {kind}, 'fortran_order': {rng.choice(['True', 'False', '1'])}, 'shape': {shape}, }}\n"
    return array[:8] + struct.pack("<H", len(text)) + text.encode() + array[10 + size :]
