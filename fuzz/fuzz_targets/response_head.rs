//! See `ancm_fuzz::response_head`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(response_head);
