//! The simulation itself: it repeats, it loses what it should, and keeps what it must.

use std::cell::RefCell;
use std::io::ErrorKind;
use std::path::Path;
use std::rc::Rc;
use std::time::Duration;

use super::{Crash, Failing, FaultPlan, Host, JOURNAL_MS, Plane, World, WriteFault, cut, heal_all};
use crate::rt::blocking::{self, AppendFile, LockFile};
use crate::rt::{
    ALIGN, Buf, ControlListener, ControlStream, Dir, File, Frozen, Open, SocketAddr, Sync, abort, lane, now,
    random_u64, sleep, spawn, wall_ms,
};

const SEEDS: u64 = 64;

fn block(byte: u8) -> Frozen {
    let mut buf = Buf::zeroed(ALIGN);
    buf.as_mut_slice().fill(byte);
    buf.freeze()
}

fn path() -> &'static Path {
    Path::new("/file")
}

/// A file with durable space for 16 blocks, none of them written.
async fn prepared() -> File {
    let file = File::open(path(), Open::CreateNew).await.unwrap();
    file.preallocate(16 * ALIGN as u64).await.unwrap();
    file.sync().await.unwrap();
    Dir::sync(Path::new("/")).await.unwrap();
    file
}

async fn write(file: &File, at: u64, byte: u8, sync: Sync) {
    let written = file.write_at(block(byte), 0..ALIGN, at * ALIGN as u64, sync).await;
    written.unwrap();
}

/// The first byte of a block; `None` where the bytes of the block differ.
fn byte_of(world: &mut World, at: u64) -> Option<u8> {
    let content = world.run(async { Dir::read_file(path()).await.unwrap() });
    let block = &content[at as usize * ALIGN..][..ALIGN];
    block.iter().all(|byte| *byte == block[0]).then_some(block[0])
}

/// How many of the seeds satisfy it.
fn count(test: impl Fn(u64) -> bool) -> u64 {
    (0..SEEDS).filter(|seed| test(*seed)).count() as u64
}

#[test] // Goal: the same seed gives the same run to the last operation; another seed another.
fn a_seed_repeats() {
    let run = |seed| {
        let mut world = World::new(seed, FaultPlan::none());
        let order = Rc::new(RefCell::new(Vec::new()));
        world.run(async {
            let (done, mut finished) = lane(10);
            for name in 0..10_u64 {
                let (order, done) = (order.clone(), done.clone());
                spawn(async move {
                    let path = format!("/{name}");
                    let file = File::open(Path::new(&path), Open::CreateNew).await.unwrap();
                    file.preallocate(ALIGN as u64).await.unwrap();
                    sleep(Duration::from_micros(random_u64() % 1000)).await;
                    write(&file, 0, 1, Sync::No).await;
                    order.borrow_mut().push(name);
                    done.try_send(()).unwrap();
                });
            }
            drop(done);
            let mut burst = Vec::new();
            while finished.recv_burst(&mut burst, 10).await {}
        });
        let order = order.borrow().clone();
        (world.power_cut().trace(), order)
    };
    assert_eq!(run(1), run(1));
    assert_ne!(run(1), run(2));
    assert_ne!(run(1).1, (0..10).collect::<Vec<_>>(), "nothing is shuffled");
}

#[test] // Goal: time stands still while tasks run, and jumps to the next timer when all wait.
fn time_jumps() {
    World::new(1, FaultPlan::none()).run(async {
        let (before, wall_before) = (now(), wall_ms());
        sleep(Duration::from_secs(86_400)).await;
        assert_eq!(now().since(before), Duration::from_secs(86_400));
        assert_eq!(wall_ms() - wall_before, 86_400_000);
    });
}

#[test] // Goal: a machine's wall clock may be set, past a crash; the clock that timers go by stays, and so do other machines'.
fn a_wall_clock_jumps_alone() {
    World::new(1, FaultPlan::none()).run(async {
        let (one, other) = (Host::install(), Host::install());
        let clocks = |host: &Host| host.enter(|| (now(), wall_ms()));
        let before = clocks(&one);
        one.set_wall_shift(-3_600_000);
        one.crash(Crash::PowerCut);
        assert_eq!(clocks(&one), (before.0, before.1 - 3_600_000));
        assert_eq!(clocks(&other), before);
    });
}

