#!/usr/bin/env python3.11
"""Writes tests/data/python_json.json: what Python's json, int, float and repr make of awkward input.

    scripts/python_json.py [--random N] [--out FILE]

The Rust tests of `mapping::python` compare themselves with this table. Run it with Python 3.11.
Nesting depth is not in the table: Python's limit depends on the frames of the caller.
"""
import argparse
import json
import random
import struct
import sys

BLANKS = [" ", "\t", "\n", "\r"]
TEXTS = """
null|true|false|NaN|Infinity|-Infinity|nan|-NaN|+Infinity|-Infinit|Nul|tru|falsey|nullnull
0|-0|00|01|-01|1|-1|--1|+1|-|1.|1.e5|.5|-.5|1.0|-0.0|0.0|0e0|0e5|0.0e-5|1e|1e+|1e+5|1E5|1E+05|1e-5|1e05|1e5.5|1_0|0x10|1L
1e400|-1e400|1e-400|-1e-400|1e308|1.7976931348623157e308|1.7976931348623159e308|5e-324|2e-324|3e-324|1e16|1e15|123456789012345678
9223372036854775807|9223372036854775808|-9223372036854775808|-9223372036854775809|123456789012345678901234567890|-123456789012345678901234567890
0.1|0.30000000000000004|1e22|1e23|100000000000000000000000.0|9007199254740993.0|4.35|2.675|1e-4|1e-5|0.0001|0.00001|123456789.123456789
""|"a"|"|"a|a"|'a'|"a""b"|"\\""|"\\\\"|"\\/"|"/"|"\\b\\f\\n\\r\\t"|"\\a"|"\\v"|"\\0"|"\\x41"|"\\U0041"|"\\
"\\u0041"|"\\u00e9"|"\\u00E9"|"\\u20ac"|"\\u004"|"\\u004g"|"\\u"|"\\u 041"|"\\u+041"|"\\u0x41"|"\\u0000"|"\\u001f"|"\\u007f"|"\\u2028"|"\\uffff"
"\\ud83d\\ude00"|"\\uD83D\\uDE00"|"\\ud83d"|"\\ude00"|"\\ude00\\ud83d"|"\\ud83d\\ud83d\\ude00"|"\\ud83dx"|"\\ud83d\\n"|"\\ud83d\\u0041"|"\\ud83d\\u"|"\\ud83d\\ude0"|"\\ud83d\\u00zz"|"\\ud83d\\"|"\\ud83d\\ude00\\ude00"|"\\udbff\\udfff"|"\\ud800\\udc00"
{"\\ud83d": 1}|{"a": "\\udc00"}|["\\ud800", "ok"]
[]|{}|[ ]|{ }|[1]|[1,2]|[1 , 2]|[1,]|[,1]|[1 2]|[,]|[|]|[1|[[]|[]]|[[],[]]|[[[]]]|{]|[}
{"a":1}|{"a" : 1}|{"a":1,}|{,}|{"a"}|{"a":}|{"a" 1}|{a:1}|{'a':1}|{1:1}|{"a":1 "b":2}|{"a":1,"b":2}|{"b":1,"a":2,"b":3}|{"":0}|{"a":{"a":{}}}|{"a":[{"b":[]}]}|{null:1}
{"a":1}x|{"a":1} {"a":1}|1 2|1,2|null,|"a" "b"|[1]]|{"a":1}}
[NaN,Infinity,-Infinity]|[nan]|[null,true,false]|[1.0,1,1e2,-0,-0.0]|[1e400]
{"role": "user", "content": "What is 2+2?"}|[{"role": "system", "content": "Be \\"brief\\"."}]|{"messages":[{"role":"user","content":[{"type":"text","text":"h\\u00e9"}]}],"temperature":0.10}
/* c */ 1|// c|# c|1 // c|undefined|None|True|False
"""
RAW = ["", " ", "\n", " 1 ", "\t[\n1\r,\t2 ] ", "\ufeff1", "1\ufeff", "\u00a01", "1\u00a0", "\u20281", "\x0b1", "\x0c1", "1\x0b", "\x001", "1\x00", '"\x00"', '"\x1f"', '"\n"',
       '"\t"', '"a\rb"', '"\x7f"', '"\u0080"', '"é€😀"', '"\u2028\u2029"', '"\ufeff"', '"\ufffe\uffff"', "é", "١", '["é", 1]', '{"é": "😀"}', '"' + "x" * 31 + '"', '"' + "x" * 32 + '"',
       '"' + "x" * 33 + "\\n" + "y" * 64 + '"', '"' + "é" * 16 + '\\"' + "é" * 17 + '"', '"' + "x" * 40 + "\x01" + '"', '"' + "x" * 63, '"' + "x" * 32 + "\\", '{"' + "k" * 40 + '": 1}',
       '" "', '"null"', '"[]"', '"{\\"a\\":1}"', '"\\"a\\""', '[""]', "[0]", "[null]", '{"a":null}', "[[]]", " [ ] ", " { } ", "[]\n", "[\u00a0]", '{"a":\u00a01}', "1e5\n", "-\n1", "1 e5"]
