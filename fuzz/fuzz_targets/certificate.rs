//! See `ancm_fuzz::certificate`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(certificate);
