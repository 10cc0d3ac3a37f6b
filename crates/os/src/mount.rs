//! What the file system of a path permits.

use std::ffi::CString;
use std::io;
use std::mem::MaybeUninit;
use std::os::unix::ffi::OsStrExt;
use std::path::Path;

use crate::check;

/// How a file system is mounted.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Mount {
    /// Nobody writes to it.
    pub is_read_only: bool,
    /// Code of its files is not executed, neither as programs nor as libraries.
    pub is_no_exec: bool,
}

/// How the file system that has `path` is mounted.
///
/// # Errors
///
/// The path cannot be reached.
pub fn of(path: &Path) -> io::Result<Mount> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut found = MaybeUninit::<libc::statvfs>::uninit();
    // SAFETY: `path` ends with a zero, and `found` is a place for the answer.
    check(unsafe { libc::statvfs(path.as_ptr(), found.as_mut_ptr()) })?;
    // SAFETY: the call has filled it.
    let flags = unsafe { found.assume_init() }.f_flag;
    let has = |flag| flags & flag != 0;
    Ok(Mount { is_read_only: has(libc::ST_RDONLY), is_no_exec: has(libc::ST_NOEXEC) })
}

/// Whether others than this system may write to the file system that has `path`, of which the kernel
/// then tells nobody: network file systems, and the folders that a host shares with its guests.
///
/// # Errors
///
/// The path cannot be reached.
pub fn is_shared(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut found = MaybeUninit::<libc::statfs>::uninit();
    // SAFETY: `path` ends with a zero, and `found` is a place for the answer.
    check(unsafe { libc::statfs(path.as_ptr(), found.as_mut_ptr()) })?;
    // SAFETY: the call has filled it.
    let kind = unsafe { found.assume_init() }.f_type;
    // As 32 bits, whatever type the architecture has for it.
    Ok(is_kind_shared(kind as u32))
}

/// By the numbers of statfs(2).
fn is_kind_shared(kind: u32) -> bool {
    const NFS: u32 = 0x6969;
    const NINE_P: u32 = 0x0102_1997;
    const SMB: u32 = 0x517b;
    const CIFS: u32 = 0xff53_4d42;
    const SMB2: u32 = 0xfe53_4d42;
    const CEPH: u32 = 0x00c3_6400;
    const AFS: u32 = 0x5346_414f;
    const VBOX: u32 = 0x786f_4256;
    // Of a program, such as sshfs, or virtiofs.
    const FUSE: u32 = 0x6573_5546;
    [NFS, NINE_P, SMB, CIFS, SMB2, CEPH, AFS, VBOX, FUSE].contains(&kind)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn where_this_test_runs_programs_are_executed() {
        assert!(!of(&std::env::current_exe().unwrap()).unwrap().is_no_exec);
        assert!(of(Path::new("/no/such/path")).is_err());
    }

    #[test]
    fn what_the_kernel_alone_writes_is_not_shared() {
        assert!(!is_shared(Path::new("/proc")).unwrap());
        assert!(is_shared(Path::new("/no/such/path")).is_err());
        let [nfs, ext4, tmpfs, overlay] = [0x6969, 0xef53, 0x0102_1994, 0x794c_7630];
        assert!(is_kind_shared(nfs));
        assert!(![ext4, tmpfs, overlay].into_iter().any(is_kind_shared));
    }
}
