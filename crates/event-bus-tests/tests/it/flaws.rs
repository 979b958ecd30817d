//! Mistakes of other projects, which tests of this suite notice. Torture notices the others, see `tests/flaws`.
//!
//! A mistake is one of the whole process, so the test that has to notice it runs in another one.

use tokio::process::Command;

/// Runs one test of this suite with the mistake, and wants it to fail.
async fn is_noticed(flaw: &str, test: &str) {
    let program = std::env::current_exe().expect("this program has a path");
    let mut command = Command::new(program);
    command.args(["--exact", test]).env("EVENT_BUS_FLAW", flaw).kill_on_drop(true);
    let output = command.output().await.expect("this program can be started");
    let said = String::from_utf8_lossy(&output.stdout);
    assert!(said.contains("0 passed; 1 failed"), "{test} does not notice {flaw}:\n{said}");
}

#[tokio::test]
async fn a_lookup_before_the_insert_is_noticed() {
    let test = "store::inbox::on_postgres::of_many_claims_of_one_event_at_once_one_takes_effect";
    is_noticed("select-then-insert", test).await;
}

#[tokio::test]
async fn a_purge_that_comes_too_early_is_noticed() {
    let test =
        "store::purge::on_postgres::a_purge_is_noted_under_the_topics_id_and_never_taken_back";
    is_noticed("purge-too-early", test).await;
}

#[tokio::test]
async fn a_lease_without_a_fence_is_noticed() {
    let test = "store::outbox_rows::on_postgres::a_former_lease_removes_and_quarantines_nothing";
    is_noticed("lease-without-fence", test).await;
}

#[tokio::test]
async fn a_dead_letter_whose_report_nobody_waits_for_is_noticed() {
    let test = "stateless::an_offset_waits_for_the_report_of_its_dead_letter";
    is_noticed("dead-letter-unawaited", test).await;
}
