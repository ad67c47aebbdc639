//! What the machine offers and allows, asked at start: io_uring, locked memory, descriptors, direct I/O.
//!
//! Each answer is a value; `preflight` decides what is refused, and prints the cause and the cure.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io;
use std::os::fd::{AsRawFd, FromRawFd, OwnedFd, RawFd};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::OnceLock;
use std::thread;
use std::time::{Duration, Instant};

use super::{ALIGN, Buf, cgroup};

/// Why io_uring cannot be used.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum IoUringRefused {
    #[error("the kernel has no io_uring: it is too old (5.19 or later is recommended) or was built without it")]
    NoSuchCall,
    #[error("io_uring is disabled by the sysctl kernel.io_uring_disabled={0}: set it to 0")]
    DisabledBySysctl(u32),
    #[error(
        "io_uring is forbidden, most likely by a seccomp profile (Docker's default one forbids it): allow \
         io_uring_setup, io_uring_enter and io_uring_register"
    )]
    Forbidden,
    #[error("io_uring finds too little memory: raise the locked-memory limit (LimitMEMLOCK=infinity, ulimit -l)")]
    NoMemory,
    #[error("the kernel's io_uring lacks operation {0}: a newer kernel is needed")]
    NoSuchOperation(u8),
    #[error("io_uring_setup fails with error {0}")]
    Failed(i32),
}

/// The io_uring operations that the executor and the files need, by number: NOP, READV, WRITEV, FSYNC, READ_FIXED,
/// WRITE_FIXED, POLL_ADD, POLL_REMOVE, SENDMSG, RECVMSG, TIMEOUT, TIMEOUT_REMOVE, ACCEPT, LINK_TIMEOUT, CONNECT,
/// FALLOCATE, OPENAT, CLOSE, STATX, READ, WRITE, SEND, RECV.
const OPERATIONS: [u8; 23] = [
    0, 1, 2, 3, 4, 5, 6, 7, 9, 10, 11, 12, 13, 15, 16, 17, 18, 19, 21, 22, 23, 26, 27,
];

/// How long the rings of a process that has ended, or of an executor that is gone, may still count as locked memory: the
/// kernel takes them down behind their backs.
const LOCKED_MEMORY_PATIENCE: Duration = Duration::from_secs(2);
const LOCKED_MEMORY_LOOK: Duration = Duration::from_millis(20);

/// Tries what needs locked memory again while that is short, but not for long.
pub(super) fn with_locked_memory<T, E>(
    attempt: impl Fn() -> Result<T, E>,
    is_out_of_memory: impl Fn(&E) -> bool,
) -> Result<T, E> {
    let begun = Instant::now();
    loop {
        match attempt() {
            Err(error) if is_out_of_memory(&error) && begun.elapsed() < LOCKED_MEMORY_PATIENCE => {
                thread::sleep(LOCKED_MEMORY_LOOK);
            }
            outcome => return outcome,
        }
    }
}

/// Sets a small ring up and asks it for the operations that we use.
pub fn io_uring() -> Result<(), IoUringRefused> {
    let is_out_of_memory = |error: &io::Error| error.raw_os_error() == Some(libc::ENOMEM);
    let ring = match with_locked_memory(set_up_ring, is_out_of_memory) {
        Ok(ring) => ring,
        Err(error) => return Err(refusal(error.raw_os_error().unwrap_or(0), disabled_by_sysctl())),
    };
    let supported = probe_operations(ring.as_raw_fd()).map_err(|error| {
        IoUringRefused::Failed(error.raw_os_error().unwrap_or(0)) // IORING_REGISTER_PROBE is as old as 5.6
    })?;
    match OPERATIONS.iter().find(|operation| !supported.contains(operation)) {
        Some(operation) => Err(IoUringRefused::NoSuchOperation(*operation)),
        None => Ok(()),
    }
}

fn refusal(errno: i32, sysctl: u32) -> IoUringRefused {
    match errno {
        libc::ENOSYS => IoUringRefused::NoSuchCall,
        libc::EPERM if sysctl != 0 => IoUringRefused::DisabledBySysctl(sysctl),
        libc::EPERM | libc::EACCES => IoUringRefused::Forbidden,
        libc::ENOMEM => IoUringRefused::NoMemory,
        other => IoUringRefused::Failed(other),
    }
}

