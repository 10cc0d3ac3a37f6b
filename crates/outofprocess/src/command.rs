//! What to execute for a backend: program, arguments, folder and the complete environment.
//!
//! Pure but for looking at the file system for the program. The environment is the worker's own
//! without what is meant for the worker, with the variables of `config::environment` and what only
//! this crate knows, port and token, set over it. What a program is told depends on the section that
//! names it: `<aspNetCore>` has the variables of ASP.NET Core, `<httpPlatform>` its own.

use std::fmt;
use std::path::{Path, PathBuf};

use config::environment::{Identity, PORT_VARIABLES};
use config::paths::{ProgramNotFound, resolve_program};
use config::{App, Env, Platform, expansion};

use crate::hooks;
use crate::transport::Places;

/// Variables of the worker that would make a backend do what the host does: listen on the host's
/// addresses, tell systemd that the host is ready, take its output for the journal.
const HOST_ONLY: &[&str] = &[
    "ASPNETCORE_HTTPS_PORTS",
    "ASPNETCORE_HTTP_PORTS",
    "ASPNETCORE_URLS",
    "DOTNET_HTTPS_PORTS",
    "DOTNET_HTTP_PORTS",
    "DOTNET_URLS",
    "FDSTORE",
    "JOURNAL_STREAM",
    "LISTEN_FDNAMES",
    "LISTEN_FDS",
    "LISTEN_PID",
    "LISTEN_PIDFDID",
    "MEMORY_PRESSURE_WATCH",
    "MEMORY_PRESSURE_WRITE",
    "NOTIFY_SOCKET",
    "SYSTEMD_EXEC_PID",
    "URLS",
    "WATCHDOG_PID",
    "WATCHDOG_USEC",
];

/// Prefix of the variables by which supervisor and worker are told things.
const HOST_PREFIX: &str = "ANCM_";

/// Where programs that are not ASP.NET Core look for their port, unless `web.config` says otherwise.
const OTHERS_PORT: [&str; 2] = ["HTTP_PLATFORM_PORT", "PORT"];

/// Names the socket on which a backend may listen instead of on its port.
const SOCKET_VARIABLE: &str = "ANCM_SOCKET";

/// Names the socket on which the helper takes links, beside that.
const LINK_VARIABLE: &str = "ANCM_LINK";

/// Tells the helper by which addresses clients reach the site, separated by semicolons.
const ADDRESSES_VARIABLE: &str = "ANCM_ADDRESSES";

/// Tells the helper that the host limits no request body, so the server has to.
const BODY_LIMIT: (&str, &str) = ("ANCM_BODY_LIMIT", "server");

/// What `AppContext.BaseDirectory` of a backend is, when its assembly was copied elsewhere.
const BASE_VARIABLE: &str = "ANCM_BASE_DIRECTORY";

/// Assemblies that the .NET runtime loads before the program, separated by colons.
const HOOKS_VARIABLE: &str = "DOTNET_STARTUP_HOOKS";

/// Everything needed to execute a backend.
#[derive(Clone, PartialEq, Eq)]
pub(crate) struct Command {
    pub(crate) program: PathBuf,
    pub(crate) arguments: Vec<String>,
    pub(crate) directory: PathBuf,
    /// Complete: nothing is inherited beside it.
    pub(crate) environment: Env,
    /// One of its variables, by which what the backend starts can be told from what others start.
    pub(crate) mark: (&'static str, String),
}

/// For people: program and arguments, never the environment.
impl fmt::Display for Command {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}", self.program.display())?;
        self.arguments.iter().try_for_each(|argument| {
            if argument.is_empty() || argument.contains([' ', '\t', '"']) {
                write!(f, " {argument:?}")
            } else {
                write!(f, " {argument}")
            }
        })
    }
}

/// What makes one start different from the next.
#[derive(Clone, Copy)]
pub(crate) struct Variant<'a> {
    pub(crate) places: &'a Places,
    /// What proves that a request comes from the host; `None` when the program knows no such thing.
    pub(crate) token: Option<&'a str>,
}

/// The part of a command that is the same at every start.
pub(crate) struct Template {
    app: App,
    variables: Vec<(String, String)>,
    addresses: String,
    process: Env,
    /// Has the program listen on the socket; only where it is known that it will be loaded.
    helper: Option<PathBuf>,
}

impl Template {
    /// Prepares the commands of `app`, which clients reach by `addresses`, from a worker whose
    /// environment is `process`.
    pub(crate) fn new(
        app: &App,
        addresses: &[String],
        helper: Option<PathBuf>,
        process: &Env,
    ) -> Self {
        let identity = Identity::of(app);
        let variables = config::environment::for_out_of_process(&app.settings, &identity, process);
        let helper = helper.filter(|_| is_dotnet(app) && !hooks::are_of_no_use(app, process));
        Self {
            app: app.clone(),
            variables,
            addresses: addresses.join(";"),
            process: without_host_only(process),
            helper,
        }
    }

