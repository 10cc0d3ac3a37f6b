//! Where the sockets of supervisors are: found again from the application's folder alone.
//!
//! Each application has a folder named after a hash of its path, in which each supervisor that
//! serves it has a socket named after its process. What a reader would get wrong: the last part of
//! the path is not resolved, because a deployment may turn a link to another folder while the
//! supervisor runs.

use std::fs;
use std::io;
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileTypeExt, MetadataExt};
use std::path::{Path, PathBuf};

use os::private;

/// Longest path that the address of a Unix socket has room for, without the zero at its end.
const PATH_LIMIT: usize = 107;
/// More than the longest name below a place, separators included.
const NAMES: usize = 48;
const SUFFIX: &str = ".sock";

/// What the environment says about places.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Variables {
    /// `RUNTIME_DIRECTORY`: what systemd made for the service.
    pub runtime_directory: Option<String>,
    /// `XDG_RUNTIME_DIR`: what the session has.
    pub xdg_runtime_dir: Option<String>,
}

/// Places for sockets.
#[derive(Clone, Debug)]
pub struct Place {
    user: u32,
    variables: Variables,
    /// `/`, but in tests.
    root: PathBuf,
}

impl Place {
    /// The places of this user.
    ///
    /// # Errors
    ///
    /// There is no `/proc`.
    pub fn of_user(variables: Variables) -> io::Result<Self> {
        Ok(Self { user: private::own_user()?, variables, root: "/".into() })
    }

    /// Where a supervisor makes its folder, best first.
    fn own(&self) -> Vec<PathBuf> {
        let absolute = |text: &Option<String>| {
            let first = text.as_deref().and_then(|list| list.split(':').next());
            first.map(PathBuf::from).filter(|path| path.is_absolute())
        };
        let run = self.root.join("run/ancm");
        // Commands do not know the variable: they find what is below the system's own place.
        let service = absolute(&self.variables.runtime_directory);
        let service = service.filter(|path| path.parent() == Some(&run) || *path == run);
        let session = absolute(&self.variables.xdg_runtime_dir).map(|path| path.join("ancm"));
        let system = (self.user == 0).then_some(run);
        let temporary = self.root.join(format!("tmp/ancm-{}", self.user));
        [service, session, system, Some(temporary)].into_iter().flatten().collect()
    }

    /// Where a command looks: at all places of its user, and as root at those of others.
    fn searched(&self) -> Vec<PathBuf> {
        let mut places = self.own();
        let run = self.root.join("run/ancm");
        places.extend(children(&run));
        places.push(run);
        let users = self.root.join("run/user");
        match self.user {
            0 => {
                places.extend(children(&users).into_iter().map(|path| path.join("ancm")));
                let temporary = children(&self.root.join("tmp")).into_iter();
                places.extend(temporary.filter(|path| is_temporary(path)));
            }
            user => places.push(users.join(user.to_string()).join("ancm")),
        }
        places.sort();
        places.dedup();
        places
    }

    /// The path for the socket of process `pid` that serves `app`; its folder is made.
    ///
    /// # Errors
    ///
    /// There is no folder `app`, or no place can be had: the error is that of the last one.
    pub(super) fn socket(&self, app: &Path, pid: u32) -> io::Result<PathBuf> {
        let name = folder_name(&named(app)?);
        let mut error = io::Error::from(io::ErrorKind::NotFound);
        for place in self.own() {
            match below(&place, &name) {
                Ok(folder) => return Ok(folder.join(format!("{pid}{SUFFIX}"))),
                Err(why) => {
                    error = io::Error::new(why.kind(), format!("{}: {why}", place.display()));
                }
            }
        }
        Err(error)
    }

    /// The sockets of supervisors that serve `app`, or did.
    ///
    /// # Errors
    ///
    /// There is no folder `app`.
    pub(super) fn sockets(&self, app: &Path) -> io::Result<Vec<PathBuf>> {
        let named = named(app)?;
        let mut names = vec![folder_name(&named)];
        if let Ok(real) = named.canonicalize()
            && real != named
        {
            names.push(folder_name(&real));
        }
        let mut sockets = Vec::new();
        for place in self.searched() {
            for folder in names.iter().map(|name| place.join(name)) {
                // INVARIANT: nobody but this user, or root, decides whom a command talks to.
                let owner = fs::symlink_metadata(&folder).ok().filter(fs::Metadata::is_dir);
                let Some(owner) = owner.map(|metadata| metadata.uid()) else { continue };
                if owner == self.user || owner == 0 || self.user == 0 {
                    sockets.extend(sockets_in(&folder));
                }
            }
        }
        sockets.sort();
        Ok(sockets)
    }
}

/// The sockets in a folder.
pub(super) fn sockets_in(folder: &Path) -> Vec<PathBuf> {
    let is_socket = |path: &PathBuf| {
        path.extension().is_some_and(|end| end == &SUFFIX[1..])
            && fs::symlink_metadata(path).is_ok_and(|found| found.file_type().is_socket())
    };
    let mut sockets = children(folder);
    sockets.retain(is_socket);
    sockets
}

fn children(folder: &Path) -> Vec<PathBuf> {
    fs::read_dir(folder).into_iter().flatten().flatten().map(|entry| entry.path()).collect()
}

fn is_temporary(path: &Path) -> bool {
    let name = path.file_name().and_then(|name| name.to_str());
    name.and_then(|name| name.strip_prefix("ancm-"))
        .is_some_and(|user| !user.is_empty() && user.bytes().all(|byte| byte.is_ascii_digit()))
}

