"""The upgrade of a million tasks keeps nobody's writes waiting, and leaves nothing half done."""

from tests.proofs.million import Million


def test_the_upgrade_keeps_nobody_s_writes_waiting(million: Million) -> None:
    slowest = max(million.writer.seconds)
    print(f"\nupgrade {million.upgrade_seconds:.1f} s, {len(million.writer.seconds)} writes, slowest {slowest:.3f} s")
    assert len(million.writer.seconds) > 100
    assert slowest < 1


def test_after_it_everything_is_in_force(million: Million) -> None:
    run = million.database.run
    assert run("SELECT count(*) FROM pg_index WHERE indrelid = 'todo.tasks'::regclass AND indisvalid") == [(3,)]
    assert run("SELECT count(*) FROM pg_constraint WHERE conrelid = 'todo.tasks'::regclass AND NOT convalidated") == [
        (0,)
    ]
    unfolded = "SELECT count(*) FROM todo.tasks WHERE user_id <> 'writer' AND title ~ 'ÄRGER' AND title_folded IS NULL"
    assert run(unfolded) == [(0,)]
    assert run("SELECT count(*) FROM todo.tasks WHERE title_folded ~ 'ärger'") > [(10_000,)]
