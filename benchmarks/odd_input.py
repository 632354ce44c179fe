"""What people and programs might send that no form of ours ever would: fields, values, queries, bodies, addresses.

Hypothesis draws from these, in the tests of forms and in `benchmarks/fuzz.py`.
"""

import re

from hypothesis import strategies as st

# What only the inside would say: tracebacks, files, classes, statements.
INTERNAL = re.compile(
    r"Traceback|site-packages|\.py[\"\':, ]|/lib/python|sqlalchemy|sqlite3|werkzeug|jinja2|<class '|object at 0x"
    r"|\bSELECT\b|\bINSERT INTO\b|OperationalError|IntegrityError|(?:Key|Type|Value|Attribute|Unicode\w+)Error"
)
FIELDS = st.sampled_from(
    [
        "label_set",
        "photos",
        "camera",
        "consent",
        "name",
        "password",
        "next",
        "language",
        "first_look",
        "id",
        "note",
        "action",
        "role",
        "version",
        "verdict",
        "reviewed_class",
        "label",
        "comment",
        "reason",
        "architecture",
        "epochs",
        "seed",
        "query",
        "title",
        "csrf_token",
        "",
        "a[b]",
        "\0",
        "__class__",
        "x" * 300,
    ]
)
VALUES = st.one_of(
    st.text(max_size=40),
    st.sampled_from(
        [
            "",
            "0",
            "-1",
            "1e309",
            "nan",
            "9" * 40,
            str(2**63),
            "true",
            "y",
            "null",
            "[]",
            "{}",
            "\0",
            "a\0b",
            "\ud800",
            "\udfff" * 3,
            "\u202egnp",
            "../../etc/passwd",
            "'; DROP TABLE screenings; --",
            "{{7*7}}",
            "%s%n",
            "<script>",
            "2026-13-45",
            "A" * 100_000,
            "\r\nSet-Cookie: a=b",
            "ham10000",
            "nv",
            "admin",
            "1",
            "de",
        ]
    ),
)
QUERIES = st.lists(
    st.tuples(
        st.sampled_from(
            [
                "page",
                "sort",
                "status",
                "from",
                "to",
                "after",
                "before",
                "q",
                "label_set",
                "class",
                "next",
                "size",
                "model",
                "token",
                "limit",
                "cursor",
                "risk",
                "format",
                "x",
            ]
        ),
        VALUES,
    ),
    max_size=4,
)
IDS = st.one_of(
    st.integers(0, 3),
    st.sampled_from([2**31, 2**63 - 1, 10**30]),
    st.sampled_from(["nv", "ham10000", "a" * 500, "..", "%00", "\0", "\ud83d", "ä", "a b", "1.csv", "null", "@", "-"]),
)
TYPES = st.sampled_from(
    [
        "application/x-www-form-urlencoded",
        "multipart/form-data; boundary=b",
        "multipart/form-data",
        "text/plain",
        "",
        "application/json",
        "multipart/form-data; boundary=" + "b" * 300,
        "application/x-www-form-urlencoded; charset=x",
        "application/json; charset=utf-99",
        "image/jpeg",
        "\xff",
        "multipart/mixed; boundary=b",
    ]
)
BODIES = st.one_of(
    st.binary(max_size=200),
    st.sampled_from(
        [
            b"--b\r\n",
            b"--b\r\nContent-Disposition: form-data\r\n\r\n\r\n--b--",
            b"--b--",
            b"a=1&a=2&=&&%",
            b"%ff=%ff",
            b'--b\r\nContent-Disposition: form-data; name="photos"; filename="a"\r\n\r\n\xff\xd8\xff\r\n--b--\r\n',
            b'--b\r\nContent-Disposition: form-data; name="\xff\xfe\0"; filename="\0"\r\n'
            b"Content-Type: \xff\r\n\r\n1\r\n--b--",
            b"--b\r\n" + b"X: y\r\n" * 2000 + b"\r\n--b--",
            b"{" * 5000,
            b'{"a":' * 900,
            b"[1e999]",
            b"a=" + b"1" * 200_000,
            b"&".join(b"f%d=1" % number for number in range(3000)),
            b'--b\r\nContent-Disposition: form-data; name="consent"\r\n\r\ny\r\n' * 100 + b"--b--",
        ]
    ),
)


def quoted(text: str) -> str:
    """Percent-encoded as UTF-8, surrogates too, which no decoder of UTF-8 lets through."""
    return "".join(f"%{byte:02x}" for byte in text.encode("utf-8", "surrogatepass"))