    /// A variable as `web.config` gives it, merged and expanded.
    pub(crate) fn variable(&self, name: &str) -> Option<&str> {
        let found = self.variables.iter().find(|(other, _)| other.eq_ignore_ascii_case(name));
        found.map(|(_, value)| value.as_str()).filter(|value| !value.is_empty())
    }

    /// The variable by which `web.config` may name a port.
    pub(crate) fn port_variable(&self) -> &'static str {
        let [asp_net_core, http_platform] = PORT_VARIABLES;
        match self.app.settings.platform {
            Platform::AspNetCore => asp_net_core,
            Platform::Http => http_platform,
        }
    }

    /// The variable by which `web.config` may name a token, for a program that wants one.
    pub(crate) fn token_variable(&self) -> Option<&'static str> {
        match self.app.settings.platform {
            Platform::AspNetCore => Some("ASPNETCORE_TOKEN"),
            Platform::Http => None,
        }
    }

    /// Whether the program will be moved to the socket without its knowledge.
    pub(crate) fn has_helper(&self) -> bool {
        self.helper.is_some()
    }

    /// The command of one start.
    ///
    /// # Errors
    ///
    /// The program was not found. It is looked for at every start, since a deployment may bring it.
    pub(crate) fn command(&self, variant: Variant<'_>) -> Result<Command, ProgramNotFound> {
        let environment = self.environment(variant);
        let App { dir, settings, .. } = &self.app;
        Ok(Command {
            program: resolve_program(&settings.process_path, dir, &environment)?,
            arguments: settings.arguments.iter().map(|a| with_places(a, variant.places)).collect(),
            directory: dir.clone(),
            environment,
            mark: (self.port_variable(), variant.places.port.to_string()),
        })
    }

    fn environment(&self, Variant { places, token }: Variant<'_>) -> Env {
        let port = places.port;
        let mut environment = self.process.clone();
        for (name, value) in &self.variables {
            environment.set(name, with_places(value, places));
        }
        for name in OTHERS_PORT.iter().filter(|name| self.variable(name).is_none()) {
            environment.set(*name, port.to_string());
        }
        environment.set(self.port_variable(), port.to_string());
        if self.app.settings.platform == Platform::AspNetCore {
            // Builders without the IIS integration (`CreateSlimBuilder`) ignore the port variable
            // and would listen on port 5000. Those with it ignore this one.
            environment.set("ASPNETCORE_URLS", format!("http://127.0.0.1:{port}"));
        }
        if let (Some(name), Some(token)) = (self.token_variable(), token) {
            environment.set(name, token);
        }
        if let Some(path) = &places.socket {
            environment.set(SOCKET_VARIABLE, path.display().to_string());
        }
        if let Some(helper) = &self.helper {
            if let Some(path) = &places.link {
                environment.set(LINK_VARIABLE, path.display().to_string());
            }
            environment.set(ADDRESSES_VARIABLE, &self.addresses);
            if self.app.settings.limits.max_allowed_content_length.is_none() {
                environment.set(BODY_LIMIT.0, BODY_LIMIT.1);
            }
            if self.app.snapshot.is_some() {
                environment.set(BASE_VARIABLE, format!("{}/", self.app.dir.display()));
            }
            let others = environment.non_empty(HOOKS_VARIABLE).map(|list| format!("{list}:"));
            let list = format!("{}{}", others.unwrap_or_default(), helper.display());
            environment.set(HOOKS_VARIABLE, list);
        }
        environment
    }
}

/// Whether the helper will be loaded into the program, and tell it that its folder is another than
/// that of its assembly.
pub(crate) fn can_be_moved(app: &App, helper: &Path, process: &Env) -> bool {
    helper.is_file() && is_dotnet(app) && !hooks::are_of_no_use(app, process)
}

/// Whether the program is `dotnet`, or the launcher of an assembly beside it. Of those alone is known
/// that they load the helper. With `<httpPlatform>` a program was promised that its port counts.
fn is_dotnet(app: &App) -> bool {
    let path = app.settings.process_path.as_str();
    app.settings.platform == Platform::AspNetCore
        && (path.rsplit('/').next() == Some("dotnet")
            || app.dir.join(format!("{path}.dll")).is_file())
}

fn without_host_only(process: &Env) -> Env {
    let is_ours = |name: &str| name.starts_with(HOST_PREFIX) || HOST_ONLY.contains(&name);
    process.iter().filter(|(name, _)| !is_ours(name)).collect()
}

