"""Policies: the text's example, every refusal named, and quorums against a naive count."""

from __future__ import annotations

from itertools import combinations

import pytest
from cryptography.hazmat.primitives.asymmetric import mldsa
from hypothesis import given
from hypothesis import strategies as st

from tests.unit.log.trees import ed25519_key, examples
from tracechain.domain.errors import InvalidArgument
from tracechain.domain.log.checkpoint import Checkpoint
from tracechain.domain.log.cosignature import Cosigner, verifier
from tracechain.domain.log.note import Note, NoteSigner, Signature, VerifierKey
from tracechain.domain.log.policy import MAX_DEFINITIONS, MAX_POLICY_BYTES, Group, Policy

LOG = NoteSigner("log.example", ed25519_key(100))
WITNESSES = [Cosigner(f"w{i}.example", ed25519_key(i)) for i in range(6)]
MODERN = Cosigner("m.example", mldsa.MLDSA44PrivateKey.from_seed_bytes(bytes(32)))
CHECKPOINT = Checkpoint("log.example", 7, bytes(32))
TIME = 1_790_000_000


def the_example() -> Policy:
    """The policy of the text, with keys in the place of its `<vkey>`."""
    text = next(text for text in examples("tlog-policy") if text.startswith("log <vkey>\n\nwitn"))
    for key in (LOG.key, *(witness.key for witness in WITNESSES)):
        text = text.replace("<vkey>", str(key), 1)
    return Policy.parse(text.encode())


def signed(*signatures: Signature, by: NoteSigner | None = LOG) -> Note:
    own = (by.sign(CHECKPOINT.text),) if by else ()
    return Note(CHECKPOINT.text, (*own, *signatures))


def test_the_example_of_the_text() -> None:
    policy = the_example()
    assert policy.quorum == "X-and-Y"
    assert [group.name for group in policy.groups] == ["X-witnesses", "Y-witnesses", "X-and-Y"]
    assert policy.groups[2] == Group("X-and-Y", 2, ("X-witnesses", "Y-witnesses"))
    assert [log.key for log in policy.logs] == [LOG.key]
    names = ["X1", "X2", "X3", "Y1", "Y2", "Y3"]
    assert [witness.name for witness in policy.witnesses] == names
    for count in range(7):
        for some in combinations(range(6), count):
            enough = sum(i < 3 for i in some) >= 2 and any(i >= 3 for i in some)
            assert policy.satisfied([names[i] for i in some]) is enough
            note = signed(*(WITNESSES[i].sign(CHECKPOINT, TIME + i) for i in some))
            if enough:
                accepted = policy.accept(note)
                assert accepted.checkpoint == CHECKPOINT
                assert accepted.witnessed == {names[i]: TIME + i for i in some}
            else:
                with pytest.raises(InvalidArgument) as caught:
                    policy.accept(note)
                assert caught.value.reason == "QUORUM_NOT_MET"


VKEYS = [str(witness.key) for witness in WITNESSES]
W = "".join(f"witness w{i} {vkey}\n" for i, vkey in enumerate(VKEYS))
L = f"log {LOG.key} https://log.example/\n"
NONE = Policy.parse(f"{L}quorum none\n".encode())
ONE = Policy.parse(f"{L}{W}quorum w1\n".encode())


def test_no_witnesses_wanted() -> None:
    assert NONE.logs[0].url == "https://log.example/"
    assert NONE.accept(signed()).witnessed == {}
    assert NONE.accept(signed(WITNESSES[0].sign(CHECKPOINT, TIME))).witnessed == {}


def test_who_has_to_sign() -> None:
    good = WITNESSES[1].sign(CHECKPOINT, TIME)
    assert ONE.accept(signed(good)).witnessed == {"w1": TIME}
    # Of a witness that signed twice the first time counts.
    assert ONE.accept(signed(good, WITNESSES[1].sign(CHECKPOINT, TIME + 1))).witnessed == (
        {"w1": TIME}
    )
    other = Checkpoint("log.example", 8, bytes(32))
    namesake = NoteSigner(LOG.name, ed25519_key(50))
    for note, reason in (
        (signed(), "QUORUM_NOT_MET"),
        (signed(WITNESSES[2].sign(CHECKPOINT, TIME)), "QUORUM_NOT_MET"),
        (signed(good, by=None), "NOT_SIGNED"),
        (signed(good, by=namesake), "NOT_SIGNED"),
        (signed(WITNESSES[1].sign(other, TIME)), "FALSE_SIGNATURE"),
        # One that is not needed is false: the note is rejected all the same.
        (signed(good, WITNESSES[2].sign(other, TIME)), "FALSE_SIGNATURE"),
        (signed(good, WITNESSES[1].sign(other, TIME)), "FALSE_SIGNATURE"),
        (Note("no checkpoint\n", (LOG.sign("no checkpoint\n"), good)), "MALFORMED_CHECKPOINT"),
    ):
        with pytest.raises(InvalidArgument) as caught:
            ONE.accept(note)
        assert caught.value.reason == reason
    # A log's signature does not count for a witness, nor a witness's for a log.
    own = Cosigner(LOG.name, LOG.private_key)
    policy = Policy.parse(f"{L}witness own {own.key}\nquorum own\n".encode())
    with pytest.raises(InvalidArgument, match="0 of 1 witnesses"):
        policy.accept(signed())
    assert policy.accept(signed(own.sign(CHECKPOINT, TIME))).witnessed == {"own": TIME}


