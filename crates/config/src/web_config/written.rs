//! The first stage: what the file says, with offsets, merged over its `<location>`s, unchecked.

use std::collections::BTreeMap;

use crate::Page;

use super::limits::Filtering;
use super::schema::Element;

/// A value and the offset of the place where it is written.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct At<T> {
    pub(super) value: T,
    pub(super) at: usize,
}

/// One name and value of a collection.
pub(super) type Pair = At<(String, String)>;

/// Everything that we read in one file.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Written {
    /// The merged `<aspNetCore>`; `None` when the file has none.
    pub(super) asp_net_core: Option<Section>,
    /// The merged `<httpPlatform>`.
    pub(super) http_platform: Option<Section>,
    /// The handlers that remain after `<clear>` and `<remove>`.
    pub(super) handlers: Vec<At<Mapping>>,
    /// The pages that remain of `<applicationInitialization>`.
    pub(super) initialization: Vec<At<Page>>,
    /// The merged `<requestFiltering>`.
    pub(super) filtering: Filtering,
    /// What `<webSocket>` says.
    pub(super) web_sockets_are_off: bool,
    /// The offset of the root element.
    pub(super) root_at: usize,
}

/// A merged section that names a program.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Section {
    pub(super) schema: &'static Element,
    pub(super) at: usize,
    /// Known attributes by name; the offset is that of the value.
    pub(super) attributes: BTreeMap<&'static str, At<String>>,
    pub(super) environment_variables: Vec<Pair>,
    pub(super) handler_settings: Vec<Pair>,
    /// Of `<recycleOnFileChange>`; what a file has beside its path is empty.
    pub(super) watched_files: Vec<Pair>,
}

impl Section {
    /// A section that is written at `at`, with nothing in it.
    pub(super) fn new(schema: &'static Element, at: usize) -> Self {
        Self {
            schema,
            at,
            attributes: BTreeMap::new(),
            environment_variables: Vec::new(),
            handler_settings: Vec::new(),
            watched_files: Vec::new(),
        }
    }
}

/// One `<add>` of `<handlers>`.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub(super) struct Mapping {
    pub(super) name: String,
    pub(super) path: String,
    pub(super) verb: String,
    pub(super) modules: String,
}
