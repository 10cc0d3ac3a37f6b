//! The schemas of the sections that name a program: `<aspNetCore>` and the older, more general
//! `<httpPlatform>`. Names, types, ranges.

/// How the value of an attribute is read.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum Kind {
    Bool,
    HostingModel,
    Seconds {
        most: u32,
    },
    /// Expanded, and refused when empty.
    Path,
    Text,
    TimeSpan {
        most_seconds: u64,
    },
    Uint {
        least: u32,
        most: u32,
    },
}

impl Kind {
    /// What a person may write.
    pub(super) fn expected(self) -> String {
        match self {
            Self::Bool => "true or false".to_owned(),
            Self::HostingModel => "inprocess or outofprocess".to_owned(),
            Self::Seconds { most } => format!("whole seconds from 0 to {most}"),
            Self::Path => "a path".to_owned(),
            Self::Text => "a text".to_owned(),
            Self::TimeSpan { most_seconds } => {
                format!("hours:minutes:seconds, at most {}:00:00", most_seconds / 3600)
            }
            Self::Uint { least, most } => format!("a whole number from {least} to {most}"),
        }
    }
}

/// A section that names a program.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Element {
    pub(super) name: &'static str,
    /// The module of IIS that reads it.
    pub(super) module: &'static str,
    pub(super) attributes: &'static [(&'static str, Kind)],
    /// What a person may write for a program.
    pub(super) example: &'static str,
}

impl Element {
    pub(super) fn attribute_names(&self) -> impl Iterator<Item = &'static str> + Clone {
        self.attributes.iter().map(|(name, _)| *name)
    }

    /// How an attribute is read.
    pub(super) fn kind_of(&self, name: &str) -> Kind {
        let known = self.attributes.iter().find(|(known, _)| *known == name);
        known.map_or(Kind::Text, |(_, kind)| *kind)
    }
}

pub(super) static ASP_NET_CORE: Element = Element {
    name: "aspNetCore",
    module: "AspNetCoreModuleV2",
    attributes: &[
        ("arguments", Kind::Text),
        ("disableStartUpErrorPage", Kind::Bool),
        ("forwardWindowsAuthToken", Kind::Bool),
        ("hostingModel", Kind::HostingModel),
        ("processPath", Kind::Path),
        ("processesPerApplication", Kind::Uint { least: 1, most: 100 }),
        ("rapidFailsPerMinute", Kind::Uint { least: 0, most: 100 }),
        ("requestTimeout", Kind::TimeSpan { most_seconds: 1_296_000 }),
        ("shutdownTimeLimit", Kind::Seconds { most: 600 }),
        ("startupTimeLimit", Kind::Seconds { most: 3600 }),
        ("stdoutLogEnabled", Kind::Bool),
        ("stdoutLogFile", Kind::Path),
    ],
    example: "processPath=\"dotnet\" arguments=\".\\MyApp.dll\"",
};

/// As in HttpPlatformHandler 1.2, with the wider of the ranges that its versions have.
pub(super) static HTTP_PLATFORM: Element = Element {
    name: "httpPlatform",
    module: "httpPlatformHandler",
    attributes: &[
        ("arguments", Kind::Text),
        ("forwardWindowsAuthToken", Kind::Bool),
        ("processPath", Kind::Path),
        ("processesPerApplication", Kind::Uint { least: 1, most: 100 }),
        ("rapidFailsPerMinute", Kind::Uint { least: 0, most: 100 }),
        ("requestTimeout", Kind::TimeSpan { most_seconds: 2_592_000 }),
        ("startupRetryCount", Kind::Uint { least: 0, most: 100 }),
        ("startupTimeLimit", Kind::Seconds { most: 3600 }),
        ("stdoutLogEnabled", Kind::Bool),
        ("stdoutLogFile", Kind::Path),
    ],
    example: "processPath=\"node\" arguments=\".\\server.js\"",
};

/// Attributes that IIS accepts on every section and that only its delegation reads.
pub(super) const LOCK_ATTRIBUTES: &[&str] = &[
    "lockAllAttributesExcept",
    "lockAllElementsExcept",
    "lockAttributes",
    "lockElements",
    "lockItem",
];

/// A collection below either section.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) struct Collection {
    pub(super) name: &'static str,
    pub(super) item: &'static str,
    /// The attributes of an item, all of them required; only the first must not be empty.
    pub(super) attributes: &'static [&'static str],
}

pub(super) const ENVIRONMENT_VARIABLES: Collection = Collection {
    name: "environmentVariables",
    item: "environmentVariable",
    attributes: &["name", "value"],
};

pub(super) const HANDLER_SETTINGS: Collection =
    Collection { name: "handlerSettings", item: "handlerSetting", attributes: &["name", "value"] };

pub(super) const RECYCLE_ON_FILE_CHANGE: Collection =
    Collection { name: "recycleOnFileChange", item: "file", attributes: &["path"] };

pub(super) const COLLECTIONS: &[Collection] =
    &[ENVIRONMENT_VARIABLES, HANDLER_SETTINGS, RECYCLE_ON_FILE_CHANGE];

/// The known names of `<handlerSetting>`.
pub(super) const HANDLER_SETTING_NAMES: &[&str] = &[
    "backendChoice",
    "backendConnectionLimit",
    "backendTransport",
    "callStartupHook",
    "cleanShadowCopyDirectory",
    "clientCertificateField",
    "debugFile",
    "debugLevel",
    "disallowOverlappingRotation",
    "disallowRotationOnConfigChange",
    "enableOutOfProcessConsoleRedirection",
    "enableShadowCopy",
    "forwardedFields",
    "forwardResponseConnectionHeader",
    "handlerVersion",
    "healthCheckFailures",
    "healthCheckHost",
    "healthCheckInterval",
    "healthCheckPath",
    "idleTimeout",
    "maxBlockedThreads",
    "overlapMemoryReserve",
    "periodicRestartPrivateMemory",
    "periodicRestartRequests",
    "periodicRestartSchedule",
    "periodicRestartTime",
    "readinessHost",
    "readinessPath",
    "readinessStatus",
    "setCurrentDirectory",
    "shadowCopyDirectory",
    "shutdownDelay",
    "stackSize",
    "stdoutLogSizeLimit",
    "suppressRecycleOnStartupTimeout",
    "trustedProxies",
];
