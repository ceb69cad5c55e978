"""`tracechain log` and `tracechain witness`: keys that are made, shown, and restored."""

from __future__ import annotations

from pathlib import Path

import pytest

from tests.support.command import Command
from tests.support.histories import MAIN
from tracechain.adapters.log_signer_folder import open_folder
from tracechain.domain.log.note import SignatureType, VerifierKey
from tracechain.domain.log.witness import checkpoint_path


def test_keys_of_a_log(run: Command, tmp_path: Path) -> None:
    folder = tmp_path / "signer"
    made = run("log", "init", "--dir", folder, "--origin", "log.example/1", "--json").json
    assert made["origin"] == "log.example/1"
    keys = [VerifierKey.parse(text) for text in made["vkeys"]]
    assert [key.type for key in keys] == [
        SignatureType.ED25519, SignatureType.COSIGNATURE_ML_DSA_44
    ]  # fmt: skip
    assert run("log", "key", "--dir", folder, "--json").json == made
    assert run("log", "key", "--dir", folder).out.splitlines() == made["vkeys"]
    again = run("log", "init", "--dir", folder, "--json")
    assert (again.status, again.error["reason"]) == (1, "LOG_KEY_EXISTS")
    # What settings name: the folder, the origin, the key-encryption key.
    named = {"data_dir": str(tmp_path / "data"), "resolver": "id.example"}
    assert run("log", "init", "--json", **named).json["origin"] == "id.example/log"
    assert (tmp_path / "data" / "log-signer" / "key").exists()
    missing = run("log", "key", "--json", data_dir=str(tmp_path / "none"))
    assert missing.error["reason"] == "LOG_KEY_MISSING"
    assert "tracechain log init" in missing.error["cure"]


def test_a_signer_s_state_is_restored_from_what_was_published(run: Command, tmp_path: Path) -> None:
    folder = tmp_path / "signer"
    run("log", "init", "--dir", folder, "--origin", "log.example/1")
    signing = open_folder(folder, None, lambda: 1_790_000_000_000_000)
    assert signing.sign(MAIN.to_sign(0, 50)).status == 200
    state = folder / checkpoint_path("log.example/1")
    kept = state.rename(tmp_path / "published")
    refused = run("log", "sign", "--dir", folder, "--listen", "127.0.0.1:0", "--json")
    assert refused.status == 1
    assert refused.error["reason"] == "LOG_STATE_LOST"
    assert "tracechain log adopt" in refused.error["message"]
    assert run("log", "adopt", kept, "--dir", folder, "--json").json == {
        "origin": "log.example/1", "size": 50
    }  # fmt: skip
    assert signing.sign(MAIN.to_sign(50, 60)).status == 200
    rolled = run("log", "adopt", kept, "--dir", folder, "--json")
    assert rolled.error["reason"] == "LOG_ROLLED_BACK"
    (tmp_path / "other").write_text("nothing\n")
    assert run("log", "adopt", tmp_path / "other", "--dir", folder, "--json").error["reason"] == (
        "MALFORMED_NOTE"
    )


def test_keys_of_a_witness_and_what_it_needs(run: Command, tmp_path: Path) -> None:
    key, state = tmp_path / "w" / "key", tmp_path / "w" / "state"
    where = ("--key-file", key, "--state", state)
    made = run("witness", "init", "w.example/1", *where, "--json").json
    keys = [VerifierKey.parse(text) for text in made["vkeys"]]
    assert [key.type for key in keys] == [
        SignatureType.COSIGNATURE_ED25519, SignatureType.COSIGNATURE_ML_DSA_44
    ]  # fmt: skip
    assert run("witness", "init", "w.example/1", *where, "--json").error["reason"] == (
        "LOG_KEY_EXISTS"
    )
    log = run("log", "init", "--dir", tmp_path / "s", "--json").json["vkeys"][0]
    (tmp_path / "policy").write_text(f"log {log}\nquorum none")
    for arguments, reason in (
        ((), "WITNESS_NEEDS"),
        (where, "WITNESS_NEEDS"),
        ((*where, "--log", "no key"), "INVALID_VERIFIER_KEY"),
        ((*where, "--policy", tmp_path / "policy"), "MALFORMED_LOG_POLICY"),
        (("--key-file", key, "--state", tmp_path / "no", "--log", log), "LOG_STATE_LOST"),
        (("--key-file", tmp_path / "no", "--state", state, "--log", log), "LOG_KEY_MISSING"),
        ((*where, "--log", log, "--listen", "0.0.0.0:0"), "PLAINTEXT_REFUSED"),
        # The log's keys are no witness's.
        (("--key-file", tmp_path / "s" / "key", "--state", state, "--log", log),
         "LOG_KEY_UNREADABLE"),
    ):  # fmt: skip
        ended = run("witness", *arguments, "--json")
        assert (ended.status, ended.error["reason"]) == (1, reason), arguments


@pytest.mark.parametrize("variable", ["log_policy", "log_signer"])
def test_a_service_refuses_what_it_cannot_use(run: Command, tmp_path: Path, variable: str) -> None:
    (tmp_path / "policy").write_text("witness w no-key http://127.0.0.1:1\nquorum w\n")
    value = {"log_policy": str(tmp_path / "policy"), "log_signer": "192.0.2.1:7000"}[variable]
    ended = run(
        "serve", "--listen", "127.0.0.1:0", "--http-listen", "", "--json",
        data_dir=str(tmp_path), **{variable: value},
    )  # fmt: skip
    assert ended.status == 1
    assert ended.error["reason"] in ("MALFORMED_LOG_POLICY", "SETTING_INVALID")