fn disabled_by_sysctl() -> u32 {
    let value = fs::read_to_string("/proc/sys/kernel/io_uring_disabled").unwrap_or_default();
    value.trim().parse().unwrap_or(0)
}

/// 120 bytes: `struct io_uring_params`.
const PARAMS_WORDS: usize = 30;

fn set_up_ring() -> io::Result<OwnedFd> {
    let mut params = [0_u32; PARAMS_WORDS];
    // SAFETY: `params` has the size of io_uring_params, is zeroed as the call wants it, and outlives the call.
    let fd = unsafe { libc::syscall(libc::SYS_io_uring_setup, 4, params.as_mut_ptr()) };
    if fd < 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: the call returned a new descriptor that nobody else knows.
    Ok(unsafe { OwnedFd::from_raw_fd(fd as RawFd) })
}

/// `struct io_uring_probe` with its operations.
#[repr(C)]
#[derive(Clone, Copy)]
struct Probe {
    last_op: u8,
    ops_len: u8,
    reserved: [u8; 14],
    ops: [ProbeOperation; PROBE_OPERATIONS],
}
const PROBE_OPERATIONS: usize = 64;
#[repr(C)]
#[derive(Clone, Copy)]
struct ProbeOperation {
    number: u8,
    reserved: u8,
    flags: u16,
    reserved_end: u32,
}
const REGISTER_PROBE: libc::c_uint = 8;
const OPERATION_SUPPORTED: u16 = 1;

fn probe_operations(ring: RawFd) -> io::Result<Vec<u8>> {
    // SAFETY: the struct is made of integers only, for which zeros are valid.
    let mut probe: Probe = unsafe { std::mem::zeroed() };
    // SAFETY: `ring` is open; `probe` has room for the number of operations that is passed, and outlives the call.
    let result = unsafe {
        libc::syscall(
            libc::SYS_io_uring_register,
            ring,
            REGISTER_PROBE,
            &raw mut probe,
            PROBE_OPERATIONS,
        )
    };
    if result < 0 {
        return Err(io::Error::last_os_error());
    }
    let known = probe.ops.iter().take(probe.ops_len.into());
    Ok(known
        .filter(|operation| operation.flags & OPERATION_SUPPORTED != 0)
        .map(|operation| operation.number)
        .collect())
}

/// Bytes of memory that this process may use: the machine's, or what the control group allows.
pub fn memory_bytes() -> usize {
    // SAFETY: takes no memory of ours.
    let (pages, page) = unsafe { (libc::sysconf(libc::_SC_PHYS_PAGES), libc::sysconf(libc::_SC_PAGESIZE)) };
    let machine = usize::try_from(pages).unwrap_or(0) * usize::try_from(page).unwrap_or(0);
    cgroup::memory_limit_bytes().map_or(machine, |limit| limit.min(machine))
}

/// The limit of locked memory in bytes; `None` when there is none. An executor takes its rings and its I/O memory from it.
pub fn memlock_limit() -> io::Result<Option<u64>> {
    let limit = resource_limit(libc::RLIMIT_MEMLOCK)?;
    Ok((limit.rlim_cur != libc::RLIM_INFINITY).then_some(limit.rlim_cur))
}

/// Descriptors that connections leave to files, at most.
const FILES_KEPT_MAX: u64 = 4_096;

/// The limit of open descriptors, before and after [`raise_nofile`].
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct NoFile {
    pub before: u64,
    pub now: u64,
}

