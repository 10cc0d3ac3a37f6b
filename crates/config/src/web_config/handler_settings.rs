//! `<handlerSettings>`: a list of names and values that the module reads one by one.
//!
//! IIS ignores names that it does not know, so they are warnings; of equal names the first counts.

use std::path::PathBuf;
use std::str::FromStr;
use std::time::Duration;

use crate::nearest::nearest;
use crate::{
    AspNetCore, DebugLog, Env, HandlerSettings, Page, PageError, Readiness, TrustedProxies,
    expansion, paths,
};

use super::read::excerpt;
use super::written::{At, Pair, Section};
use super::{Report, limits, number, recycling, schema};

/// Reads the known settings and reports the others.
pub(super) fn read(
    section: &Section,
    settings: &AspNetCore,
    env: &Env,
    report: &mut Report<'_>,
) -> HandlerSettings {
    for At { value: (name, _), at } in &section.handler_settings {
        let limits = limits::SETTINGS.iter().map(|(name, _)| *name);
        let names = schema::HANDLER_SETTING_NAMES.iter().copied().chain(limits);
        if names.clone().any(|known| known.eq_ignore_ascii_case(name)) {
            continue;
        }
        let message = format!("handlerSetting `{}` is unknown and has no effect", excerpt(name));
        let finding = report.warning("unknown-handler-setting", *at, message);
        let near = match name.as_str() {
            "experimentalEnableShadowCopy" => Some("enableShadowCopy"),
            name => nearest(name, names),
        };
        report.push(match near {
            Some(near) => finding.suggest(near),
            None => finding,
        });
    }

    let mut read = Switches { pairs: &section.handler_settings, report };
    let mut typed = HandlerSettings {
        backend_choice: read.word("backendChoice", &["leastInFlight", "roundRobin"]),
        backend_transport: read.word("backendTransport", &["auto", "tcp", "unix"]),
        call_startup_hook: read.switch("callStartupHook", true),
        clean_shadow_copy_directory: read.switch("cleanShadowCopyDirectory", false),
        debug_file: read.path("debugFile", env),
        debug_level: read.debug_level(),
        disallow_overlapping_rotation: read.switch("disallowOverlappingRotation", false),
        disallow_rotation_on_config_change: read.switch("disallowRotationOnConfigChange", false),
        enable_out_of_process_console_redirection: read
            .find("enableOutOfProcessConsoleRedirection")
            .is_none_or(|(value, _)| !value.eq_ignore_ascii_case("false")),
        enable_shadow_copy: read.optional_switch("enableShadowCopy"),
        forward_response_connection_header: read.switch("forwardResponseConnectionHeader", false),
        handler_version: read.find("handlerVersion").map(|(value, _)| value.to_owned()),
        set_current_directory: read.switch("setCurrentDirectory", true),
        suppress_recycle_on_startup_timeout: read.switch("suppressRecycleOnStartupTimeout", false),
        written: section.handler_settings.iter().map(|pair| pair.value.clone()).collect(),
        ..HandlerSettings::default()
    };
    typed.shadow_copy_directory = read.path("shadowCopyDirectory", env);
    if let Some(size) = read.stack_size() {
        typed.stack_size = size;
    }
    if let Some(delay) = read.shutdown_delay(settings, env, section.at) {
        typed.shutdown_delay = delay;
    }
    if let Some(count) = read.number("maxBlockedThreads", "threads, one or more, such as 512") {
        typed.max_blocked_threads = usize::try_from(count).unwrap_or(usize::MAX);
    }
    if let Some(fields) = read.list("forwardedFields") {
        typed.forwarded_fields = fields;
    }
    if let Some(proxies) = read.list("trustedProxies") {
        typed.trusted_proxies = proxies;
    }
    typed.client_certificate_field = read.certificate_field(&typed.trusted_proxies);
    let connections = "connections, one or more, such as 64";
    if let Some(count) = read.number("backendConnectionLimit", connections) {
        typed.backend_connection_limit = Some(usize::try_from(count).unwrap_or(usize::MAX));
    }
    let bytes = "bytes, one or more, such as 67108864";
    if let Some(limit) = read.number("stdoutLogSizeLimit", bytes) {
        typed.stdout_log_size_limit = limit;
    }
    typed.readiness = read.readiness();
    typed.recycling = recycling::read(&section.handler_settings, report);
    typed.handler_version = typed.handler_version.filter(|version| !version.is_empty());
    typed
}

