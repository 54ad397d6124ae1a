# SPDX-License-Identifier: Apache-2.0
"""Statements of C functions are found with their lines, whatever the layout and the macros around them."""

from pathlib import Path

import pytest

from vnetkb.kb import csource

SOURCE = Path(__file__).parent / "source"


def statements(code: str, function: str = "f") -> list[tuple[str, int]]:
    return [(each.text, each.line) for each in csource.functions(code.encode())[function][0].statements]


@pytest.mark.parametrize(
    ("code", "normal"),
    [
        ("if (a  &&\n\t b)", "if(a&&b)"),
        ("int  a = b ;", "int a=b;"),
        ("f(a /* why */, b); // so", "f(a,b);"),
        ('p("a  /* b */", x);', 'p("a  /* b */",x);'),
        ("sizeof x", "sizeof x"),
        ("a - -b", "a--b"),
        ("return-1;", "return-1;"),
        ("f(a, \\\n  b);", "f(a,b);"),
        ("c = ' ';", "c=' ';"),
    ],
)
def test_only_what_matters_to_c_stays(code: str, normal: str) -> None:
    assert csource.normalise(code) == normal


def test_heads_and_statements_have_their_lines() -> None:
    code = (SOURCE / "statements.c").read_text(encoding="utf-8")
    assert statements(code) == [
        ("int i=0;", 4),
        ("if(a&&i)", 6),
        ("a++;", 8),
        ("goto out;", 9),
        ("if(i)", 10),
        ("return 1;", 11),
        ("while(a)", 12),
        ("a--;", 13),
        ("for(i=0;i<a;i++)", 14),
        ("g(i);", 15),
        ("switch(a)", 16),
        ("case ONE:", 17),
        ("break;", 18),
        ("default:", 19),
        ("continue;", 20),
        ("h();", 23),
        ("return a;", 26),
    ]


def test_both_branches_of_an_ifdef_are_read() -> None:
    code = "int f(void)\n{\n#ifdef A\n\tg();\n#else\n\th();\n#endif\n\treturn 0;\n}\n"
    assert [text for text, _ in statements(code)] == ["g();", "h();", "return 0;"]


def test_one_name_may_be_defined_twice() -> None:
    code = "#ifdef A\nint f(void)\n{\n\tg();\n}\n#else\nint f(void)\n{\n\th();\n}\n#endif\n"
    found = csource.functions(code.encode())["f"]
    assert [(each.line, each.statements[0].text) for each in found] == [(3, "g();"), (8, "h();")]


@pytest.mark.parametrize(
    ("header", "name"),
    [
        ("static int f(int a)", "f"),
        ("static noinline __must_check struct x *\nf(int a,\n  int b)", "f"),
        ("BPF_CALL_2(f, int, a, int, b)", "f"),
        ("static __printf(1, 0) void f(char *a)", "f"),
        ("static __always_inline int __f2(void) __acquires(x)", "__f2"),
    ],
)
def test_a_function_is_known_by_its_name(header: str, name: str) -> None:
    assert list(csource.functions(f"{header}\n{{\n\tg();\n}}\n".encode())) == [name]


def test_what_is_no_c_for_a_parser_spoils_nothing_else() -> None:
    code = "static MACRO(a,\n\t#b {{\n)\n\nint f(void)\n{\n\tg();\n}\nBROKEN {\n"
    assert statements(code) == [("g();", 7)]


def test_initialisers_and_declarations_are_no_functions() -> None:
    code = "static struct ops o = {\n\t.f = f,\n};\nint g(int a);\nstruct s\n{\n\tint a;\n};\n"
    assert "f" not in csource.functions(code.encode())
    assert "g" not in csource.functions(code.encode())


def test_a_comment_is_no_code() -> None:
    found = csource.functions((SOURCE / "5.10.1/drivers/net/box.c").read_bytes())
    assert [each.line for each in found["box_xmit"][0].statements if "tx_dropped" in each.text] == [21]
