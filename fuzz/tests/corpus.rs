//! Every target takes its whole corpus.

#[test]
fn the_corpora_hold() {
    for (name, target) in ancm_fuzz::TARGETS {
        let corpus = ancm_fuzz::run::corpus(name);
        assert!(!corpus.is_empty(), "{name} has no corpus");
        for (input, data) in corpus {
            let outcome = std::panic::catch_unwind(|| target(&data));
            assert!(outcome.is_ok(), "{name}: {input}");
        }
    }
}
