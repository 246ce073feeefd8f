"""ECMAScript's regular expressions match what they match in JavaScript."""

import json
from typing import Any

import pytest

from wrapper.services.json_schema.ecma_regex import translate
from wrapper.services.json_schema.tasks import check_answer, compile_schema


def fits(schema, answer):
    """Return why *answer* does not fit *schema*, or None if it does."""
    body = json.dumps(schema).encode()
    return check_answer(body + json.dumps(answer).encode(), len(body))


# Patterns and texts checked with Node 20, with the flag u if it accepts the pattern with it.
MATCHES = [
    ("\\d", "3"),
    ("^\\W$", "\xe4"),
    ("\\D", "\u0663"),
    ("^\\s$", "\ufeff"),
    ("^\\s$", "\xa0"),
    ("^\\s$", "\u2028"),
    ("^\\S$", "\x85"),
    ("^.$", "\x85"),
    ("^.$", "\U0001f600"),
    ("a\\/b", "a/b"),
    ("[\\/]", "/"),
    ("\\cA", "\x01"),
    ("\\cj", "\n"),
    ("^[\\cA]$", "\x01"),
    ("(?<y>\\d{4})-\\k<y>", "2020-2020"),
    ("(?<y>a)(?<z>b)", "ab"),
    ("(a)\\1", "aa"),
    ("\\p{L}", "\xe4"),
    ("\\p{Letter}", "\xe4"),
    ("\\p{Lu}", "\xc4"),
    ("\\p{Script=Greek}", "\u03b1"),
    ("\\p{sc=Greek}", "\u03b1"),
    ("\\p{scx=Greek}", "\u03b1"),
    ("\\p{Script_Extensions=Greek}", "\u03b1"),
    ("\\P{L}", "1"),
    ("\\p{ASCII}", "a"),
    ("\\p{Any}", "a"),
    ("\\p{Emoji}", "\U0001f600"),
    ("\\p{Emoji_Presentation}", "\U0001f600"),
    ("\\p{Extended_Pictographic}", "\U0001f600"),
    ("\\p{gc=Lu}", "A"),
    ("\\p{General_Category=Uppercase_Letter}", "A"),
    ("^\\p{Alphabetic}+$", "\xe4b"),
    ("\\p{ID_Start}", "a"),
    ("\\p{White_Space}", " "),
    ("(?<=a)b", "ab"),
    ("(?<=a+)b", "aab"),
    ("(?<=a|bc)d", "bcd"),
    ("(?=a)a", "a"),
    ("(?!a)b", "b"),
    ("\\u0041", "A"),
    ("\\u{1F600}", "\U0001f600"),
    ("^\\u{1F600}$", "\U0001f600"),
    ("\\uD83D\\uDE00", "\U0001f600"),
    ("\\x41", "A"),
    ("[^]", "\n"),
    ("^[\\b]$", "\x08"),
    ("\\bfoo\\b", "a foo b"),
    ("\\B\xe4", "\xe4"),
    ("[[]", "["),
    ("[[a]", "["),
    ("[a[b]", "["),
    ("[[a]]", "a]"),
    ("^[a&&b]$", "a"),
    ("^[a&&b]$", "&"),
    ("^[+--]$", ","),
    ("^[a~~b]$", "~"),
    ("^[a||b]$", "|"),
    ("[[:alpha:]]", ":]"),
    ("a{,3}", "a{,3}"),
    ("^a{2,3}$", "aa"),
    ("^a{2,}$", "aaa"),
    ("a{", "a{"),
    ("{a}", "{a}"),
    ("]", "]"),
    ("}", "}"),
    ("\\-", "-"),
    ("[\\-]", "-"),
    ("[a\\-z]", "-"),
    ("\\_", "_"),
    ("\\@", "@"),
    ("\\a", "a"),
    ("\\e", "e"),
    ("\\A", "A"),
    ("\\z", "z"),
    ("\\Z", "Z"),
    ("\\h", "h"),
    ("\\G", "G"),
    ("\\K", "K"),
    ("\\R", "R"),
    ("\\X", "X"),
    ("\\0", "\x00"),
    ("\\n", "\n"),
    ("\\t\\r\\f\\v", "\t\r\x0c\x0b"),
    ("[\\w-]", "-"),
    ("[\\w-.]", "-"),
    ("^[\\w.-]+@[\\w.-]+$", "a.b@c-d"),
    ("[\\d-x]", "-"),
    ("[\\s\\S]", "\n"),
    ("[\\D]", "a"),
    ("^[^\\d]$", "\u0663"),
    ("^[^\\w]$", "\xe4"),
    ("\\$", "$"),
    ("\\^a", "^a"),
    ("\\.", "."),
    ("a|b", "b"),
    ("", "x"),
    ("^$", ""),
    ("(a)?\\1b", "b"),
    ("\\1(a)", "a"),
    ("(?:a)", "a"),
    ("^(?:(a)|b)*$", "ab"),
    ("^[A-Z]{2}\\d{6}$", "AB123456"),
    ("^\\+?[1-9]\\d{1,14}$", "+491701234567"),
    ("#", "#"),
    (" a", " a"),
    ("a#b", "a#b"),
    ("\\#", "#"),
    ("\\ ", " "),
    ("\\'", "'"),
    ('\\"', '"'),
    ("\\:", ":"),
    ("\\=", "="),
    ("\\,", ","),
    ("\\&", "&"),
    ("\\%", "%"),
    ("\\!", "!"),
    ("\\~", "~"),
    ("\\`", "`"),
    ("\\<", "<"),
    ("\\>", ">"),
    ("\\;", ";"),
    ("\\\xe9", "\xe9"),
    ("[\\p{L}\\d]", "\xe4"),
    ("[^\\p{L}]", "1"),
    ("^[\\u4e00-\\u9fa5]+$", "\u4e2d\u6587"),
    ("[\\x00-\\x1f]", "\x01"),
    ("(?<$x>a)", "a"),
    ("\\p", "p"),
    ("\\d+(?=%)", "10%"),
    ("^(?:[01]\\d|2[0-3]):[0-5]\\d$", "23:59"),
    ("[\U0001f600]", "\U0001f600"),
    ("^[^x]$", "\U0001f600"),
    ("\\u", "u"),
    ("\\u00", "u00"),
    ("\\x4", "x4"),
    ("^[a-z]+-?[a-z]+$", "ab"),
    ("^[a-z]+-?[a-z]+$", "a-b"),
    ("^a+b{0,2}a+$", "abba"),
    ("^(a)(?:a+b?a+)\\1$", "aaaa"),
]
MISSES = [
    ("\\d", "\u0663"),
    ("^\\w$", "\xe4"),
    ("^\\s$", "\x85"),
    ("^\\s$", "\u180e"),
    ("^\\s$", "\x1c"),
    ("a$", "a\n"),
    ("^a$", "b\na"),
    ("^.$", "\r"),
    ("^.$", "\u2028"),
    ("^.$", "\n"),
    ("^..$", "\U0001f600"),
    ("(?<!a)b", "ab"),
    ("^(?!.*foo)", "xfoo"),
    ("[]", "a"),
    ("\\b\xe4", "\xe4"),
    ("\xe4\\b", "\xe4"),
    ("[[a]]", "a"),
    ("[[:alpha:]]", "a"),
    ("[a\\-z]", "b"),
    ("\\Qa.b\\E", "a.b"),
    ("^\\S+$", "a b"),
    ("^[a-z]+-?[a-z]+$", "a"),
    ("^[0-9]+\\.?[0-9]+$", "7"),
    ("\\w+-?\\w+", "1"),
    ("^a+b*a+$", "a"),
    ("^a+b??a+$", "a"),
    ("^a+b{0,2}a+$", "a"),
    ("^a+(?:b?)+a+$", "a"),
    ("^a+(b)?a+$", "a"),
    ("^(a)(?:a+b?a+)\\1$", "aaa"),
]


