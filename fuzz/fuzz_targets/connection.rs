//! See `ancm_fuzz::connection`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(connection);