/// Backends that do not read variables are told where to listen by way of their arguments.
fn with_places(text: &str, places: &Places) -> String {
    expansion::expand_with(text, |name| match name.to_ascii_uppercase().as_str() {
        "ASPNETCORE_PORT" | "HTTP_PLATFORM_PORT" => Some(places.port.to_string()),
        SOCKET_VARIABLE => places.socket.as_ref().map(|path| path.display().to_string()),
        _ => None,
    })
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::PermissionsExt;

    use config::{AspNetCore, Origin, PathBase, Source};

    use super::*;

    const PLACES: Places = Places { socket: None, link: None, port: 12_345 };
    const VARIANT: Variant<'static> = Variant { places: &PLACES, token: Some("secret") };

    fn app(settings: AspNetCore, dir: PathBuf) -> App {
        App {
            name: "shop".into(),
            dir,
            web_config_path: None,
            settings,
            source: Source::WebConfig,
            path_base: PathBase::default(),
            hosting_model_origin: Origin::WebConfig,
            snapshot: None,
        }
    }

    fn environment(written: &[(&str, &str)], process: &[(&str, &str)], base: &str) -> Env {
        let mut settings = AspNetCore::of("dotnet", Vec::new());
        let owned = |(name, value): &(&str, &str)| ((*name).to_owned(), (*value).to_owned());
        settings.environment_variables = written.iter().map(owned).collect();
        let process = Env::from_iter(process.iter().copied());
        let mut app = app(settings, "/srv/shop".into());
        app.path_base = base.parse().unwrap();
        Template::new(&app, &[], None, &process).environment(VARIANT)
    }

    #[test]
    fn the_middleware_gets_all_that_it_wants() {
        let found = environment(&[], &[("HOME", "/root"), ("PORT", "80")], "/");
        for (name, value) in [
            ("HOME", "/root"),
            ("ASPNETCORE_PORT", "12345"),
            ("ASPNETCORE_TOKEN", "secret"),
            ("ASPNETCORE_APPL_PATH", "/"),
            ("ASPNETCORE_URLS", "http://127.0.0.1:12345"),
            ("ASPNETCORE_IIS_HTTPAUTH", "anonymous;"),
            ("ASPNETCORE_IIS_WEBSOCKETS_SUPPORTED", "true"),
            ("ASPNETCORE_IIS_PHYSICAL_PATH", "/srv/shop/"),
            ("ASPNETCORE_HOSTINGSTARTUPASSEMBLIES", ";Microsoft.AspNetCore.Server.IISIntegration"),
            ("HTTP_PLATFORM_PORT", "12345"),
            ("PORT", "12345"),
        ] {
            assert_eq!(found.get(name), Some(value), "{name}");
        }
    }

    #[test]
    fn a_program_of_http_platform_is_told_its_port_and_nothing_of_asp_net_core() {
        let mut settings = AspNetCore::http_platform("node");
        settings.arguments = vec!["--port=%http_platform_port%".to_owned()];
        let written = [("P", "%HTTP_PLATFORM_PORT%"), ("OF", "%HTTP_PLATFORM_IIS_SITE_NAME%")];
        let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
        settings.environment_variables = written.map(owned).into();
        let process = Env::from_iter([
            ("ASPNETCORE_URLS", "http://*:80"),
            // Of the host's own host.
            ("HTTP_PLATFORM_PORT", "9"),
        ]);
        let mut app = app(settings, "/srv/shop".into());
        app.path_base = "/base".parse().unwrap();
        let helper = Some(PathBuf::from("/opt/Ancm.Backend.dll"));
        let template = Template::new(&app, &[], helper, &process);
        let found = template.environment(Variant { places: &PLACES, token: None });
        for (name, value) in [
            ("HTTP_PLATFORM_PORT", "12345"),
            ("PORT", "12345"),
            ("P", "12345"),
            ("OF", "shop"),
            ("HTTP_PLATFORM_APPL_PATH", "/base"),
            ("HTTP_PLATFORM_IIS_PHYSICAL_PATH", "/srv/shop/"),
            ("HTTP_PLATFORM_IIS_APPLICATION_VIRTUAL_PATH", "/base"),
        ] {
            assert_eq!(found.get(name), Some(value), "{name}");
        }
        let others = found.iter().filter(|(name, _)| {
            ["ASPNETCORE", "ANCM", "DOTNET"].iter().any(|prefix| name.starts_with(prefix))
        });
        assert_eq!(others.collect::<Vec<_>>(), []);
        assert!(!template.has_helper());
        assert_eq!(with_places(&app.settings.arguments[0], &PLACES), "--port=12345");
    }

    #[test]
    fn the_path_base_has_no_slash_at_its_end() {
        for (base, expected) in [("/", "/"), ("/shop", "/shop"), ("/a/b/", "/a/b")] {
            assert_eq!(environment(&[], &[], base).get("ASPNETCORE_APPL_PATH"), Some(expected));
        }
    }

    #[test]
    fn what_is_meant_for_the_host_stays_with_the_host() {
        let process = [
            ("ANCM_CONTROL_FD", "5"),
            ("ASPNETCORE_HTTP_PORTS", "8080"),
            ("ASPNETCORE_URLS", "http://*:80"),
            ("DOTNET_ROOT", "/usr/share/dotnet"),
            ("LISTEN_FDS", "1"),
            ("NOTIFY_SOCKET", "/run/systemd/notify"),
            ("URLS", "http://*:80"),
        ];
        let found =
            environment(&[("ANCM_MINE", "kept"), ("P", "%HTTP_PLATFORM_PORT%")], &process, "/");
        let count = |text: &str| found.iter().filter(|(name, _)| name.contains(text)).count();
        assert_eq!(count("ANCM_"), 1);
        assert_eq!(count("LISTEN_") + count("NOTIFY") + count("HTTP_PORTS"), 0);
        assert_eq!(found.get("ASPNETCORE_URLS"), Some("http://127.0.0.1:12345"));
        assert_eq!(found.get("URLS"), None);
        assert_eq!(found.get("DOTNET_ROOT"), Some("/usr/share/dotnet"));
        assert_eq!(found.get("P"), Some("12345"));
    }

    #[test]
    fn only_dotnet_programs_get_the_helper_and_keep_their_own_hooks() {
        let places = Places {
            socket: Some("/run/ancm/w1/b1.sock".into()),
            link: Some("/run/ancm/w1/b1.link".into()),
            port: 12_345,
        };
        let environment = |program: &str| {
            let mut settings = AspNetCore::of(program, Vec::new());
            let written = [("DOTNET_STARTUP_HOOKS", "/mine.dll"), ("WHERE", "unix:%ANCM_SOCKET%")];
            let owned = |(name, value): (&str, &str)| (name.to_owned(), value.to_owned());
            settings.environment_variables = written.map(owned).into();
            let app = app(settings, "/srv/shop".into());
            let helper = Some(PathBuf::from("/opt/Ancm.Backend.dll"));
            let addresses = ["http://127.0.0.1:80".to_owned(), "http://[::1]:80".to_owned()];
            let template = Template::new(&app, &addresses, helper, &Env::default());
            template.environment(Variant { places: &places, token: Some("secret") })
        };
        let told = Some("http://127.0.0.1:80;http://[::1]:80");
        for (program, hooks, addresses) in [
            ("dotnet", "/mine.dll:/opt/Ancm.Backend.dll", told),
            ("/usr/bin/dotnet", "/mine.dll:/opt/Ancm.Backend.dll", told),
            ("node", "/mine.dll", None),
        ] {
            let found = environment(program);
            assert_eq!(found.get("ANCM_ADDRESSES"), addresses, "{program}");
            assert_eq!(found.get("DOTNET_STARTUP_HOOKS"), Some(hooks), "{program}");
            assert_eq!(found.get("ANCM_SOCKET"), Some("/run/ancm/w1/b1.sock"), "{program}");
            assert_eq!(found.get("WHERE"), Some("unix:/run/ancm/w1/b1.sock"), "{program}");
            assert_eq!(found.get("ASPNETCORE_PORT"), Some("12345"), "{program}");
        }
    }

    #[test]
    fn program_and_arguments_are_resolved_in_the_folder() {
        let dir = tempfile::tempdir().unwrap();
        let program = dir.path().join("shop");
        std::fs::write(&program, "").unwrap();
        std::fs::set_permissions(&program, PermissionsExt::from_mode(0o755)).unwrap();
        let arguments = vec!["--port=%HTTP_PLATFORM_PORT%".to_owned(), "100%".to_owned()];
        let settings = AspNetCore::of("./shop", arguments);
        let template =
            Template::new(&app(settings, dir.path().to_owned()), &[], None, &Env::default());
        let command = template.command(VARIANT).ok().unwrap();
        assert_eq!(command.program, program);
        assert_eq!(command.arguments, ["--port=12345", "100%"]);
        assert_eq!(command.directory, dir.path());
        assert!(command.to_string().ends_with("/shop --port=12345 100%"));

        std::fs::remove_file(&program).unwrap();
        assert!(matches!(template.command(VARIANT), Err(ProgramNotFound::Missing { .. })));
    }
}
