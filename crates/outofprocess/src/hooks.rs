//! Whether a .NET application loads start-up hooks, by which the helper comes into it.
//!
//! An application may switch them off, and trimmed ones do. It must not be given variables that
//! nobody takes out again: processes that it starts would inherit them, and load the helper.

use std::path::{Path, PathBuf};

use config::App;

/// The switch, among the properties of the runtime.
const SWITCH: &str = "System.StartupHookProvider.IsSupported";

/// Whether the application says that it loads none. What cannot be read says nothing.
pub(crate) fn are_switched_off(app: &App) -> bool {
    runtime_config(app).and_then(|path| std::fs::read(path).ok()).is_some_and(|text| {
        let parsed = serde_json::from_slice::<serde_json::Value>(&text).unwrap_or_default();
        let property = &parsed["runtimeOptions"]["configProperties"][SWITCH];
        // The runtime takes the text for the word.
        property == false
            || property.as_str().is_some_and(|text| text.eq_ignore_ascii_case("false"))
    })
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
                assert_eq!(are_switched_off(&app), expected, "{program} {value:?}");
            }
            std::fs::remove_file(&file).unwrap();
            assert!(!are_switched_off(&app));
        }
    }
}