#[test] // Goal: what every task waits for in vain ends the run.
fn a_stall_ends_the_run() {
    let mut world = World::new(1, FaultPlan::none());
    let (tx, mut rx) = lane::<()>(1);
    assert_eq!(
        world.run_until_crash(async { rx.recv_burst(&mut Vec::new(), 1).await }),
        None
    );
    drop(tx);
}

#[test] // Goal: completed writes survive a killed process, wherever they went.
fn kill_keeps_completed_writes() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, FaultPlan::none());
        world.run(async {
            let file = prepared().await;
            write(&file, 3, 7, Sync::No).await;
        });
        assert_eq!(byte_of(&mut world.kill(), 3), Some(7));
    }
}

#[test] // Goal: at a power cut, plain writes into fresh space are mostly lost; DSYNC, synced and journaled ones never.
fn power_cut_loses_unwritten_extents() {
    let kept = |sync: Sync, afterwards: &'static str| {
        count(|seed| {
            let mut world = World::new(seed, FaultPlan::none());
            world.run(async {
                let file = prepared().await;
                write(&file, 3, 7, sync).await;
                match afterwards {
                    "sync" => file.sync().await.unwrap(),
                    "dsync" => write(&file, 9, 1, Sync::Data).await,
                    "wait" => sleep(Duration::from_millis(JOURNAL_MS)).await,
                    _ => {}
                }
            });
            byte_of(&mut world.power_cut(), 3) == Some(7)
        })
    };
    let plain = kept(Sync::No, "");
    assert!(plain > 0 && plain < SEEDS / 2, "{plain} of {SEEDS} kept");
    assert_eq!(kept(Sync::Data, ""), SEEDS);
    assert_eq!(kept(Sync::No, "sync"), SEEDS);
    assert_eq!(kept(Sync::No, "dsync"), SEEDS);
    assert_eq!(kept(Sync::No, "wait"), SEEDS);
}

#[test] // Goal: at a power cut, completed plain writes into blocks that were written before are kept.
fn power_cut_keeps_overwrites() {
    for seed in 0..SEEDS {
        let mut world = World::new(seed, FaultPlan::none());
        world.run(async {
            let file = prepared().await;
            write(&file, 3, 1, Sync::Data).await;
            write(&file, 3, 2, Sync::No).await;
        });
        assert_eq!(byte_of(&mut world.power_cut(), 3), Some(2));
    }
}

#[test] // Goal: a write in flight at a crash lands wholly, partly, or not at all, and each of these happens.
fn writes_in_flight_are_torn() {
    let after_kill = |seed| {
        let plan = FaultPlan::write(2, WriteFault::Tear);
        let mut world = World::new(seed, plan);
        let ended = world.run_until_crash(async {
            let file = prepared().await;
            write(&file, 3, 1, Sync::Data).await;
            write(&file, 3, 2, Sync::No).await;
        });
        assert_eq!(ended, None, "the write completed");
        byte_of(&mut world.kill(), 3)
    };
    assert!(count(|seed| after_kill(seed).is_none()) > 0);
    for (fault, byte) in [(WriteFault::Lose, 1), (WriteFault::Land, 2), (WriteFault::Lie, 1)] {
        let mut world = World::new(5, FaultPlan::write(2, fault));
        world.run_until_crash(async {
            let file = prepared().await;
            write(&file, 3, 1, Sync::Data).await;
            write(&file, 3, 2, Sync::No).await;
        });
        assert_eq!(byte_of(&mut world.kill(), 3), Some(byte), "{fault:?}");
    }
}