fn below(place: &Path, name: &str) -> io::Result<PathBuf> {
    if place.as_os_str().as_bytes().len() + NAMES > PATH_LIMIT {
        return Err(io::Error::other("the path is too long for a socket"));
    }
    private::folder(place)?;
    let folder = place.join(name);
    private::folder(&folder)?;
    match fs::symlink_metadata(&folder)?.mode() & 0o777 {
        0o700 => Ok(folder),
        _ => Err(io::Error::other(format!("{} is not private", folder.display()))),
    }
}

/// The path of an application as commands and supervisors agree on it: everything resolved but its
/// last part.
fn named(app: &Path) -> io::Result<PathBuf> {
    if !fs::metadata(app)?.is_dir() {
        return Err(io::ErrorKind::NotADirectory.into());
    }
    match (app.parent(), app.file_name()) {
        (Some(parent), Some(name)) if !parent.as_os_str().is_empty() => {
            Ok(parent.canonicalize()?.join(name))
        }
        (Some(_), Some(name)) => Ok(Path::new(".").canonicalize()?.join(name)),
        // `.`, `/` or something that ends in `..`.
        _ => app.canonicalize(),
    }
}

/// FNV-1a of 64 bits: the same in every build, and short enough for a socket's path.
fn folder_name(app: &Path) -> String {
    let mut hash = 0xcbf2_9ce4_8422_2325_u64;
    for byte in app.as_os_str().as_bytes() {
        hash = (hash ^ u64::from(*byte)).wrapping_mul(0x0000_0100_0000_01b3);
    }
    format!("a{hash:016x}")
}

#[cfg(test)]
mod tests {
    use std::os::unix::fs::{PermissionsExt, symlink};
    use std::os::unix::net::UnixListener;

    use super::*;

    /// Places below a folder of a test; its path must leave room for a socket.
    fn place(root: &Path, variables: Variables) -> Place {
        fs::create_dir_all(root.join("tmp")).unwrap();
        fs::create_dir_all(root.join("run")).unwrap();
        Place { user: private::own_user().unwrap(), variables, root: root.to_owned() }
    }

    #[test]
    fn a_socket_is_found_from_the_folder_however_that_is_named() {
        let root = tempfile::tempdir().unwrap();
        let place = place(root.path(), Variables::default());
        let [app, releases] = ["app", "releases"].map(|name| root.path().join(name));
        fs::create_dir_all(releases.join("1")).unwrap();
        fs::create_dir_all(releases.join("2")).unwrap();
        symlink(releases.join("1"), &app).unwrap();
        let socket = place.socket(&app, 7).unwrap();
        let mode = fs::metadata(socket.parent().unwrap()).unwrap().permissions().mode();
        assert_eq!(mode & 0o777, 0o700);
        assert_eq!(place.sockets(&app).unwrap(), Vec::<PathBuf>::new());
        let _listener = UnixListener::bind(&socket).unwrap();
        // A deployment turns the link.
        fs::remove_file(&app).unwrap();
        symlink(releases.join("2"), &app).unwrap();
        assert_eq!(place.sockets(&app).unwrap(), std::slice::from_ref(&socket));
        assert_eq!(place.sockets(&root.path().join("releases/../app/")).unwrap(), [socket]);
        assert!(place.sockets(&releases).unwrap().is_empty());
        // Another link to a folder that is served by its own name.
        let socket = place.socket(&releases, 8).unwrap();
        let _listener = UnixListener::bind(&socket).unwrap();
        symlink(&releases, root.path().join("link")).unwrap();
        assert_eq!(place.sockets(&root.path().join("link")).unwrap(), [socket]);
        assert!(place.sockets(&root.path().join("none")).is_err());
    }

    #[test]
    fn a_place_that_is_not_private_is_passed_over() {
        let root = tempfile::tempdir().unwrap();
        let session = root.path().join("session");
        fs::create_dir_all(session.join("ancm")).unwrap();
        fs::set_permissions(session.join("ancm"), PermissionsExt::from_mode(0o777)).unwrap();
        let variables = Variables {
            runtime_directory: Some(root.path().join("elsewhere").display().to_string()),
            xdg_runtime_dir: Some(session.display().to_string()),
        };
        let place = place(root.path(), variables);
        let socket = place.socket(root.path(), 7).unwrap();
        assert!(!socket.starts_with(&session), "{}", socket.display());
        fs::set_permissions(session.join("ancm"), PermissionsExt::from_mode(0o755)).unwrap();
        let socket = place.socket(root.path(), 7).unwrap();
        assert!(socket.starts_with(&session), "{}", socket.display());
    }

    #[test]
    fn what_the_service_manager_made_below_the_systems_place_comes_first() {
        let root = tempfile::tempdir().unwrap();
        let service = root.path().join("run/ancm/shop");
        let variables = Variables {
            runtime_directory: Some(format!("{}:/other", service.display())),
            xdg_runtime_dir: Some("relative".to_owned()),
        };
        let place = place(root.path(), variables);
        fs::create_dir_all(&service).unwrap();
        let socket = place.socket(root.path(), 7).unwrap();
        assert!(socket.starts_with(&service), "{}", socket.display());
        let _listener = UnixListener::bind(&socket).unwrap();
        let command = Place { variables: Variables::default(), ..place };
        assert_eq!(command.sockets(root.path()).unwrap(), [socket]);
    }
}
