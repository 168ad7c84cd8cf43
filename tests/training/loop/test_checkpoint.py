"""A checkpoint is whole, the newest one counts, and a damaged one says so."""

import pytest

from training.loop.checkpoint import CheckpointError, latest, load_checkpoint, save_checkpoint


def test_the_newest_few_are_kept_and_the_newest_counts(tmp_path):
    assert latest(tmp_path) is None
    for step in (90_000_000, 99_999_999, 100_000_000):  # of another number of digits than the others
        save_checkpoint(tmp_path, {"step": step}, keep=2)
    assert latest(tmp_path).name == "step-100000000.pt"
    assert load_checkpoint(tmp_path) == {"step": 100_000_000}
    assert sorted(path.name for path in (tmp_path / "checkpoints").iterdir()) == [
        "step-100000000.pt",
        "step-99999999.pt",
    ]


def test_what_a_killed_process_left_unfinished_is_taken_away(tmp_path):
    save_checkpoint(tmp_path, {"step": 1}, keep=2)
    (tmp_path / "checkpoints" / ".step-00000002.pt.4711.tmp").write_bytes(b"half of it")
    assert latest(tmp_path).name == "step-00000001.pt"
    save_checkpoint(tmp_path, {"step": 2}, keep=2)
    assert len(list((tmp_path / "checkpoints").iterdir())) == 2


def test_a_damaged_or_missing_checkpoint_is_an_error(tmp_path):
    with pytest.raises(CheckpointError, match="without --resume"):
        load_checkpoint(tmp_path)
    for step in (1, 2):
        save_checkpoint(tmp_path, {"step": step}, keep=2)
    file = latest(tmp_path)
    whole = file.read_bytes()
    for damaged in (b"", whole[: len(whole) // 2], b"cos\nsystem\n(S'true'\ntR."):
        file.write_bytes(damaged)
        with pytest.raises(CheckpointError, match=r"step-00000002\.pt is damaged; take it away"):
            load_checkpoint(tmp_path)
    file.unlink()
    assert load_checkpoint(tmp_path) == {"step": 1}