/// Raises the soft limit of open descriptors to the hard one.
pub fn raise_nofile() -> io::Result<NoFile> {
    let mut limit = resource_limit(libc::RLIMIT_NOFILE)?;
    let before = limit.rlim_cur;
    limit.rlim_cur = limit.rlim_max;
    // SAFETY: `limit` is a valid rlimit that outlives the call.
    if unsafe { libc::setrlimit(libc::RLIMIT_NOFILE, &limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(NoFile {
        before,
        now: limit.rlim_cur,
    })
}

/// Descriptors from this number on are for files: a log that finds none fails, and its directory goes offline.
pub(super) fn first_descriptor_for_files() -> i32 {
    static FIRST: OnceLock<i32> = OnceLock::new();
    *FIRST.get_or_init(|| {
        let limit = resource_limit(libc::RLIMIT_NOFILE).map_or(u64::MAX, |limit| limit.rlim_cur);
        i32::try_from(limit - kept_for_files(limit)).unwrap_or(i32::MAX)
    })
}

fn kept_for_files(limit: u64) -> u64 {
    (limit / 4).min(FILES_KEPT_MAX)
}

fn resource_limit(resource: libc::__rlimit_resource_t) -> io::Result<libc::rlimit> {
    let mut limit = libc::rlimit {
        rlim_cur: 0,
        rlim_max: 0,
    };
    // SAFETY: `limit` is a valid rlimit for the call to fill.
    if unsafe { libc::getrlimit(resource, &mut limit) } != 0 {
        return Err(io::Error::last_os_error());
    }
    Ok(limit)
}

/// Descriptors that this process has open.
pub fn open_fds() -> io::Result<usize> {
    let listed = fs::read_dir("/proc/self/fd")?.count();
    Ok(listed.saturating_sub(1)) // one is the listing's own
}

/// What this process has used of its machine so far.
#[derive(Clone, Copy, Debug, Default, PartialEq)]
pub struct Usage {
    pub cpu_seconds: f64,
    pub resident_bytes: u64,
    pub open_fds: u64,
    pub max_fds: u64,
    /// At the block layer.
    pub disk_read_bytes: u64,
    pub disk_write_bytes: u64,
}

/// USER_HZ, the unit of /proc/PID/stat on every Linux of today.
const TICKS_PER_SECOND: f64 = 100.0;

/// What /proc says of this process; zeros where it does not say.
pub fn usage() -> Usage {
    let read = |name| fs::read_to_string(format!("/proc/self/{name}")).unwrap_or_default();
    let (stat, status, io) = (read("stat"), read("status"), read("io"));
    // Behind the name, which may hold anything: utime and stime are the 12th and 13th field.
    let times = stat.rsplit(')').next().unwrap_or_default().split_whitespace().skip(11);
    let ticks: u64 = times.take(2).filter_map(|field| field.parse::<u64>().ok()).sum();
    Usage {
        cpu_seconds: ticks as f64 / TICKS_PER_SECOND,
        resident_bytes: number_behind(&status, "VmRSS:") << 10,
        open_fds: count_fds(),
        max_fds: resource_limit(libc::RLIMIT_NOFILE).map_or(0, |limit| limit.rlim_cur),
        disk_read_bytes: number_behind(&io, "read_bytes:"),
        disk_write_bytes: number_behind(&io, "\nwrite_bytes:"),
    }
}

/// Newer kernels give the number as the directory's size: with many partitions, listing it takes milliseconds.
fn count_fds() -> u64 {
    match fs::metadata("/proc/self/fd").map(|directory| directory.len()) {
        Ok(count) if count > 0 => count,
        _ => open_fds().map_or(0, |count| count as u64),
    }
}

fn number_behind(text: &str, word: &str) -> u64 {
    let behind = text.split_once(word).map(|(_, behind)| behind).unwrap_or_default();
    let number = behind.split_whitespace().next().unwrap_or_default();
    number.parse().unwrap_or(0)
}

/// What direct I/O on a file system asks for, in bytes.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct DirectIo {
    pub memory_align: usize,
    pub offset_align: usize,
}

impl DirectIo {
    /// Whether our blocks satisfy it.
    pub fn fits(self) -> bool {
        let divides = |align: usize| align != 0 && ALIGN.is_multiple_of(align);
        divides(self.memory_align) && divides(self.offset_align)
    }
}

/// Tries direct I/O in a directory, with a file that has no name (or loses it at once), and asks for its alignment.
/// `Err(InvalidInput)` or `Err(Unsupported)` where the file system cannot do it.
pub fn direct_io(dir: &Path) -> io::Result<DirectIo> {
    let file = open_unnamed(dir, 0)?;
    let block = Buf::zeroed(ALIGN);
    match file.write_all_at(block.as_slice(), 0) {
        // Nothing is wrong with a full disk's direct I/O.
        Err(full) if [io::ErrorKind::StorageFull, io::ErrorKind::QuotaExceeded].contains(&full.kind()) => {}
        written => written?,
    }
    match statx_alignment(&file) {
        Some(DirectIo { offset_align: 0, .. }) => Err(io::ErrorKind::Unsupported.into()),
        Some(told) => Ok(told),
        // Kernels before 6.1 and some file systems do not tell; one block was just written, so our blocks will do.
        None => Ok(DirectIo {
            memory_align: ALIGN,
            offset_align: ALIGN,
        }),
    }
}

/// A file for direct I/O that goes when it is closed, opened with `flags` besides.
pub(super) fn open_unnamed(dir: &Path, flags: libc::c_int) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.read(true).write(true).mode(0o600);
    let unnamed = options
        .clone()
        .custom_flags(libc::O_DIRECT | libc::O_TMPFILE | flags)
        .open(dir);
    if unnamed.as_ref().err().and_then(io::Error::raw_os_error) != Some(libc::EOPNOTSUPP) {
        return unnamed;
    }
    let path = dir.join(format!(".direct-io-{}", std::process::id()));
    let named = options.create(true).custom_flags(libc::O_DIRECT | flags).open(&path);
    let removed = fs::remove_file(&path);
    let file = named?;
    removed?;
    Ok(file)
}