def test_a_log_that_is_known_from_elsewhere() -> None:
    policy = Policy.parse(b"quorum none\n")
    with pytest.raises(InvalidArgument) as caught:
        policy.accept(signed())
    assert caught.value.reason == "NOT_SIGNED"
    assert policy.accept(signed(), [verifier(LOG.key)]).checkpoint == CHECKPOINT


def test_witnesses_by_ml_dsa() -> None:
    policy = Policy.parse(f"{L}witness m {MODERN.key} https://m.example/\nquorum m\n".encode())
    assert policy.witnesses[0].url == "https://m.example/"
    assert policy.accept(signed(MODERN.sign(CHECKPOINT, TIME))).witnessed == {"m": TIME}


def test_spelling_that_is_free() -> None:
    text = (
        f"# a comment\n\n \t \n  \t# another \xff\n\tlog\t{LOG.key}\t\n"
        f"witness   w0 \t {VKEYS[0]}  \nwitness \xe4 {VKEYS[1]}\nwitness any {VKEYS[2]}\n"
        "group all 1 any\ngroup g all w0 \xe4\nquorum g\n#\n"
    )
    policy = Policy.parse(text.encode("latin-1"))
    assert [witness.name for witness in policy.witnesses] == ["w0", "\udce4", "any"]
    assert policy.groups[1] == Group("g", 2, ("w0", "\udce4"))
    assert policy.satisfied(["w0", "\udce4"])
    # What only looks alike is another name: K, and the sign for Kelvin (section Character set).
    looks = f"witness K {VKEYS[0]}\nwitness \u212a {VKEYS[1]}\nquorum K\n"
    assert Policy.parse(looks.encode()).satisfied(["K"])
    assert not Policy.parse(looks.encode()).satisfied(["\u212a"])


def test_lines_after_the_quorum_count_too() -> None:
    assert len(Policy.parse(f"quorum none\n{W}{L}".encode()).witnesses) == 6


GROUP = f"{W}group g 2 w0 w1 w2\n"


@pytest.mark.parametrize(
    "text",
    [
        "", "\n", "# quorum none\n", L, W, "quorum\n", "quorum none", f"{W}quorum w0",
        "quorum none none\n", "quorum nobody\n", "quorum none\nquorum none\n", "Quorum none\n",
        f"quorum w0\n{W}", f"quorum g\n{GROUP}", "quorum none\r\n", "quorum none\n\r\n",
        "quorum none\n\0\n", "quorum none\n# \x7f\n", "quorum\x0bnone\n", "quorum\u00a0none\n",
        f"{L}{L}quorum none\n", f"log\nquorum none\n{L}", f"log {LOG.key} a b\nquorum none\n",
        f"log x{LOG.key}\nquorum none\n", "log https://log.example/\nquorum none\n",
        f"witness w {LOG.key}\nquorum w\n", f"witness w\nquorum none\n{W}",
        f"witness {VKEYS[0]}\nquorum none\n", f"witness w {VKEYS[0]} a b\nquorum w\n",
        f"witness none {VKEYS[0]}\nquorum none\n", f"{W}witness w9 {VKEYS[0]}\nquorum w0\n",
        f"{W}witness w0 {MODERN.key}\nquorum w0\n", f"{GROUP}witness g {MODERN.key}\nquorum g\n",
        f"{W}group g 0 w0\nquorum g\n", f"{W}group g 3 w0 w1\nquorum g\n",
        f"{W}group g -1 w0\nquorum g\n", f"{W}group g 01 w0\nquorum g\n",
        f"{W}group g +1 w0\nquorum g\n", f"{W}group g 1.0 w0\nquorum g\n",
        f"{W}group g \u0661 w0\nquorum g\n", f"{W}group g {'9' * 5000} w0\nquorum g\n",
        f"{W}group g some w0\nquorum g\n", f"{W}group g ALL w0\nquorum g\n",
        f"{W}group g all\nquorum g\n", f"{W}group g\nquorum w0\n", f"{W}group g w0 w1\nquorum g\n",
        f"{W}group g any w0 w0\nquorum g\n", f"{W}group g any g\nquorum g\n",
        f"{W}group g any none\nquorum g\n", f"{W}group g any none w0\nquorum g\n",
        f"{W}group g any later\nquorum g\n", f"{W}group none any w0\nquorum none\n",
        f"{W}group w0 any w1\nquorum w0\n", f"{GROUP}group g any w3\nquorum g\n",
        f"{GROUP}group h any w0 w3\nquorum h\n", f"{GROUP}group h any g g\nquorum h\n",
        f"{GROUP}group h any g\ngroup i any g\nquorum h\n", f"{W}members g w0\nquorum none\n",
    ],
)  # fmt: skip
def test_no_policies(text: str) -> None:
    with pytest.raises(InvalidArgument) as caught:
        Policy.parse(text.encode())
    assert caught.value.reason == "MALFORMED_LOG_POLICY"
    assert caught.value.message.isprintable()


