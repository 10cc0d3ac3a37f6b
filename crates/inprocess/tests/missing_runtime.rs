//! What hostfxr has to say reaches the report.

mod support;

use abi::life;
use support::Worker;

#[test]
fn an_app_that_is_not_there_fails_with_the_words_of_hostfxr() {
    let mut properties = support::properties(&[]);
    properties.insert("app.dll".to_owned(), "/no/such/App.dll".to_owned());
    let mut worker = Worker::start(properties);
    let failed = worker.wait_for(life::FAILED);
    assert_eq!(failed.code, 31, "{}", failed.text);
    assert!(failed.text.starts_with("the runtime cannot be initialised: "), "{}", failed.text);
}
