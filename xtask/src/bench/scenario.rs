//! What is asked of every contender.

/// One kind of load, measured by itself.
pub(super) struct Scenario {
    pub(super) name: &'static str,
    /// What it shows, in a line.
    pub(super) about: &'static str,
    /// The load that is measured.
    pub(super) load: Load,
    /// A load beside it that is not.
    pub(super) beside: Option<Load>,
    /// Part of a quick run.
    pub(super) quick: bool,
}

/// What wrk does.
#[derive(Clone, Copy)]
pub(super) struct Load {
    pub(super) path: &'static str,
    pub(super) connections: u32,
    pub(super) script: Option<Script>,
    /// A new connection for every request.
    pub(super) close: bool,
}

/// What takes more than a path.
#[derive(Clone, Copy)]
pub(super) enum Script {
    Post { bytes: u32 },
    Pipeline { depth: u32 },
}

impl Load {
    /// GET requests on connections that stay open.
    pub(super) const fn get(path: &'static str, connections: u32) -> Self {
        Load { path, connections, script: None, close: false }
    }
}

/// All scenarios, in the order in which they run.
pub(super) fn all() -> Vec<Scenario> {
    let scenario = |name, about, load| Scenario { name, about, load, beside: None, quick: false };
    let quick = |name, about, load| Scenario { quick: true, ..scenario(name, about, load) };
    let plaintext = Load::get("/plaintext", 64);
    let block = Load::get("/block?ms=50", 64);
    vec![
        quick("plaintext", "13 bytes, no routing, 64 connections", plaintext),
        quick("json", "a serialised object, routed, 64 connections", Load::get("/json", 64)),
        scenario("api", "/api/{id}, a bound parameter, JSON", Load::get("/api/42", 64)),
        scenario("mvc", "/mvc/{id}, an action of a controller, JSON", Load::get("/mvc/42", 64)),
        quick(
            "echo",
            "POST of 1 KiB, sent back",
            Load { script: Some(Script::Post { bytes: 1024 }), ..Load::get("/echo", 64) },
        ),
        scenario(
            "upload-10m",
            "POST of 10 MiB, counted and dropped",
            Load { script: Some(Script::Post { bytes: 10 << 20 }), ..Load::get("/upload", 8) },
        ),
        scenario("bytes-100k", "an answer of 100 KB", Load::get("/bytes?n=100000", 64)),
        scenario("bytes-1m", "an answer of 1 MB", Load::get("/bytes?n=1000000", 16)),
        scenario("chunked", "an answer of 1 KB without a length", Load::get("/chunked?n=1000", 64)),
        scenario(
            "pipeline",
            "plaintext, 16 requests at a time",
            Load { script: Some(Script::Pipeline { depth: 16 }), ..plaintext },
        ),
        scenario("plaintext-16", "plaintext, 16 connections", Load::get("/plaintext", 16)),
        scenario("plaintext-256", "plaintext, 256 connections", Load::get("/plaintext", 256)),
        scenario("plaintext-1000", "plaintext, 1,000 connections", Load::get("/plaintext", 1000)),
        scenario(
            "churn",
            "plaintext, a new connection for every request",
            Load { close: true, ..plaintext },
        ),
        scenario("blocking", "a handler that sleeps 50 ms on its thread, 64 connections", block),
        Scenario {
            beside: Some(Load { connections: 8, ..block }),
            ..scenario(
                "beside-blocking",
                "plaintext, 56 connections, beside 8 that sleep 50 ms per request",
                Load::get("/plaintext", 56),
            )
        },
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_are_unique_and_some_are_quick() {
        let all = all();
        let names: std::collections::BTreeSet<_> = all.iter().map(|each| each.name).collect();
        assert_eq!(names.len(), all.len());
        assert!(all.iter().any(|each| each.quick));
    }
}