LONG = [[["1", 4300]], [["1", 4301]], [["-", 1], ["1", 4300]], [["-", 1], ["1", 4301]], [["1", 4301], [".0", 1]], [["1", 4301], ["e1", 1]], [["1", 4301], [".", 1]], [["1", 4301], ["e", 1]],
        [["1", 4301], ["x", 1]], [["[", 1], ["1", 4301], [",", 1]], [["[x,", 1], ["1", 4301]], [['{"a": ', 1], ["9", 4301], ["}", 1]], [['"', 1], ["1", 5000], ['"', 1]], [["0", 5000]], [["0.", 1], ["1", 5000]],
        [["1", 400], [".5", 1]], [["[", 900], ["]", 900]], [['{"a":', 900], ["0", 1], ["}", 900]], [["[", 900], ["]", 899]], [["[", 900], ["]", 901]]]
INTS = ["", " ", "0", "-0", "+0", "5", "-5", "+5", "--5", "+-5", "- 5", "+ 5", " 5 ", "\t\n\v\f\r 5", "5\n", "\x1c5", "\x1c5\u0660", "\x1d5", "\u00855", "\u00a05\u00a0", "\u16805", "\u20035\u2003", "\u200b5", "\ufeff5", "\u30005", "1_000", "1__0", "_1",
        "1_", "0_0", "-_1", "1_0_0", "1 0", "00012", "-00012", "0x10", "0o7", "0b1", "1.0", "1e5", "26.0", "5\x00", "\x005", "٣", "١٢٣", "-١", "５", "1\u0660", "1_\u0660", "١.٥", "\U0001d7d8", "\U0001d7ff", "\U0001fbf9", "²", "½", "Ⅷ", "一", "५", "9223372036854775807", "9223372036854775808",
        "-9223372036854775808", "-9223372036854775809", "123456789012345678901234567890", "1_234_567_890_123_456_789_012", "true", "None", "nan", "\x7f5", "é", "5é", "\u0a666", "\u0665\u06f5", "\U0001e2f9"]
LONG_INTS = [[["1", 4300]], [["1", 4301]], [["0", 4300]], [["0", 4301]], [["-", 1], ["1", 4300]], [["1_", 4299], ["1", 1]], [["1_", 4300], ["1", 1]], [[" ", 5000], ["7", 1]], [["\u0661", 4300]], [["\u0661", 4301]]]
FLOATS = ["", " ", "1", "1.", ".5", ".", "-.5", "+.5", "++5", "1.5", "1.e5", "e5", "1e5", "1e+5", "1E-5", "1e", "1e+", "1e5.5", "1_0.5", "1_.5", "._5", "1e1_0", "1e_1", "1__0", "_1", "1_", "1_000_000", "nan", "-NaN", "+nan", "NAN", "inf", "INF", "-inf", "infinity",
          "+Infinity", "infinit", "nan(1)", "in_f", "inf_", "0x1p3", "0x10", " 1.5\n", "\x1c5", "\u00855", "\u30005.5\u3000", "\u0661.5", "١e٢", "5 5", "5\x00", "1e400", "-1e400", "1e-400", "5e-324", "1f", "1d", "1,5", "é", "true", "0.1", "123456789012345678901234567890", "-0", "-0.0"]
BYTES = [b"", b"a", b"\x00\xffa", b"'", b'"', b"'\"", b"\\", b"\t\n\r", b"\x0b\x0c\x1b\x7f\x80", b"it's", b'say "hi"', b"it's \"x\"", bytes(range(256)), "é😀".encode()]
FLOAT_EDGES = ["0.0", "-0.0", "1.0", "1e-05", "0.0001", "9999999999999998.0", "1e16", "1e15", "123456789012345680.0", "5e-324", "2.2250738585072014e-308", "2.225073858507201e-308", "1.7976931348623157e308", "0.1", "0.30000000000000004", "1e22", "1e23", "9007199254740993.0", "4.611686018427388e18",
               "9.223372036854775e18", "9.223372036854776e18", "-9.223372036854776e18", "1.5e300", "1e-7", "0.001", "100.0", "26.0", "26.5", "1e100", "1.0000000000000002", "4503599627370497.5", "inf", "-inf", "nan", "8.41e21", "2e-5", "9.5e-5", "12345.678e-9", "-1733726746110473.25", "1733726746110473.75", "2251799813685248.25", "2251799813685249.75", "9007199254740994.0"]