def test_no_key_stands_twice_under_two_types() -> None:
    """Section Public key representation: the key counts, not its name or id."""
    first = Cosigner("a.example", ed25519_key(1)).key
    again = Cosigner("b.example", ed25519_key(1)).key
    log = VerifierKey("log.example", first.type, LOG.key.public_key)
    for text in (
        f"witness a {first}\nwitness b {again}\nquorum a\n", f"{L}log {log}\nquorum none\n"
    ):  # fmt: skip
        with pytest.raises(InvalidArgument, match="has the key of a"):
            Policy.parse(text.encode())


def test_the_line_is_named() -> None:
    with pytest.raises(InvalidArgument) as caught:
        Policy.parse(f"# one\n{L}\nquorum nobody\n".encode())
    assert caught.value.violations[0].field == "line 4"


def test_limits() -> None:
    """Up to 32 logs, witnesses and groups at least (section Implementation limits)."""
    keys = [NoteSigner(f"l{i}", ed25519_key(i)).key for i in range(100)]
    witnesses = [Cosigner(f"w{i}", ed25519_key(i)).key for i in range(100)]
    lines = [f"log {key}" for key in keys]
    lines += [f"witness w{i} {key}" for i, key in enumerate(witnesses)]
    lines += [f"group g{i} any w{i}" for i in range(100)]
    lines.append(f"group all 100 {' '.join(f'g{i}' for i in range(100))}")
    policy = Policy.parse("\n".join([*lines, "quorum all", ""]).encode())
    names = [f"w{i}" for i in range(100)]
    assert policy.satisfied(names)
    assert not policy.satisfied(names[1:])
    groups = [f"group n{i} any {f'n{i - 1}' if i else 'w0'}" for i in range(MAX_DEFINITIONS - 6)]
    deep = f"{W}" + "\n".join([*groups, f"quorum n{len(groups) - 1}", ""])
    with pytest.raises(InvalidArgument, match="beyond 1000 definitions"):
        Policy.parse((deep + W).encode())
    end = b"\nquorum none\n"
    assert Policy.parse(b"#" * (MAX_POLICY_BYTES - len(end)) + end).quorum == "none"
    with pytest.raises(InvalidArgument, match="more than 1000000 bytes"):
        Policy.parse(b"#" * MAX_POLICY_BYTES + b"\n")


@given(st.data())
def test_nested_groups_are_counted_as_they_nest(data: st.DataObject) -> None:
    free, lines, rule = [f"w{i}" for i in range(6)], [W[:-1]], dict[str, tuple[int, list[str]]]()
    for number in range(data.draw(st.integers(1, 4))):
        members = data.draw(st.lists(st.sampled_from(free), min_size=1, max_size=4, unique=True))
        count = data.draw(st.integers(1, len(members)))
        rule[f"g{number}"] = (count, members)
        lines.append(f"group g{number} {count} {' '.join(members)}")
        free = [name for name in free if name not in members] + [f"g{number}"]
    quorum = data.draw(st.sampled_from(sorted(rule)))
    policy = Policy.parse("\n".join([*lines, f"quorum {quorum}", ""]).encode())
    present = data.draw(st.sets(st.sampled_from([f"w{i}" for i in range(6)])))

    def witnessed(name: str) -> bool:
        if name not in rule:
            return name in present
        count, members = rule[name]
        return sum(map(witnessed, members)) >= count

    assert policy.satisfied(sorted(present)) is witnessed(quorum)
    # A group's name among the witnesses that signed counts for nothing.
    assert policy.satisfied([*present, *rule]) is witnessed(quorum)
