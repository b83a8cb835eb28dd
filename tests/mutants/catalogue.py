"""The mutants: which guard is taken away, and which tests must notice."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class Mutant:
    """One guard, gone."""

    name: str
    means: str
    """What the program does then."""
    changes: tuple[tuple[str, str], ...]
    """Text that stands exactly once in the sources, and what takes its place."""
    tests: tuple[str, ...]
    """Tests of which one must fail."""
    only: str = ""
    """pytest's expression for a part of them."""
    hangs: bool = False
    """Whether it shows as a test that never ends."""


STALE = "tests/jobs/test_leases.py::test_a_stale_token_changes_nothing"
ON_SQLITE = "sqlite"

MUTANTS = (
    Mutant(
        "no token check",
        "what an attempt writes is accepted although another owns the job",
        (
            (
                "return Job.id == job_id, Job.attempt == token, Job.status.in_(list(ACTIVE))",
                "return Job.id == job_id, Job.status.in_(list(ACTIVE))",
            ),
            (
                "if attempt != token or status not in ACTIVE:",
                "if status not in ACTIVE:",
            ),
        ),
        (STALE,),
        ON_SQLITE,
    ),
    Mutant(
        "no state check",
        "what an attempt writes is accepted although the job is queued again or has ended",
        (
            ("if attempt != token or status not in ACTIVE:", "if attempt != token:"),
            (
                "return Job.id == job_id, Job.attempt == token, Job.status.in_(list(ACTIVE))",
                "return Job.id == job_id, Job.attempt == token",
            ),
        ),
        (STALE,),
        ON_SQLITE,
    ),
    Mutant(
        "claims while draining",
        "a worker that is told to drain takes another job",
        (("if projects and self._drains(worker_id):", "if not projects:"),),
        ("tests/jobs/test_draining.py",),
        ON_SQLITE,
    ),
    Mutant(
        "bell before commit",
        "a worker is woken before there is anything to find",
        (
            (
                "repository.retry(job_id, wanted.from_",
                "house.bell.ring(job_id); repository.retry(job_id, wanted.from_",
            ),
        ),
        ("tests/api/test_bell_after_commit.py",),
        ON_SQLITE,
    ),
    Mutant(
        "plain BEGIN",
        "a writer on SQLite begins as a reader, and cannot wait for its turn",
        (('"BEGIN" if reads else "BEGIN IMMEDIATE"', '"BEGIN"'),),
        ("tests/jobs/test_database.py::test_threads_that_write_at_once_wait_for_each_other",),
        ON_SQLITE,
    ),
    Mutant(
        "sweep on a snapshot",
        "a lease is freed as it was seen, although it was renewed meanwhile",
        (("                Job.lease_until == lease.until,\n", ""),),
        ("tests/jobs/test_sweeping.py::test_a_lease_that_was_renewed_meanwhile_is_left_alone",),
        ON_SQLITE,
    ),
    Mutant(
        "sweep at first sight",
        "after an outage the sweeper frees the jobs of workers that are well",
        (("if now - since >= self._settings.lease_seconds:", "if now - since >= 0:"),),
        ("tests/worker/test_sweeper.py",),
        "sqlite and cold",
    ),
    Mutant(
        "sweep what still runs",
        "a lease that is not over is freed",
        (("        is_over = Job.lease_until < clock()", "        is_over = Job.attempt > 0"),),
        ("tests/jobs/test_sweeping.py::test_a_lease_that_still_runs_is_left_alone",),
        ON_SQLITE,
    ),
    Mutant(
        "wait for the clock",
        "after a step of the clock a job waits until the clock is there again",
        (
            (
                " OR run_after > ledger_clock({LONGEST_WAIT_SECONDS}))",
                ")",
            ),
        ),
        ("tests/jobs/test_sweeping.py",),
        "sqlite and wrong_clock",
    ),
    Mutant(
        "a batch counts twice",
        "events that are sent again, because the answer to their commit was lost, are doubled",
        (("_ATTEMPTS.c.batches < bindparam", "_ATTEMPTS.c.batches <= bindparam"),),
        ("tests/jobs/test_leases.py::test_a_batch_sent_twice_is_written_once",),
        ON_SQLITE,
    ),
    Mutant(
        "a lost answer is a lost lease",
        "a job that was settled by a commit without an answer is given up by its worker",
        (("(row.status, row.reason) != (outcome, ending.reason)", "row is not None"),),
        ("tests/jobs/test_endings.py",),
        ON_SQLITE,
    ),
    Mutant(
        "content is taken on trust",
        "a file that is not what was announced becomes an artifact",
        (
            (
                "if (size_bytes, sha256) != (self.size_bytes, self.sha256):",
                "if size_bytes < 0:",
            ),
        ),
        ("tests/jobs/test_artifacts.py",),
    ),
    Mutant(
        "an exit code is enough",
        "a trainer that ended without its last line counts as finished",
        (("if code == FINISHED and report.finished:", "if code == FINISHED:"),),
        ("tests/worker/test_attempt.py::test_an_end_without_the_last_line_is_no_success",),
        "sqlite and cold",
    ),
    Mutant(
        "an outage is a lost lease",
        "a database that is away for a moment kills every training",
        (
            (
                "pause = min(usual, AGAIN_SECONDS)",
                "pause = min(usual, AGAIN_SECONDS); self.lost.set()",
            ),
        ),
        ("tests/worker/test_heart.py",),
    ),
    Mutant(
        "no watchdog",
        "a call behind a link that swallows everything waits for ever",
        (("if now > until:", "if now < 0:"),),
        ("tests/jobs/test_watchdog.py::test_a_commit_that_is_swallowed_fails_in_time",),
        hangs=True,
    ),
    Mutant(
        "no lifeline",
        "a trainer outlives its worker",
        (("        _ask_for(signal.SIGKILL)", "        _ask_for(0)"),),
        ("tests/worker/test_lifeline.py::test_a_silent_child_is_killed_with_its_parent",),
    ),
    Mutant(
        "an upload is taken at its first bytes",
        "an archive that leads out of its folder becomes a dataset",
        (("        look_through(visit.store, received, kind, claimed, name)\n", ""),),
        ("tests/api/test_hostile_files.py",),
        "archive and sqlite",
    ),
    Mutant(
        "any JSON is a tokenizer",
        "an upload of other JSON becomes a dataset",
        (("    if found := _fault(document):", "    if (found := _fault(document)) is None:"),),
        ("tests/api/test_hostile_files.py",),
        "tokenizer and sqlite",
    ),
    Mutant(
        "parts are taken on trust",
        "an upload is made of a part that was damaged in the store",
        (("if digest.hexdigest() != part.sha256:", "if False:"),),
        ("tests/api/test_uploads.py",),
        "damaged and folder",
    ),
    Mutant(
        "two go on with a sweep",
        "a trial of a sweep is begun by each sweeper that comes",
        (
            (
                (
                    '            .where(Sweep.id == sweep_id, Sweep.status == "running")\n'
                    "            .with_for_update(skip_locked=True)\n"
                ),
                '            .where(Sweep.id == sweep_id, Sweep.status == "running")\n',
            ),
        ),
        ("tests/jobs/test_sweeps.py",),
        "at_once and postgresql",
    ),
    Mutant(
        "files go under a job that waits",
        "the retention time removes what a waiting job begins with",
        (("                ~needing(Job.id).exists(),\n", ""),),
        ("tests/api/test_job_files.py",),
        "keeps_them and sqlite",
    ),
    Mutant(
        "a needed file may go",
        "an uploaded file is deleted under a job that has not ended",
        (
            (
                "        if using:\n            raise InputInUse",
                "        if not using:\n            raise InputInUse",
            ),
        ),
        ("tests/api/test_inputs.py",),
        ON_SQLITE,
    ),
    Mutant(
        "a cached file is taken on trust",
        "a trainer reads what another trainer has written into its input",
        (("if sha256_of(target, in_vain) == used.sha256:", "if True:"),),
        ("tests/worker/test_furnishing.py",),
        "spoils",
    ),
    Mutant(
        "compares other projects",
        "a job of another project is told to whoever compares it with one of their own",
        (("theirs = theirs.where(Job.project == self._project)", "pass"),),
        ("tests/api/test_compare.py",),
        "another_projects",
    ),
)
