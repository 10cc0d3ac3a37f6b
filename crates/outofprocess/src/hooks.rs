//! Whether a .NET application loads start-up hooks, by which the helper comes into it.
//!
//! An application may switch them off, and trimmed ones do. It must not be given variables that
//! nobody takes out again: processes that it starts would inherit them, and load the helper. Nor can
//! a runtime older than the helper load it: the application would not start.

use std::path::{Path, PathBuf};

use config::{App, Env};
use serde_json::Value;

/// The switch, among the properties of the runtime.
const SWITCH: &str = "System.StartupHookProvider.IsSupported";

/// Which other version of .NET may be taken for the one that is named.
const ROLL_FORWARD: &str = "DOTNET_ROLL_FORWARD";

/// The oldest version of .NET that the helper is made for.
const OLDEST: u32 = 8;

/// Whether the application says that it loads none, or that it runs on an older runtime than the
/// helper does, in a worker whose environment is `process`. What cannot be read says nothing.
pub(crate) fn are_of_no_use(app: &App, process: &Env) -> bool {
    let named = app.settings.environment_variable(ROLL_FORWARD);
    let roll_forward = named.or_else(|| process.non_empty(ROLL_FORWARD));
    runtime_config(app).and_then(|path| std::fs::read(path).ok()).is_some_and(|text| {
        let parsed = serde_json::from_slice::<Value>(&text).unwrap_or_default();
        let options = &parsed["runtimeOptions"];
        let property = &options["configProperties"][SWITCH];
        // The runtime takes the text for the word.
        property == false
            || property.as_str().is_some_and(|text| text.eq_ignore_ascii_case("false"))
            || is_older(options, roll_forward)
    })
}

/// Whether a framework is older, and another major version is not taken for it.
fn is_older(options: &Value, roll_forward: Option<&str>) -> bool {
    let written = options["rollForward"].as_str();
    let rolls = roll_forward.or(written).is_some_and(|policy| {
        ["Major", "LatestMajor"].iter().any(|major| policy.eq_ignore_ascii_case(major))
    });
    let frameworks = ["frameworks", "includedFrameworks"].iter();
    let mut all = frameworks.filter_map(|name| options[name].as_array()).flatten();
    let is_older = |framework: &Value| {
        let version = framework["version"].as_str().and_then(|text| text.split('.').next());
        version.and_then(|major| major.parse().ok()).is_some_and(|major: u32| major < OLDEST)
    };
    !rolls && (is_older(&options["framework"]) || all.any(is_older))
}

/// The file beside the assembly: the first argument that is one, else that of the launcher.
fn runtime_config(app: &App) -> Option<PathBuf> {
    let is_assembly = |text: &&String| {
        Path::new(text).extension().is_some_and(|extension| extension.eq_ignore_ascii_case("dll"))
    };
    match app.settings.arguments.iter().find(is_assembly) {
        Some(assembly) => Some(app.dir.join(assembly).with_extension("runtimeconfig.json")),
        None => {
            let launcher = app.settings.process_path.as_str();
            Some(app.dir.join(format!("{launcher}.runtimeconfig.json")))
        }
    }
}

#[cfg(test)]
mod tests {
    use config::{AspNetCore, Origin, PathBase, Source};

    use super::*;

    #[test]
    fn only_an_application_that_says_so_loads_none() {
        let dir = tempfile::tempdir().unwrap();
        for (program, arguments) in [("dotnet", vec!["./App.dll".to_owned()]), ("./App", vec![])] {
            let app = App {
                name: "App".into(),
                dir: dir.path().to_owned(),
                web_config_path: None,
                settings: AspNetCore::of(program, arguments),
                source: Source::WebConfig,
                path_base: PathBase::default(),
                hosting_model_origin: Origin::WebConfig,
                snapshot: None,
            };
            let file = dir.path().join("App.runtimeconfig.json");
            for (value, expected) in [
                (Some("false"), true),
                (Some("\"False\""), true),
                (Some("true"), false),
                (Some("garbage"), false),
                (None, false),
            ] {
                let properties = value.map(|value| format!("\"{SWITCH}\": {value}"));
                let properties = properties.unwrap_or_default();
                let text =
                    format!("{{\"runtimeOptions\":{{\"configProperties\":{{{properties}}}}}}}");
                std::fs::write(&file, text).unwrap();
                assert_eq!(are_of_no_use(&app, &Env::default()), expected, "{program} {value:?}");
            }
            std::fs::remove_file(&file).unwrap();
            assert!(!are_of_no_use(&app, &Env::default()));
        }
    }

    #[test]
    fn an_older_runtime_does_not_load_the_helper() {
        let older = [
            r#"{"framework":{"name":"Microsoft.AspNetCore.App","version":"3.1.0"}}"#,
            r#"{"frameworks":[{"version":"6.0.0"},{"version":"6.0.0"}],"rollForward":"LatestMinor"}"#,
            r#"{"includedFrameworks":[{"version":"7.0.20"}]}"#,
        ];
        for text in older {
            let options = serde_json::from_str(text).unwrap();
            assert!(is_older(&options, None), "{text}");
            assert!(is_older(&options, Some("Minor")), "{text}");
            assert!(!is_older(&options, Some("latestMajor")), "{text}");
        }
        let newer = [
            r#"{"frameworks":[{"version":"8.0.0"},{"version":"10.0.0-preview.1"}]}"#,
            r#"{"framework":{"version":"6.0.0"},"rollForward":"Major"}"#,
            r#"{"framework":{"version":"?"}}"#,
            "{}",
        ];
        for text in newer {
            assert!(!is_older(&serde_json::from_str(text).unwrap(), None), "{text}");
        }
    }
}
