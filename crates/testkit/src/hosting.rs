//! One test body, two hosting models.

use std::fmt;

/// How an application is hosted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Model {
    /// In the worker.
    InProcess,
    /// In a process of its own, behind the worker.
    OutOfProcess,
}

impl fmt::Display for Model {
    /// As `web.config` spells it.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(match self {
            Self::InProcess => "inprocess",
            Self::OutOfProcess => "outofprocess",
        })
    }
}

/// Makes two tests of each function that takes a [`Model`]: `name::in_process` and
/// `name::out_of_process`.
#[macro_export]
macro_rules! both_models {
    ($($(#[$meta:meta])* fn $name:ident($model:ident: Model) $body:block)*) => {$(
        mod $name {
            #[allow(unused_imports, reason = "not every body needs what its file imports")]
            use super::*;

            $(#[$meta])*
            fn body($model: $crate::Model) $body

            #[test]
            fn in_process() {
                body($crate::Model::InProcess);
            }

            #[test]
            fn out_of_process() {
                body($crate::Model::OutOfProcess);
            }
        }
    )*};
}

#[cfg(test)]
mod tests {
    both_models! {
        fn a_model_is_written_as_web_config_spells_it(model: Model) {
            assert!(model.to_string().ends_with("process"));
        }
    }
}