/// `None` where the kernel or the file system does not tell; zeros where it has no direct I/O.
fn statx_alignment(file: &File) -> Option<DirectIo> {
    // SAFETY: the struct is made of integers only, for which zeros are valid.
    let mut stat: libc::statx = unsafe { std::mem::zeroed() };
    // SAFETY: the descriptor is open, the path is an empty terminated string, `stat` is valid for the call to fill.
    let result = unsafe {
        libc::statx(
            file.as_raw_fd(),
            c"".as_ptr(),
            libc::AT_EMPTY_PATH,
            libc::STATX_DIOALIGN,
            &mut stat,
        )
    };
    let is_told = result == 0 && stat.stx_mask & libc::STATX_DIOALIGN != 0;
    is_told.then_some(DirectIo {
        memory_align: stat.stx_dio_mem_align as usize,
        offset_align: stat.stx_dio_offset_align as usize,
    })
}

/// The path itself if it is there, else the nearest directory above it that is.
pub fn nearest_existing(path: &Path) -> PathBuf {
    let there = path.ancestors().find(|path| path.exists());
    let there = there.filter(|path| !path.as_os_str().is_empty());
    there.unwrap_or(Path::new(".")).to_owned()
}

/// ramfs' number in `statfs`, which libc does not name.
const RAMFS_MAGIC: libc::__fsword_t = 0x8584_58f6;