#[test] // Goal: names are lost at a power cut until their directory is synced; a killed process loses none.
fn power_cut_loses_names() {
    let kept = |is_synced: bool, is_power_cut: bool| {
        count(|seed| {
            let mut world = World::new(seed, FaultPlan::none());
            world.run(async {
                prepared().await;
                Dir::rename(path(), Path::new("/renamed")).await.unwrap();
                if is_synced {
                    Dir::sync(Path::new("/")).await.unwrap();
                }
            });
            let mut world = if is_power_cut { world.power_cut() } else { world.kill() };
            let names = world.run(async { Dir::list(Path::new("/")).await.unwrap() });
            assert_eq!(names.len(), 1, "a rename is whole");
            names[0].0 == "renamed"
        })
    };
    let unsynced = kept(false, true);
    assert!(unsynced > 0 && unsynced < SEEDS / 2, "{unsynced} of {SEEDS} kept");
    assert_eq!(kept(true, true), SEEDS);
    assert_eq!(kept(false, false), SEEDS);
}

#[test] // Goal: appended bytes survive a kill, but a power cut only once synced; what is left is a prefix, or zeros.
fn appended_bytes_need_a_sync() {
    let mut lens = std::collections::BTreeSet::new();
    for seed in 0..SEEDS {
        let mut world = World::new(seed, FaultPlan::none());
        world.run(async {
            let mut file = AppendFile::open(path()).unwrap();
            file.append(&[1; 5000]).unwrap();
            file.sync().unwrap();
            file.append(&[2; 5000]).unwrap();
        });
        let mut world = world.kill();
        let content = world.run(async { blocking::read_file(path()).unwrap() });
        assert_eq!(content, [[1; 5000], [2; 5000]].concat());
        let content = world.power_cut().run(async { blocking::read_file(path()).unwrap() });
        let (synced, later) = content.split_at(5000);
        assert_eq!(synced, [1; 5000]);
        assert!(later.iter().all(|byte| *byte == 2) || later.iter().all(|byte| *byte == 0));
        lens.insert(later.len());
    }
    assert!(lens.len() > 10, "only {lens:?}");
}

#[test] // Goal: a whole small file is replaced or not, at whatever step the machine stops and the power goes.
fn small_files_are_replaced_at_once() {
    let mut outcomes = std::collections::BTreeSet::new();
    for stop in 1..20 {
        for seed in 0..8 {
            let mut world = World::new(seed, FaultPlan::none());
            world.run(async { blocking::write_file_atomic(path(), b"old").unwrap() });
            world.set_plan(FaultPlan::stop_at(stop));
            let done = world.run_until_crash(async { blocking::write_file_atomic(path(), b"new").is_ok() });
            let content = world.power_cut().run(async { blocking::read_file(path()).unwrap() });
            assert!(
                content == b"new" || (content == b"old" && done != Some(true)),
                "{content:?}"
            );
            outcomes.insert(content);
        }
    }
    assert_eq!(outcomes.len(), 2);
}

#[test] // Goal: a full disk refuses growth, keeps what is there, and takes more once something is removed.
fn a_full_disk_refuses_growth() {
    World::new(1, FaultPlan::capacity(32 * ALIGN as u64)).run(async {
        let file = prepared().await;
        let full = file.preallocate(64 * ALIGN as u64).await.unwrap_err();
        assert_eq!(full.kind(), std::io::ErrorKind::StorageFull);
        write(&file, 15, 1, Sync::No).await;
        let other = File::open(Path::new("/other"), Open::CreateNew).await.unwrap();
        assert!(other.preallocate(20 * ALIGN as u64).await.is_err());
        Dir::remove_file(path()).await.unwrap();
        other.preallocate(20 * ALIGN as u64).await.unwrap();
    });
}

#[test] // Goal: a lock is held by one, and a crash frees it.
fn locks_are_free_after_a_crash() {
    let mut world = World::new(1, FaultPlan::none());
    let lock = world.run(async {
        let lock = LockFile::acquire("/lock".into()).unwrap();
        assert!(LockFile::acquire("/lock".into()).is_err());
        lock
    });
    world
        .kill()
        .run(async { LockFile::acquire("/lock".into()).map(drop).unwrap() });
    drop(lock);
}

