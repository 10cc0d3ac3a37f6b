//! A published application in a folder of its own, changed as a test wants it.

use std::{
    fs,
    os::unix::fs::PermissionsExt,
    path::{Path, PathBuf},
};

use tempfile::TempDir;

use crate::{Model, env};

const WEB_CONFIG: &str = "web.config";

/// A copy of a published application; it is removed with the value.
#[derive(Debug)]
pub struct App {
    // Keeps the folder alive.
    _temp: TempDir,
    dir: PathBuf,
}

impl App {
    /// A copy of the sample `name`.
    pub fn sample(name: &str) -> Self {
        Self::copy_of(&env::samples().join(name))
    }

    /// A copy of the test application `name`.
    pub fn test(name: &str) -> Self {
        Self::copy_of(&env::test_apps().join(name))
    }

    /// The test application `Misbehave`, told how to.
    pub fn misbehaving(how: &str) -> Self {
        Self::test("Misbehave").arguments(&format!(r".\Misbehave.dll {how}"))
    }

    /// A folder with nothing in it.
    pub fn empty() -> Self {
        let temp = tempfile::tempdir().expect("a temporary folder can be made");
        let dir = temp.path().join("app");
        fs::create_dir(&dir).expect("a new folder can be written to");
        Self { _temp: temp, dir }
    }

    fn copy_of(published: &Path) -> Self {
        let app = Self::empty();
        copy(published, &app.dir).unwrap_or_else(|error| {
            panic!("cannot copy {}: {error}; run `cargo xtask build`", published.display())
        });
        app
    }

    /// With `web.config` as `change` makes it.
    #[must_use]
    pub fn web_config(self, change: impl FnOnce(&str) -> String) -> Self {
        let text = self.read(WEB_CONFIG);
        self.file(WEB_CONFIG, change(&text))
    }

    /// With `from` replaced by `to` in `web.config`, where it has to be.
    #[must_use]
    pub fn replace(self, from: &str, to: &str) -> Self {
        self.web_config(|text| {
            assert!(text.contains(from), "no {from} in\n{text}");
            text.replace(from, to)
        })
    }

    /// With another hosting model.
    #[must_use]
    pub fn model(self, model: Model) -> Self {
        self.attribute("hostingModel", &model.to_string())
    }

    /// With another value for an attribute of `<aspNetCore>`, which is added if it is not there.
    #[must_use]
    pub fn attribute(self, name: &str, value: &str) -> Self {
        self.web_config(|text| set_attribute(text, name, value))
    }

    /// With other `arguments`.
    #[must_use]
    pub fn arguments(self, arguments: &str) -> Self {
        self.attribute("arguments", arguments)
    }

    /// With another element inside `<aspNetCore>`.
    #[must_use]
    pub fn element(self, xml: &str) -> Self {
        self.web_config(|text| add_element(text, xml))
    }

