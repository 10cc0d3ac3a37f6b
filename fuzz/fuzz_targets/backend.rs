//! See `ancm_fuzz::backend`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(backend);