#[test] // Goal: a failed write or sync says so.
fn errors_are_reported() {
    let mut world = World::new(1, FaultPlan::write(1, WriteFault::Eio));
    world.run(async {
        let file = prepared().await;
        let failed = file.write_at(block(1), 0..ALIGN, 0, Sync::No).await;
        assert_eq!(failed.unwrap_err().raw_os_error(), Some(libc::EIO));
    });
    world.set_plan(FaultPlan::sync_fails(1));
    world.run(async {
        let file = File::open(path(), Open::ReadWrite).await.unwrap();
        assert!(file.sync().await.is_err());
        file.sync().await.unwrap();
    });
}

const PORT: u16 = 9093;
const PATIENCE: Duration = Duration::from_secs(1);

/// Sends what it is sent back to each who connects.
fn echo(host: &Host) {
    let address = SocketAddr::new(host.address(), PORT);
    host.spawn(async move {
        let listener = ControlListener::bind(address).unwrap();
        assert_eq!(
            ControlListener::bind(address).map(drop).unwrap_err().kind(),
            ErrorKind::AddrInUse
        );
        while let Ok(stream) = listener.accept().await {
            spawn(async move {
                let mut bytes = [0; 3];
                while stream.read_exact(&mut bytes, PATIENCE * 60).await.is_ok() {
                    stream.write_all(&bytes, PATIENCE).await.unwrap();
                }
            });
        }
    });
}

async fn connect(host: &Host) -> Result<ControlStream, ErrorKind> {
    let connected = ControlStream::connect(&host.address().to_string(), PORT, PATIENCE).await;
    connected.map_err(|error| error.kind())
}

async fn exchange(stream: &ControlStream) -> Result<[u8; 3], ErrorKind> {
    let mut answer = [0; 3];
    let answered = async {
        stream.write_all(b"abc", PATIENCE).await?;
        stream.read_exact(&mut answer, PATIENCE).await
    };
    answered.await.map_err(|error| error.kind())?;
    Ok(answer)
}

#[test] // Goal: what is told of a controller's end: a process's is told at once, a machine's only once it is back.
fn connections_tell_how_a_controller_has_ended() {
    World::new(1, FaultPlan::none()).run(async {
        let host = Host::install();
        host.boot();
        echo(&host);
        let stream = connect(&host).await.unwrap();
        assert_eq!(exchange(&stream).await, Ok(*b"abc"));
        host.crash(Crash::Kill);
        assert_eq!(exchange(&stream).await, Err(ErrorKind::UnexpectedEof));
        assert_eq!(connect(&host).await.map(drop), Err(ErrorKind::ConnectionRefused));
        host.boot();
        echo(&host);
        sleep(PATIENCE).await;
        let stream = connect(&host).await.unwrap();
        host.crash(Crash::PowerCut);
        assert_eq!(exchange(&stream).await, Err(ErrorKind::TimedOut));
        assert_eq!(connect(&host).await.map(drop), Err(ErrorKind::TimedOut));
        host.boot();
        assert_eq!(exchange(&stream).await, Err(ErrorKind::ConnectionReset));
        assert_eq!(connect(&host).await.map(drop), Err(ErrorKind::ConnectionRefused));
    });
}

#[test] // Goal: the controllers' connections are cut by themselves, and what was sent meanwhile arrives.
fn a_cut_between_controllers_holds_messages_up() {
    World::new(1, FaultPlan::none()).run(async {
        let (one, other) = (Host::install(), Host::install());
        echo(&other);
        let outcome = Rc::new(RefCell::new(Vec::new()));
        let (told, there) = (outcome.clone(), other.address().to_string());
        one.spawn(async move {
            let stream = ControlStream::connect(&there, PORT, PATIENCE).await.unwrap();
            sleep(PATIENCE).await;
            let first = exchange(&stream).await;
            let mut late = [0; 3];
            stream.read_exact(&mut late, PATIENCE * 5).await.unwrap();
            told.borrow_mut().push((first, late));
        });
        sleep(PATIENCE / 2).await;
        cut(Plane::Data, one.id(), other.id());
        cut(Plane::Control, other.id(), one.id());
        sleep(PATIENCE * 3).await;
        assert!(outcome.borrow().is_empty());
        heal_all();
        sleep(PATIENCE).await;
        assert_eq!(outcome.take(), [(Err(ErrorKind::TimedOut), *b"abc")]);
    });
}

