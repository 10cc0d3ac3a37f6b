//! See `ancm_fuzz::link`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(link);
