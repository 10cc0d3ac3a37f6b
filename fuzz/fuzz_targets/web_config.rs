//! See `ancm_fuzz::web_config`.

#![cfg_attr(fuzzing, no_main)]

ancm_fuzz::target!(web_config);