    /// With environment variables in `web.config`.
    #[must_use]
    pub fn variables(self, variables: &[(&str, &str)]) -> Self {
        let variable = |(name, value): &(&str, &str)| {
            format!(r#"<environmentVariable name="{name}" value="{}" />"#, escape(value))
        };
        let variables: String = variables.iter().map(variable).collect();
        self.element(&format!("<environmentVariables>{variables}</environmentVariables>"))
    }

    /// With a handler setting in `web.config`.
    #[must_use]
    pub fn handler_setting(self, name: &str, value: &str) -> Self {
        let setting = format!(r#"<handlerSetting name="{name}" value="{value}" />"#);
        self.element(&format!("<handlerSettings>{setting}</handlerSettings>"))
    }

    /// With a file.
    #[must_use]
    pub fn file(self, name: &str, content: impl AsRef<[u8]>) -> Self {
        self.write(name, content);
        self
    }

    /// Without a file.
    #[must_use]
    pub fn without(self, name: &str) -> Self {
        fs::remove_file(self.dir.join(name)).unwrap_or_else(|error| panic!("{name}: {error}"));
        self
    }

    /// In a folder of another name.
    #[must_use]
    pub fn in_folder(mut self, name: &str) -> Self {
        let dir = self.dir.with_file_name(name);
        fs::rename(&self.dir, &dir).expect("a folder can be renamed");
        self.dir = dir;
        self
    }

    /// With all but `web.config` in a folder below.
    #[must_use]
    pub fn below(self, name: &str) -> Self {
        let below = self.dir.join(name);
        let entries: Vec<_> = fs::read_dir(&self.dir).expect("it can be listed").collect();
        fs::create_dir(&below).expect("a folder can be made");
        for entry in entries {
            let entry = entry.expect("it can be listed");
            if entry.file_name() != WEB_CONFIG {
                let to = below.join(entry.file_name());
                fs::rename(entry.path(), to).expect("a file can be moved");
            }
        }
        self
    }

    /// Writes a file as a whole: nobody sees half of it.
    pub fn write(&self, name: &str, content: impl AsRef<[u8]>) {
        let path = self.dir.join(name);
        let new = self.dir.with_file_name("new-file");
        let written = fs::write(&new, content).and_then(|()| fs::rename(&new, &path));
        written.unwrap_or_else(|error| panic!("{}: {error}", path.display()));
    }

    /// Reads a file.
    pub fn read(&self, name: &str) -> String {
        let path = self.dir.join(name);
        fs::read_to_string(&path).unwrap_or_else(|error| panic!("{}: {error}", path.display()))
    }

    /// Its folder, absolute.
    pub fn dir(&self) -> &Path {
        &self.dir
    }

    /// The path of a file in its folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.dir.join(name)
    }
}

fn copy(from: &Path, to: &Path) -> std::io::Result<()> {
    fs::create_dir_all(to)?;
    for entry in fs::read_dir(from)? {
        let entry = entry?;
        let target = to.join(entry.file_name());
        if entry.file_type()?.is_dir() {
            copy(&entry.path(), &target)?;
        } else {
            fs::copy(entry.path(), &target)?;
        }
    }
    // Whoever started with another umask: servers may run as another user.
    fs::set_permissions(to, fs::Permissions::from_mode(0o755))
}

/// The text of an attribute's value.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

fn set_attribute(text: &str, name: &str, value: &str) -> String {
    let element = text.find("<aspNetCore ").expect("there is an aspNetCore element");
    let end = element + text[element..].find('>').expect("the element ends");
    let value = format!(r#"{name}="{}""#, escape(value));
    match text[element..end].find(&format!(" {name}=\"")) {
        Some(at) => {
            let start = element + at + 1;
            let quoted = start + name.len() + 2;
            let close = quoted + text[quoted..].find('"').expect("a value has an end") + 1;
            format!("{}{value}{}", &text[..start], &text[close..])
        }
        None => {
            let at = element + "<aspNetCore ".len();
            format!("{}{value} {}", &text[..at], &text[at..])
        }
    }
}

fn add_element(text: &str, xml: &str) -> String {
    if text.contains("</aspNetCore>") {
        return text.replace("</aspNetCore>", &format!("{xml}</aspNetCore>"));
    }
    let element = text.find("<aspNetCore ").expect("there is an aspNetCore element");
    let end = element + text[element..].find("/>").expect("the element is empty");
    format!("{}>{xml}</aspNetCore>{}", &text[..end], &text[end + 2..])
}

#[cfg(test)]
mod tests {
    use super::*;

    const TEXT: &str = r#"<a><aspNetCore processPath="dotnet" arguments="x" /></a>"#;

    #[test]
    fn attributes_are_replaced_or_added() {
        assert_eq!(
            set_attribute(TEXT, "arguments", r#"a "b""#),
            r#"<a><aspNetCore processPath="dotnet" arguments="a &quot;b&quot;" /></a>"#
        );
        assert_eq!(
            set_attribute(TEXT, "hostingModel", "inprocess"),
            r#"<a><aspNetCore hostingModel="inprocess" processPath="dotnet" arguments="x" /></a>"#
        );
    }

    #[test]
    fn elements_are_added_to_an_empty_and_to_a_filled_one() {
        let once = add_element(TEXT, "<b/>");
        assert_eq!(
            once,
            r#"<a><aspNetCore processPath="dotnet" arguments="x" ><b/></aspNetCore></a>"#
        );
        assert!(add_element(&once, "<c/>").contains("<b/><c/></aspNetCore>"));
    }
}