/// Whether the file system is gone after a reboot: tmpfs or ramfs.
pub fn is_in_memory(path: &Path) -> io::Result<bool> {
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statfs>::zeroed();
    // SAFETY: `path` is a terminated string and `stat` is valid for the call to fill.
    if unsafe { libc::statfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed is a valid `statfs`, and the call has filled it.
    let stat = unsafe { stat.assume_init() };
    Ok([libc::TMPFS_MAGIC, RAMFS_MAGIC].contains(&stat.f_type))
}

/// Whether something has this path.
pub fn exists(path: &Path) -> bool {
    path.exists()
}

/// Whether somebody (ntpd, chrony, systemd-timesyncd) keeps the kernel's clock in time; `None` where that is not told.
pub fn is_clock_synchronized() -> Option<bool> {
    // SAFETY: the struct is made of integers only, for which zeros are valid; zero modes only ask.
    let mut clock: libc::timex = unsafe { std::mem::zeroed() };
    // SAFETY: `clock` is valid for the call to fill.
    let state = unsafe { libc::adjtimex(&mut clock) };
    (state >= 0).then_some(clock.status & libc::STA_UNSYNC == 0)
}

/// Whether this process may create files in the directory.
pub fn is_writable(dir: &Path) -> io::Result<bool> {
    let path = CString::new(dir.as_os_str().as_bytes())?;
    // SAFETY: `path` is a terminated string.
    Ok(unsafe { libc::access(path.as_ptr(), libc::W_OK | libc::X_OK) } == 0)
}

#[cfg(test)]
mod tests {
    use std::cell::Cell;

    use super::*;

    /// What a killed process had is given back behind its back; other errors are no reason to wait.
    #[test]
    fn locked_memory_is_waited_for() {
        let attempts = Cell::new(0);
        let attempt = || {
            attempts.set(attempts.get() + 1);
            if attempts.get() < 3 { Err("short") } else { Ok(()) }
        };
        assert_eq!(with_locked_memory(attempt, |error| *error == "short"), Ok(()));
        assert_eq!(attempts.get(), 3);
        attempts.set(0);
        assert_eq!(with_locked_memory(attempt, |_| false), Err("short"));
        assert_eq!(attempts.get(), 1);
    }

    #[test]
    fn this_machine_can_do_what_we_need() {
        assert_eq!(io_uring(), Ok(()));
        assert!(direct_io(&std::env::temp_dir()).unwrap().fits());
        assert!(is_writable(&std::env::temp_dir()).unwrap());
        assert!(is_clock_synchronized().is_some());
        assert!(open_fds().unwrap() >= 3);
        assert!(memlock_limit().unwrap().is_none_or(|bytes| bytes > 0));
    }

    #[test]
    fn what_is_not_there_yet_is_asked_of_what_is_above_it() {
        let temp = tempfile::tempdir().unwrap();
        assert_eq!(nearest_existing(temp.path()), temp.path());
        assert_eq!(nearest_existing(&temp.path().join("a/b")), temp.path());
        assert_eq!(nearest_existing(Path::new("not-there/b")), Path::new("."));
        assert!(is_in_memory(Path::new("/dev/shm")).is_ok());
        assert!(!is_in_memory(Path::new("/proc")).unwrap());
    }

    #[test]
    fn a_process_knows_what_it_uses() {
        let used = usage();
        assert!(
            used.resident_bytes > 1 << 20 && used.open_fds >= 3 && used.max_fds >= used.open_fds,
            "{used:?}"
        );
        assert_eq!(
            number_behind("rchar: 1\nread_bytes: 2\nwrite_bytes: 3\n", "\nwrite_bytes:"),
            3
        );
    }

    #[test]
    fn connections_leave_descriptors_to_files() {
        assert_eq!([0, 1_024, 20_000, 1 << 20].map(kept_for_files), [0, 256, 4_096, 4_096]);
        assert!(first_descriptor_for_files() > 0);
    }

    #[test]
    fn the_descriptor_limit_is_raised_as_far_as_allowed() {
        let raised = raise_nofile().unwrap();
        assert!(raised.now >= raised.before);
        assert_eq!(raise_nofile().unwrap().before, raised.now);
    }

    #[test]
    fn a_refusal_names_its_cause() {
        assert_eq!(refusal(libc::ENOSYS, 0), IoUringRefused::NoSuchCall);
        assert_eq!(refusal(libc::EPERM, 2), IoUringRefused::DisabledBySysctl(2));
        assert_eq!(refusal(libc::EPERM, 0), IoUringRefused::Forbidden);
        assert_eq!(refusal(libc::ENOMEM, 0), IoUringRefused::NoMemory);
        assert_eq!(refusal(libc::EMFILE, 0), IoUringRefused::Failed(libc::EMFILE));
    }

    #[test]
    fn an_alignment_beyond_our_block_does_not_fit() {
        let align = |offset_align| DirectIo {
            memory_align: 512,
            offset_align,
        };
        assert!(align(512).fits());
        assert!(align(4096).fits());
        assert!(!align(16384).fits());
        assert!(!align(0).fits());
    }
}
