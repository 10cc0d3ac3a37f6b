//! See `ancm_fuzz::chunked`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(chunked);