#[test] // Goal: a process that ends itself takes all its tasks along, and leaves other machines and its disk as they are.
fn a_process_ends_itself() {
    World::new(1, FaultPlan::none()).run(async {
        let (one, other) = (Host::install(), Host::install());
        let ran = Rc::new(RefCell::new(Vec::new()));
        for (name, host) in [("one", &one), ("other", &other)] {
            let ran = ran.clone();
            host.spawn(async move {
                blocking::write_file_atomic(path(), name.as_bytes()).unwrap();
                sleep(PATIENCE).await;
                ran.borrow_mut().push(name);
            });
        }
        one.spawn(async {
            sleep(PATIENCE / 2).await;
            abort();
        });
        sleep(PATIENCE * 2).await;
        assert_eq!(ran.take(), ["other"]);
        assert_eq!((one.ended(), other.ended()), (Some(Crash::Kill), None));
        one.crash(Crash::Kill);
        one.boot();
        assert_eq!(one.ended(), None);
        assert_eq!(one.enter(|| blocking::read_file(path()).unwrap()), b"one");
    });
}

#[test] // Goal: a part of a disk goes bad, for one kind of operation, until it is mended or the machine crashes.
fn a_directory_goes_bad() {
    World::new(1, FaultPlan::none()).run(async {
        let host = Host::install();
        let (good, bad) = (Path::new("/good/file"), Path::new("/bad/file"));
        let write = |path| host.enter(|| blocking::write_file_atomic(path, b"content"));
        let read = |path| host.enter(|| blocking::read_file(path));
        host.enter(|| ["/good", "/bad"].map(|dir| blocking::create_dir_all(Path::new(dir)).unwrap()));
        write(good).unwrap();
        write(bad).unwrap();
        let is_eio = |result: std::io::Result<()>| result.is_err_and(|error| error.raw_os_error() == Some(libc::EIO));
        for (what, fails) in [
            (Failing::Reads, [true, false]),
            (Failing::Writes, [false, true]),
            (Failing::Syncs, [false, true]),
        ] {
            host.fail_disk(Path::new("/bad"), what).unwrap();
            assert_eq!([is_eio(read(bad).map(drop)), is_eio(write(bad))], fails, "{what:?}");
            assert!(read(good).is_ok() && write(good).is_ok());
            assert!(host.disk_failures() > 0);
            host.clear_disk();
            assert!(write(bad).is_ok());
        }
        host.fail_disk(Path::new("/bad"), Failing::Reads).unwrap();
        host.crash(Crash::Kill);
        assert_eq!(read(bad).unwrap(), b"content");
    });
}

#[test] // Goal: another disk is empty.
fn a_disk_is_lost() {
    World::new(1, FaultPlan::none()).run(async {
        let host = Host::install();
        host.enter(|| blocking::write_file_atomic(path(), b"content").unwrap());
        host.crash(Crash::PowerCut);
        host.lose_disk();
        assert!(
            host.enter(|| blocking::read_file(path()))
                .is_err_and(|error| error.kind() == ErrorKind::NotFound)
        );
    });
}

#[test] // Goal: a machine may lose power in the midst of a disk operation; nothing runs on there.
fn a_machine_stops_in_the_midst() {
    World::new(1, FaultPlan::none()).run(async {
        let host = Host::install();
        host.boot();
        let ran = Rc::new(RefCell::new(false));
        host.stop_at(3);
        let told = ran.clone();
        host.spawn(async move {
            assert!(blocking::write_file_atomic(path(), b"content").is_err());
            sleep(PATIENCE).await;
            *told.borrow_mut() = true;
        });
        sleep(PATIENCE * 2).await;
        assert_eq!((host.ended(), ran.take()), (Some(Crash::PowerCut), false));
        host.crash(Crash::PowerCut);
        host.boot();
        assert!(host.enter(|| blocking::read_file(path())).is_err());
    });
}