/// Reads single handler settings; of equal names the first counts.
struct Switches<'a, 'r, 't> {
    pairs: &'a [Pair],
    report: &'r mut Report<'t>,
}

impl Switches<'_, '_, '_> {
    fn find(&self, name: &str) -> Option<(&str, usize)> {
        let found = self.pairs.iter().find(|pair| pair.value.0.eq_ignore_ascii_case(name));
        found.map(|pair| (pair.value.1.as_str(), pair.at))
    }

    /// `true` is on and anything else off, as in the module; what is neither word is reported.
    fn switch(&mut self, name: &str, default: bool) -> bool {
        let Some((value, at)) = self.find(name) else { return default };
        let is_on = value.eq_ignore_ascii_case("true");
        if !is_on && !value.eq_ignore_ascii_case("false") {
            let message = format!("handlerSetting {name}=\"{}\" means false", excerpt(value));
            let finding = self.report.warning("handler-setting-value", at, message);
            self.report.push(finding.expected("true or false"));
        }
        is_on
    }

    /// The same for a switch that is not simply on or off when it is not written.
    fn optional_switch(&mut self, name: &str) -> Option<bool> {
        self.find(name)?;
        Some(self.switch(name, false))
    }

    /// One of a few words; another one is reported and means the default, which is the first.
    fn word<T: FromStr + Default>(&mut self, name: &str, words: &[&str]) -> T {
        let Some((value, at)) = self.find(name) else { return T::default() };
        if let Ok(value) = value.parse() {
            return value;
        }
        let default = words.first().copied().unwrap_or_default();
        let message = format!("handlerSetting {name}=\"{}\" means {default}", excerpt(value));
        let finding = self.report.warning("handler-setting-value", at, message);
        self.report.push(finding.expected(words.join(", ")));
        T::default()
    }

    /// A list with commas between. A wrong one is an error: who guesses what was meant may trust
    /// the wrong ones.
    fn list<T: FromStr<Err: std::error::Error>>(&mut self, name: &str) -> Option<T> {
        let (value, at) = self.find(name)?;
        match value.parse() {
            Ok(list) => Some(list),
            Err(error) => {
                let message = format!("{name} \"{}\" is {error}", excerpt(value));
                let finding = self.report.error("handler-setting-value", at, message);
                self.report.push(finding.expected(match name {
                    "trustedProxies" => "127.0.0.1, 10.0.0.0/8, unix",
                    _ => "x-forwarded-for, x-forwarded-proto",
                }));
                None
            }
        }
    }

    /// The name of a field; nothing means none. Only with proxies that are named: whoever may send
    /// the field may claim any certificate.
    fn certificate_field(&mut self, proxies: &TrustedProxies) -> Option<String> {
        const NAME: &str = "clientCertificateField";
        let (value, at) = self.find(NAME)?;
        let name = value.trim().to_owned();
        let is_own = |name: &str| {
            let own = name.get(.."ms-aspnetcore".len());
            own.is_some_and(|start| start.eq_ignore_ascii_case("ms-aspnetcore"))
        };
        let finding = if name.is_empty() {
            return None;
        } else if !name.bytes().all(|byte| byte.is_ascii_alphanumeric() || byte == b'-')
            || is_own(&name)
        {
            let message = format!("{NAME} \"{}\" is not accepted", excerpt(&name));
            let finding = self.report.error("handler-setting-value", at, message);
            finding
                .expected("the name of a field, letters, digits and hyphens, such as Client-Cert")
        } else if *proxies == TrustedProxies::All {
            let message = format!(
                "{NAME} while everybody is trusted: any client could claim any certificate"
            );
            let finding = self.report.error("handler-setting-value", at, message);
            finding.expected("trustedProxies that are listed, such as 127.0.0.1, 10.0.0.0/8, unix")
        } else {
            return Some(name);
        };
        self.report.push(finding);
        None
    }

    fn path(&self, name: &str, env: &Env) -> Option<PathBuf> {
        let (value, _) = self.find(name)?;
        let path = paths::to_linux(expansion::expand(value, env).trim());
        (!path.is_empty()).then(|| path.into())
    }

    fn debug_level(&mut self) -> DebugLog {
        let Some((value, at)) = self.find("debugLevel") else { return DebugLog::default() };
        let (level, unknown) = DebugLog::parse(value);
        if !unknown.is_empty() {
            let words = excerpt(&unknown.join(", "));
            let message = format!("handlerSetting debugLevel: {words} has no effect");
            let finding = self.report.warning("handler-setting-value", at, message);
            self.report.push(finding.expected(DebugLog::WORDS.join(", ")));
        }
        level
    }

    fn stack_size(&mut self) -> Option<String> {
        let (value, at) = self.find("stackSize")?;
        let is_hex = !value.is_empty()
            && value.len() <= 16
            && value.bytes().all(|byte| byte.is_ascii_hexdigit());
        let value = value.to_owned();
        if !is_hex {
            let message = format!("handlerSetting stackSize=\"{}\" is not read", excerpt(&value));
            let finding = self.report.error("handler-setting-value", at, message);
            let expected = "hexadecimal bytes without a prefix, such as 100000 for one MiB";
            self.report.push(finding.expected(expected));
        }
        Some(value)
    }

    fn readiness(&mut self) -> Option<Readiness> {
        const NAMES: [&str; 3] = ["readinessPath", "readinessHost", "readinessStatus"];
        let [path, host, status] = NAMES.map(|name| {
            let (value, at) = self.find(name)?;
            Some((value.to_owned(), at))
        });
        let Some((path, path_at)) = path else {
            if let Some((_, at)) = host.or(status) {
                let message = "readinessHost and readinessStatus mean nothing alone";
                let finding = self.report.error("handler-setting-value", at, message);
                self.report.push(finding.expected("readinessPath, such as /healthz"));
            }
            return None;
        };
        let mut refuse = |name, value: &str, at, why: &str, expected| {
            let message = format!("{name} \"{}\" is not accepted: {why}", excerpt(value));
            let finding = self.report.error("handler-setting-value", at, message);
            self.report.push(finding.expected(expected));
        };
        let expected = match &status {
            None => 200,
            Some((value, at)) => {
                let number = number::uint(value.trim(), 200, 599);
                let number = number.and_then(|number| u16::try_from(number).ok());
                let what = "a status from 200 to 599, such as 204";
                number.unwrap_or_else(|| {
                    refuse(NAMES[2], value, *at, "it is no final status", what);
                    200
                })
            }
        };
        match Page::new(&path, host.as_ref().map(|(host, _)| host.as_str())) {
            Ok(page) => Some(Readiness { page, status: expected }),
            Err(error) => {
                let (host, host_at) = host.unwrap_or_default();
                match error {
                    PageError::Host => {
                        let what = "a name such as example.com";
                        refuse(NAMES[1], &host, host_at, &error.to_string(), what);
                    }
                    _ => {
                        let what = "a path such as /healthz";
                        refuse(NAMES[0], &path, path_at, &error.to_string(), what);
                    }
                }
                None
            }
        }
    }

    /// A number above zero.
    fn number(&mut self, name: &str, expected: &str) -> Option<u64> {
        let (value, at) = self.find(name)?;
        let number = value.trim().parse().ok().filter(|number| *number > 0);
        if number.is_none() {
            let message = format!("{name} \"{}\" is not accepted", excerpt(value));
            let finding = self.report.error("handler-setting-value", at, message);
            self.report.push(finding.expected(expected));
        }
        number
    }

    /// From the setting, else the process' variable, else the variable in `web.config`. Garbage
    /// after digits is ignored, as in the module.
    fn shutdown_delay(&mut self, settings: &AspNetCore, env: &Env, at: usize) -> Option<Duration> {
        const VARIABLE: &str = "ANCM_shutdownDelay";
        let written = self.find("shutdownDelay").filter(|(value, _)| !value.is_empty());
        let (value, at) = written
            .or_else(|| Some((env.non_empty(VARIABLE)?, at)))
            .or_else(|| Some((settings.environment_variable(VARIABLE)?, at)))?;
        let trimmed = value.trim_start();
        let trimmed = trimmed.strip_prefix('+').unwrap_or(trimmed);
        let digits = trimmed.bytes().take_while(u8::is_ascii_digit).count();
        let milliseconds = trimmed.get(..digits).and_then(|text| text.parse::<u32>().ok());
        if milliseconds.is_none() {
            let message = format!("shutdownDelay \"{}\" is not accepted", excerpt(value));
            let finding = self.report.error("handler-setting-value", at, message);
            self.report.push(finding.expected("milliseconds, zero or more"));
        }
        milliseconds.map(|milliseconds| Duration::from_millis(u64::from(milliseconds)))
    }
}
