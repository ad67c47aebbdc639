//! Plain synchronous files and sockets, for the control thread and the command line; never on a shard.

use std::ffi::CString;
use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Seek, SeekFrom, Write};
use std::net::ToSocketAddrs;
use std::os::fd::AsRawFd;
use std::os::unix::ffi::OsStrExt;
use std::path::{Path, PathBuf};
use std::time::Duration;

#[cfg(test)]
use super::sim;
#[cfg(test)]
use super::world::{World, current};

/// The whole file. `NotFound` where there is none.
pub fn read_file(path: &Path) -> io::Result<Vec<u8>> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::read_file(path);
    }
    fs::read(path)
}

/// The whole file, once direct writes that a killed process left in flight have ended. Allocating space that the file has
/// already changes nothing, but ext4 and XFS first let such writes finish.
pub fn read_settled(path: &Path) -> io::Result<Vec<u8>> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::read_file(path);
    }
    let mut file = OpenOptions::new().read(true).write(true).open(path)?;
    let len = file.metadata()?.len();
    // SAFETY: the descriptor is open as long as `file` lives; the call takes no memory of ours.
    if len > 0 && unsafe { libc::fallocate(file.as_raw_fd(), 0, 0, len as libc::off_t) } != 0 {
        let problem = io::Error::last_os_error();
        // Only a file with holes asks for space here; the wait came first.
        if problem.kind() != io::ErrorKind::StorageFull {
            return Err(problem);
        }
    }
    let mut content = Vec::with_capacity(len as usize);
    file.read_to_end(&mut content)?;
    Ok(content)
}

/// The whole file replaced at once: tmp + fsync + rename + directory sync.
pub fn write_file_atomic(path: &Path, content: &[u8]) -> io::Result<()> {
    let tmp = beside(path)?;
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::write_file_atomic(path, &tmp, content);
    }
    let mut file = File::create(&tmp)?;
    file.write_all(content)?;
    file.sync_all()?;
    fs::rename(&tmp, path)?;
    sync_dir(parent(path))
}

/// Where a file is written before it is put in its place.
fn beside(path: &Path) -> io::Result<PathBuf> {
    let mut name = path.file_name().ok_or(io::ErrorKind::InvalidInput)?.to_owned();
    name.push(".tmp");
    Ok(path.with_file_name(name))
}

/// The first step of [`write_file_atomic`] without its sync.
pub fn write_file_beside(path: &Path, content: &[u8]) -> io::Result<()> {
    let tmp = beside(path)?;
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::write_file(&tmp, content).map(|_| ());
    }
    fs::write(tmp, content)
}

/// The second step without the directory's sync.
pub fn put_file_in_place(path: &Path) -> io::Result<()> {
    rename(&beside(path)?, path)
}

/// Everything in the file system that holds `path`, and the first error since it was asked last.
pub fn sync_file_system(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::sync_all();
    }
    let dir = File::open(path)?;
    // SAFETY: the descriptor is open for the time of the call.
    match unsafe { libc::syncfs(dir.as_raw_fd()) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

/// The directory of a path; that of a bare name is the current one.
fn parent(path: &Path) -> &Path {
    match path.parent() {
        Some(parent) if !parent.as_os_str().is_empty() => parent,
        _ => Path::new("."),
    }
}

pub fn create_dir_all(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::create_dir_all(path);
    }
    fs::create_dir_all(path)
}

/// Names (not paths) in a directory, with whether each is a directory. In no particular order; a name that is not UTF-8
/// is given with its foreign bytes replaced.
pub fn list_dir(path: &Path) -> io::Result<Vec<(String, bool)>> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::list_dir(path);
    }
    fs::read_dir(path)?
        .map(|entry| {
            let entry = entry?;
            let is_dir = entry.file_type()?.is_dir();
            Ok((entry.file_name().to_string_lossy().into_owned(), is_dir))
        })
        .collect()
}

pub fn remove_file(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::remove_file(path);
    }
    fs::remove_file(path)
}

pub fn remove_dir_all(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::remove_dir_all(path);
    }
    fs::remove_dir_all(path)
}

pub fn rename(from: &Path, to: &Path) -> io::Result<()> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::rename(from, to);
    }
    fs::rename(from, to)
}

