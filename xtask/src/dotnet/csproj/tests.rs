use super::*;

/// A folder with the given files, removed at the end of the test.
struct Files(PathBuf);

impl Files {
    fn new(files: &[(&str, &str)]) -> Self {
        use std::sync::atomic::{AtomicUsize, Ordering};
        static NEXT: AtomicUsize = AtomicUsize::new(0);
        let number = NEXT.fetch_add(1, Ordering::Relaxed);
        let name = format!("xtask-csproj-{}-{number}", std::process::id());
        let root = std::env::temp_dir().join(name);
        for (path, text) in files {
            let path = root.join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            fs::write(path, text).unwrap();
        }
        Files(fs::canonicalize(root).unwrap())
    }

    fn load(&self, path: &str) -> Result<Project> {
        Project::load(&self.0.join(path), "net9.0")
    }

    fn relative(&self, paths: &[PathBuf]) -> Vec<String> {
        paths.iter().map(|path| path.strip_prefix(&self.0).unwrap().display().to_string()).collect()
    }
}

impl Drop for Files {
    fn drop(&mut self) {
        fs::remove_dir_all(&self.0).ok();
    }
}

fn error_of(csproj: &str) -> String {
    let files = Files::new(&[("App/App.csproj", csproj)]);
    format!("{:#}", files.load("App/App.csproj").unwrap_err())
}

#[test]
fn a_web_project_is_a_program_with_content() {
    let files = Files::new(&[
        ("App/App.csproj", r#"<Project Sdk="Microsoft.NET.Sdk.Web"/>"#),
        ("App/Program.cs", ""),
        ("App/Api/Echo.cs", ""),
        ("App/obj/Generated.cs", ""),
        ("App/appsettings.json", ""),
        ("App/Properties/launchSettings.json", ""),
        ("App/wwwroot/css/site.css", ""),
    ]);
    let project = files.load("App/App.csproj").unwrap();
    assert_eq!(project.name(), "App");
    assert!(project.is_program() && project.aspnet);
    assert_eq!(files.relative(&project.sources), ["App/Api/Echo.cs", "App/Program.cs"]);
    let content: Vec<&str> = project.content.iter().map(|(_, to)| &**to).collect();
    assert_eq!(content, ["appsettings.json", "wwwroot/css/site.css"]);
}

#[test]
fn shared_properties_come_first_and_the_target_framework_from_outside() {
    let files = Files::new(&[
        (
            "Directory.Build.props",
            "<Project><PropertyGroup>
               <Other Condition=\"'a' == 'b'\">x</Other>
             </PropertyGroup></Project>",
        ),
        (
            "dotnet/Directory.Build.props",
            "<Project><PropertyGroup>
               <AncmTargetFramework Condition=\"'$(AncmTargetFramework)' == ''\">net8.0</AncmTargetFramework>
               <TargetFramework>$(AncmTargetFramework)</TargetFramework>
               <NoWarn>$(NoWarn);CS1701</NoWarn>
               <Nullable>enable</Nullable>
             </PropertyGroup></Project>",
        ),
        (
            "dotnet/Lib/Lib.csproj",
            r#"<Project Sdk="Microsoft.NET.Sdk"><PropertyGroup>
               <AssemblyName>$(MSBuildProjectName).Core</AssemblyName>
               <NoWarn>$(NoWarn);CS1702</NoWarn>
             </PropertyGroup></Project>"#,
        ),
    ]);
    let project = files.load("dotnet/Lib/Lib.csproj").unwrap();
    assert_eq!(project.name(), "Lib.Core");
    assert_eq!(project.property("NoWarn"), Some(";CS1701;CS1702"));
    assert_eq!(project.property("TargetFramework"), Some("net9.0"));
    assert_eq!(project.flag("Nullable"), Some(true));
    assert_eq!(project.flag("AllowUnsafeBlocks"), None);
    assert!(!project.is_program() && !project.aspnet);
    assert_eq!(files.relative(&project.imports), ["dotnet/Directory.Build.props"]);
}

#[test]
fn items_add_and_remove() {
    let files = Files::new(&[
        (
            "App/App.csproj",
            r#"<Project Sdk="Microsoft.NET.Sdk">
                 <PropertyGroup><OutputType>Exe</OutputType></PropertyGroup>
                 <ItemGroup>
                   <Compile Remove="Old/**" />
                   <Compile Include="..\Shared\*.cs" />
                   <FrameworkReference Include="Microsoft.AspNetCore.App" />
                   <ProjectReference Include="../Lib/Lib.csproj" />
                   <None Update="data.txt" CopyToOutputDirectory="PreserveNewest" />
                   <EmbeddedResource Include="page.html" LogicalName="page" />
                 </ItemGroup>
               </Project>"#,
        ),
        ("App/Program.cs", ""),
        ("App/Old/Gone.cs", ""),
        ("App/data.txt", ""),
        ("App/page.html", ""),
        ("Shared/Usings.cs", ""),
        ("Lib/Lib.csproj", r#"<Project Sdk="Microsoft.NET.Sdk"/>"#),
    ]);
    let project = files.load("App/App.csproj").unwrap();
    assert!(project.is_program() && project.aspnet);
    assert_eq!(files.relative(&project.sources), ["App/Program.cs", "Shared/Usings.cs"]);
    assert_eq!(files.relative(&project.references), ["Lib/Lib.csproj"]);
    assert_eq!(project.content[0].1, "data.txt");
    assert_eq!(project.resources[0].1, "page");
}

#[test]
fn what_is_not_understood_is_an_error_with_its_line() {
    for (csproj, said) in [
        ("<Project/>", "Sdk None is not supported"),
        (
            "<Project Sdk=\"Microsoft.NET.Sdk\">\n<PropertyGroup><Trim>x</Trim></PropertyGroup></Project>",
            "App.csproj:2: the property Trim is not supported",
        ),
        (
            "<Project Sdk=\"Microsoft.NET.Sdk\"><ItemGroup>\n\n<PackageReference Include=\"X\"/></ItemGroup></Project>",
            "App.csproj:3: items of kind PackageReference",
        ),
        (
            "<Project Sdk=\"Microsoft.NET.Sdk\"><Target Name=\"x\"/></Project>",
            "<Target> is not supported",
        ),
        (
            "<Project Sdk=\"Microsoft.NET.Sdk\"><PropertyGroup Condition=\"Exists('x')\"/></Project>",
            "is not a comparison",
        ),
    ] {
        let error = error_of(csproj);
        assert!(error.contains(said), "{error}");
    }
}