def expand(parts):
    return "".join(text * count for text, count in parts)


def verdict(text):
    try:
        value = json.loads(text)
    except json.JSONDecodeError:
        return {"error": "invalid"}
    except ValueError:
        return {"error": "digits"}
    plain = json.dumps(value, ensure_ascii=False)
    try:
        plain.encode()
    except UnicodeEncodeError:
        plain = None
    return {"type": type(value).__name__, "truthy": bool(value), "dumps": plain, "adumps": json.dumps(value)}


def short(row):
    """Leaves out results that only repeat a long input."""
    return row if len(row.get("adumps", "")) < 2000 else {key: row[key] for key in ("type", "truthy")}


def attempt(function, text):
    try:
        return function(text)
    except ValueError:
        return None


def column(value):
    """MLflow's rule for a token column."""
    from decimal import Decimal

    number = Decimal(str(value))
    fits = number.is_finite() and number == number.to_integral_value() and -(2**63) <= number < 2**63
    return int(number) if fits else None


def bits(value):
    return struct.pack(">d", value).hex()


def random_text(rng):
    """JSON of random shape, often broken in one place."""
    def value(depth):
        kind = rng.randrange(10 if depth < 4 else 7)
        if kind < 3:
            return rng.choice(["null", "true", "false", "NaN", "0", "-0", "1", "-1.5e3", "1E400", "12345678901234567890", "0.10", "-Infinity", "Infinity", "1e-7"])
        if kind < 7:
            return string()
        blank = lambda: "".join(rng.choices(BLANKS, k=rng.choice([0, 0, 0, 1, 2])))  # noqa: E731
        elements = [blank() + (string() + blank() + ":" + blank() if kind == 9 else "") + value(depth + 1) + blank() for _ in range(rng.randrange(4))]
        return ("{%s}" if kind == 9 else "[%s]") % (",".join(elements) or blank())

    def string():
        pieces = ["a", "key", "é", "😀", "\\n", '\\"', "\\\\", "\\u0041", "\\ud83d", "\\ude00", "\\u00e9", " ", "\x7f", "x" * 30, "/", "{", "]"]
        return '"' + "".join(rng.choices(pieces, k=rng.randrange(5))) + '"'

    text = value(0)
    if text and rng.random() < 0.5:
        at = rng.randrange(len(text))
        text = text[:at] + rng.choice(["", "", '"', "\\", ",", "]", "}", "[", "{", ":", "\x01", "0", "e", ".", "-", "\u00a0", "u"]) + text[at + rng.randrange(2):]
    return text


def random_floats(rng, count):
    for number in range(count):
        yield struct.unpack(">d", rng.randbytes(8))[0] if number % 2 else rng.choice([rng.random(), rng.randrange(10**9) / 10**6, float(rng.randrange(2**64)), rng.randrange(1, 10**4) * 10.0 ** rng.randrange(-30, 30)])


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("--random", type=int, default=300)
    arguments.add_argument("--out", default="tests/data/python_json.json")
    options = arguments.parse_args()
    if sys.version_info[:2] != (3, 11):
        sys.exit("python_json.py describes Python 3.11; run it with that version")
    rng = random.Random(20261120)
    texts = [text for line in TEXTS.strip().splitlines() for text in line.split("|")] + RAW + [random_text(rng) for _ in range(options.random)]
    floats = [float(text) for text in FLOAT_EDGES] + list(random_floats(rng, options.random))
    rows = {
        "loads": [[[[text, 1]], short(verdict(text))] for text in texts] + [[parts, short(verdict(expand(parts)))] for parts in LONG],
        "int": [[[[text, 1]], attempt(lambda text: str(int(text)), text)] for text in INTS] + [[parts, attempt(lambda text: len(str(abs(int(text)))), expand(parts))] for parts in LONG_INTS],
        "float": [[text, attempt(lambda text: repr(float(text)), text)] for text in FLOATS],
        "repr_float": [[bits(value), repr(value), column(value)] for value in floats],
        "bytes": [[value.hex(), repr(value), json.dumps(value, ensure_ascii=False, default=str)] for value in BYTES],
    }
    with open(options.out, "w", encoding="utf-8") as out:
        out.write("{\n")
        out.write(f' "python": {json.dumps(".".join(map(str, sys.version_info[:3])))}')
        for name, entries in rows.items():
            out.write(f',\n "{name}": [\n  ' + ",\n  ".join(json.dumps(entry) for entry in entries) + "\n ]")
        out.write("\n}\n")


if __name__ == "__main__":
    main()