/// Each gets the other's name, at once. Of real files only.
pub fn exchange(one: &Path, other: &Path) -> io::Result<()> {
    let name = |path: &Path| CString::new(path.as_os_str().as_bytes()).map_err(|_| io::ErrorKind::InvalidInput);
    let (one, other) = (name(one)?, name(other)?);
    let here = libc::AT_FDCWD;
    // SAFETY: both names end with a zero and live until the call is over.
    match unsafe { libc::renameat2(here, one.as_ptr(), here, other.as_ptr(), libc::RENAME_EXCHANGE) } {
        0 => Ok(()),
        _ => Err(io::Error::last_os_error()),
    }
}

pub fn sync_dir(path: &Path) -> io::Result<()> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::sync_dir(path);
    }
    File::open(path)?.sync_all()
}

/// Free (to this process) and total bytes of the file system that holds `path`.
pub fn space(path: &Path) -> io::Result<(u64, u64)> {
    #[cfg(test)]
    if current() == World::Sim {
        return sim::fs::space(path);
    }
    let path = CString::new(path.as_os_str().as_bytes())?;
    let mut stat = std::mem::MaybeUninit::<libc::statvfs>::zeroed();
    // SAFETY: `path` is a terminated string and `stat` is valid for the call to fill.
    if unsafe { libc::statvfs(path.as_ptr(), stat.as_mut_ptr()) } != 0 {
        return Err(io::Error::last_os_error());
    }
    // SAFETY: zeroed is a valid `statvfs`, and the call has filled it.
    let stat = unsafe { stat.assume_init() };
    Ok((stat.f_bavail * stat.f_frsize, stat.f_blocks * stat.f_frsize))
}

/// An append-only file, for the metadata log: `append` then `sync`, `truncate` to cut a torn tail.
pub struct AppendFile(AppendArm);

enum AppendArm {
    Real(File),
    #[cfg(test)]
    Sim(sim::fs::AppendFile),
}

impl AppendFile {
    /// Opens it, or creates it and makes its name durable.
    pub fn open(path: &Path) -> io::Result<AppendFile> {
        #[cfg(test)]
        if current() == World::Sim {
            let (file, is_new) = sim::fs::AppendFile::open(path)?;
            if is_new {
                sync_dir(parent(path))?;
            }
            return Ok(AppendFile(AppendArm::Sim(file)));
        }
        let is_new = !path.try_exists()?;
        let file = OpenOptions::new().read(true).append(true).create(true).open(path)?;
        if is_new {
            sync_dir(parent(path))?;
        }
        Ok(AppendFile(AppendArm::Real(file)))
    }
    pub fn append(&mut self, bytes: &[u8]) -> io::Result<()> {
        match &mut self.0 {
            AppendArm::Real(file) => file.write_all(bytes),
            #[cfg(test)]
            AppendArm::Sim(file) => file.append(bytes),
        }
    }
    pub fn sync(&mut self) -> io::Result<()> {
        match &mut self.0 {
            AppendArm::Real(file) => file.sync_data(),
            #[cfg(test)]
            AppendArm::Sim(file) => file.sync(),
        }
    }
    pub fn truncate(&mut self, len: u64) -> io::Result<()> {
        match &mut self.0 {
            AppendArm::Real(file) => file.set_len(len),
            #[cfg(test)]
            AppendArm::Sim(file) => file.truncate(len),
        }
    }
    pub fn len(&self) -> io::Result<u64> {
        match &self.0 {
            AppendArm::Real(file) => Ok(file.metadata()?.len()),
            #[cfg(test)]
            AppendArm::Sim(file) => file.len(),
        }
    }
    pub fn is_empty(&self) -> io::Result<bool> {
        Ok(self.len()? == 0)
    }
}

/// An advisory lock on a file (flock), held until dropped; the file holds the owner's pid.
#[derive(Debug)]
pub struct LockFile {
    _lock: Lock,
}

#[derive(Debug)]
#[expect(dead_code, reason = "held for its drop")]
enum Lock {
    Real(File),
    #[cfg(test)]
    Sim(sim::fs::LockFile),
}

