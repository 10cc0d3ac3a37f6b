//! See `ancm_fuzz::request_head`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(request_head);
