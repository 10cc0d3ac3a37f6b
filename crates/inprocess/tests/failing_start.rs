//! An app whose `Main` throws is a report, not the end of the process.

mod support;

use abi::life;
use support::Worker;

#[test]
fn an_exception_in_main_is_reported_and_the_process_lives() {
    let properties = support::properties(&["--contentRoot", "/no/such/folder"]);
    let mut worker = Worker::start(properties);
    let failed = worker.wait_for(life::FAILED);
    assert_eq!(failed.code, 30);
    assert!(failed.text.contains("DirectoryNotFoundException"), "{}", failed.text);
    assert!(failed.text.contains("/no/such/folder"), "{}", failed.text);
    assert!(failed.text.contains("   at "), "no stack: {}", failed.text);
    let steps: Vec<_> = worker.seen.iter().map(|report| report.text.as_str()).collect();
    assert_eq!(steps, ["load runtime", "start runtime", "prepare server", "run app"]);
}