impl LockFile {
    /// `Err(WouldBlock)` when another process holds it; [`LockFile::owner`] then tells which.
    pub fn acquire(path: PathBuf) -> io::Result<LockFile> {
        #[cfg(test)]
        if current() == World::Sim {
            let lock = sim::fs::LockFile::acquire(path)?;
            return Ok(LockFile { _lock: Lock::Sim(lock) });
        }
        let mut file = OpenOptions::new()
            .read(true)
            .write(true)
            .create(true)
            .truncate(false)
            .open(&path)?;
        // SAFETY: flock on a descriptor that `file` keeps open.
        if unsafe { libc::flock(file.as_raw_fd(), libc::LOCK_EX | libc::LOCK_NB) } != 0 {
            return Err(io::Error::last_os_error());
        }
        file.set_len(0)?;
        file.seek(SeekFrom::Start(0))?;
        writeln!(file, "{}", std::process::id())?;
        Ok(LockFile {
            _lock: Lock::Real(file),
        })
    }

    /// The pid that the file names, for the message of a refused start.
    pub fn owner(path: &Path) -> Option<u32> {
        let content = read_file(path).ok()?;
        std::str::from_utf8(&content).ok()?.trim().parse().ok()
    }
}

/// A socket takes no timeout of nothing.
const READABLE_WAIT_MIN: Duration = Duration::from_millis(1);

/// A blocking TCP connection with a read and connect timeout.
pub struct TcpStream {
    stream: std::net::TcpStream,
}

impl TcpStream {
    /// Tries the addresses of `host` in turn, each for at most `timeout`.
    pub fn connect(host: &str, port: u16, timeout: Duration) -> io::Result<TcpStream> {
        let mut failure = io::Error::new(io::ErrorKind::NotFound, "host has no address");
        for addr in (host, port).to_socket_addrs()? {
            match std::net::TcpStream::connect_timeout(&addr, timeout) {
                Ok(stream) => {
                    stream.set_nodelay(true)?;
                    return Ok(TcpStream { stream });
                }
                Err(error) => failure = error,
            }
        }
        Err(failure)
    }
    pub fn set_read_timeout(&self, timeout: Option<Duration>) -> io::Result<()> {
        self.stream.set_read_timeout(timeout)
    }
    /// Whether something (or the end) can be read within `timeout`.
    pub fn is_readable_within(&self, timeout: Duration) -> io::Result<bool> {
        let patience = self.stream.read_timeout()?;
        self.stream.set_read_timeout(Some(timeout.max(READABLE_WAIT_MIN)))?;
        let peeked = self.stream.peek(&mut [0]);
        self.stream.set_read_timeout(patience)?;
        match peeked.map_err(|error| (error.kind(), error)) {
            Ok(_) => Ok(true),
            Err((io::ErrorKind::WouldBlock | io::ErrorKind::TimedOut | io::ErrorKind::Interrupted, _)) => Ok(false),
            Err((_, error)) => Err(error),
        }
    }
    pub fn write_all(&mut self, bytes: &[u8]) -> io::Result<()> {
        self.stream.write_all(bytes)
    }
    pub fn read_exact(&mut self, bytes: &mut [u8]) -> io::Result<()> {
        self.stream.read_exact(bytes)
    }
}

/// How long an HTTP server of this machine may take.
const HTTP_PATIENCE: Duration = Duration::from_secs(10);
/// The largest answer that is read.
const HTTP_BYTES_MAX: u64 = 64 << 20;

/// The body of a plain HTTP/1.0 GET at `host:port`, whatever its status.
pub fn http_get(address: &str, path: &str) -> io::Result<Vec<u8>> {
    let mut addresses = address.to_socket_addrs()?;
    let address = addresses.next().ok_or(io::ErrorKind::NotFound)?;
    let mut stream = std::net::TcpStream::connect_timeout(&address, HTTP_PATIENCE)?;
    stream.set_read_timeout(Some(HTTP_PATIENCE))?;
    write!(
        stream,
        "GET {path} HTTP/1.0\r\nHost: {address}\r\nConnection: close\r\n\r\n"
    )?;
    let mut answer = Vec::new();
    stream.take(HTTP_BYTES_MAX).read_to_end(&mut answer)?;
    let head = answer.windows(4).position(|window| window == b"\r\n\r\n");
    let head = head.ok_or_else(|| io::Error::new(io::ErrorKind::InvalidData, "no HTTP answer"))?;
    Ok(answer.split_off(head + 4))
}
