//! See `ancm_fuzz::target_split`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(target_split);
