//! See `ancm_fuzz::frames`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(frames);
