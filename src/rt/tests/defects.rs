//! glommio's defects (runtime-and-io section 1): each rule's test fails when the rule is taken away.

use std::cell::Cell;
use std::rc::Rc;
use std::sync::mpsc::channel;
use std::thread;
use std::time::Duration;

use glommio::{Latency, Shares, TaskQueueHandle};

use crate::rt::testing::on_shard;
use crate::rt::{ALIGN, Buf, File, Open, Sync, coop_taskrun_setups, lane, now, oneshot, spared_barriers};

/// D1: when the preempt timer has run out before the first task had its turn, an executor goes to sleep with tasks ready.
/// A queue that asks for a much shorter timer than ours brings that about all the time; the tick, and the look from outside,
/// must get it to its end.
#[test]
fn an_executor_that_fell_asleep_with_ready_tasks_goes_on() {
    const RUNS: usize = 4;
    const RUN_MAX: Duration = Duration::from_secs(60);
    let timer = timer_that_is_too_short();
    for run in 0..RUNS {
        let ends = ends_within(RUN_MAX, move || on_shard(move || hurry(timer)));
        assert!(ends, "run {run} with {timer:?} hangs");
    }
}

/// The longest, of some, with which an executor that nobody wakes is not soon at its end: with a much shorter one this machine
/// may never be quick enough.
fn timer_that_is_too_short() -> Duration {
    const SOON: Duration = Duration::from_secs(1);
    let hangs = |us: &u64| {
        let timer = Duration::from_micros(*us);
        let alone = move || {
            glommio::LocalExecutorBuilder::default()
                .make()
                .unwrap()
                .run(hurry(timer))
        };
        !ends_within(SOON, alone)
    };
    let longest = [40, 30, 20, 15, 10, 5].into_iter().find(hangs);
    Duration::from_micros(longest.expect("no timer is too short for this machine"))
}

fn ends_within(max: Duration, run: impl FnOnce() + Send + 'static) -> bool {
    let (done_tx, done) = channel();
    thread::spawn(move || {
        run();
        done_tx.send(())
    });
    done.recv_timeout(max).is_ok()
}

async fn hurry(timer: Duration) {
    const QUESTIONS: usize = 50;
    let queue = glommio::executor().create_task_queue(Shares::default(), Latency::Matters(timer), "hurried");
    let answered = glommio::spawn_local_into(answer_questions(QUESTIONS, queue), queue);
    answered.unwrap().await;
}

/// Answers questions from another thread, beside tasks that always have work.
async fn answer_questions(count: usize, queue: TaskQueueHandle) {
    let done = Rc::new(Cell::new(false));
    for _ in 0..4 {
        let done = done.clone();
        let busy = async move {
            while !done.get() {
                let start = now();
                while now().since(start) < Duration::from_micros(100) {}
                futures_lite::future::yield_now().await;
            }
        };
        glommio::spawn_local_into(busy, queue).unwrap().detach();
    }
    let (tx, mut rx) = lane(16);
    let asking = thread::spawn(move || {
        for _ in 0..count {
            let (reply_tx, reply) = oneshot();
            tx.try_send(reply_tx).unwrap();
            futures_lite::future::block_on(reply).unwrap();
        }
    });
    let mut burst = Vec::new();
    while rx.recv_burst(&mut burst, 4).await {
        burst.drain(..).for_each(|reply| reply.send(()));
    }
    done.set(true);
    asking.join().unwrap();
}

/// D2: without the probe file the empty file below would be the first that this executor opens on the device.
#[test]
fn the_first_file_of_a_shard_may_be_an_empty_one() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("empty"), Open::CreateNew).await.unwrap();
        file.write_at(Buf::zeroed(ALIGN).freeze(), 0..ALIGN, 0, Sync::No)
            .await
            .unwrap();
        assert_eq!(file.read_at(0, ALIGN).await.unwrap().len(), ALIGN);
    });
}

/// D4: the flag comes by a link argument, whose loss nothing else would show. Each test binary needs such a test.
#[test]
fn rings_are_set_up_with_coop_taskrun() {
    on_shard(|| async {});
    assert!(coop_taskrun_setups() > 0);
}

/// As above: without the link argument each sleep interrupts all cores.
#[cfg(target_arch = "x86_64")]
#[test]
fn a_shard_falls_asleep_without_interrupting_other_cores() {
    on_shard(|| async { crate::rt::sleep(Duration::from_millis(5)).await });
    assert!(spared_barriers() > 0);
}

/// An error keeps its number on the way out of glommio, which itself keeps the kind only.
#[test]
fn errors_keep_their_number() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        drop(File::open(&path, Open::CreateNew).await.unwrap());
        let file = File::open(&path, Open::Read).await.unwrap();
        let refused = file.write_at(Buf::zeroed(ALIGN).freeze(), 0..ALIGN, 0, Sync::No).await;
        assert_eq!(refused.unwrap_err().raw_os_error(), Some(libc::EBADF));
    });
}