@pytest.mark.parametrize(("pattern", "text"), MATCHES)
def test_matches(pattern, text):
    """A pattern matches a text that it matches in JavaScript."""
    assert fits({"pattern": pattern}, text) is None


@pytest.mark.parametrize(("pattern", "text"), MISSES)
def test_misses(pattern, text):
    """A pattern does not match a text that it does not match in JavaScript."""
    assert fits({"pattern": pattern}, text) == f"it does not match the pattern {pattern!r}"


@pytest.mark.parametrize(
    "pattern",
    [
        "^[a--b]$",
        "(?i)a",
        "(?s).",
        "(?m)^b",
        "(?x) a",
        "(?P<n>a)",
        "(?>a)",
        "a++",
        "a*+",
        "(?#c)a",
        "(?(1)a)",
        "[z-a]",
        "a**",
        "(",
        "a)",
        "[a",
        "*a",
        "\\",
        "(?<a>.)\\k<b>",
        "\\u{110000}",
        "a\\",
        "[a\\",
    ],
)
def test_no_patterns(pattern):
    """A pattern that JavaScript refuses, although other languages may accept it, is refused."""
    with pytest.raises(ValueError, match="pattern"):
        translate(pattern)
    reason = compile_schema(json.dumps({"properties": {"a": {"pattern": pattern}}}).encode())
    assert "pattern" in (reason or "")


def test_patterns_of_properties():
    """patternProperties are translated too, and two patterns may have the same translation."""
    schema = {
        "patternProperties": {r"^\d$": {"type": "integer"}, "^[0-9]$": {"minimum": 5}},
        "additionalProperties": False,
    }
    assert fits(schema, {"7": 7}) is None
    assert "minimum" in (fits(schema, {"3": 3}) or "")
    assert "integer" in (fits(schema, {"7": "x"}) or "")
    assert fits(schema, {"\u0663": 7})


def test_data_is_no_pattern():
    """Properties and data with the name pattern are not translated."""
    schema = {
        "properties": {"pattern": {"const": {"pattern": "("}}, "a": {"enum": [{"pattern": "\\d"}]}},
        "required": ["pattern"],
        "examples": [{"pattern": "("}],
    }
    assert fits(schema, {"pattern": {"pattern": "("}, "a": {"pattern": "\\d"}}) is None
    assert fits(schema, {"pattern": {"pattern": "x"}})


def test_unknown_keywords():
    """An unknown keyword may hold any data; references may lead to schemas in it."""
    schema: dict[str, Any] = {
        "x-ui": {"pattern": "("},
        "x-own": {"a": {"pattern": "^\\d$"}, "b": {"pattern": "(?i)b"}},
    }
    assert compile_schema(json.dumps(schema).encode()) is None
    for name, text in (("a", "\u0663"), ("b", "c")):
        pattern = schema["x-own"][name]["pattern"]
        reason = fits({"$ref": f"#/x-own/{name}", **schema}, text)
        assert reason == f"it does not match the pattern {pattern!r}"


def test_steps():
    """A pattern that takes too many steps is an error, since the result is unknown."""
    schema = {"pattern": r"^(?=(a+)+$)(?:a|aa)+b$|^(a+)+\2c$"}
    with pytest.raises(RecursionError):
        fits(schema, "a" * 5000)
