//! The loop around the shard: take a burst, handle it, submit what became due.
//!
//! One task owns the shard by `&mut`. Everything asynchronous is a task of its own that owns what it needs and reports
//! back through the post. A turn ends after about 200 µs even if the burst is longer, so that I/O completions, timers and
//! other tasks are looked at in between (a task that never yields would make them wait for the preempt timer).

use std::collections::VecDeque;
use std::rc::Rc;
use std::time::Duration;

use super::message::*;
use super::post::Post;
use super::router::Router;
use super::state::Shard;
use crate::metrics::{Cells, Metric, Stage};
use crate::partition::Producers;
use crate::rt::{self, Now, Rx};
use crate::storage::{Journal, Log, LogOptions, Opened, ReadPlan, ReadResult, StorageError, TruncateDone, TruncateJob};

/// Messages taken from the lane at a time.
const BURST_MAX: usize = 1_024;
/// Own work before the reactor is looked at.
const TURN_BUDGET: Duration = Duration::from_micros(200);
/// Messages between two looks at the clock.
const CLOCK_EVERY: usize = 16;
/// Between two ticks of an idle shard.
const TICK: Duration = Duration::from_millis(100);

/// Runs until [`Message::Exit`].
pub(super) async fn pump(mut shard: Shard, mut inbox: Rx<Message>, post: Rc<Post>) {
    spawn_ticker(post.clone());
    shard.reconcile_all(Now::read());
    end_turn(&mut shard, &post);
    let mut burst = Vec::new();
    let mut local = VecDeque::new();
    while !shard.exit && inbox.recv_burst(&mut burst, BURST_MAX).await {
        post.take(&mut local);
        let mut messages = burst.drain(..);
        // What other shards sent comes first: a reply may complete what a local task waits for.
        while !take_turn(&mut shard, &mut messages, &mut local) {
            end_turn(&mut shard, &post);
            rt::yield_now().await;
        }
        drop(messages);
        end_turn(&mut shard, &post);
    }
    shard.end_liveness();
    post.close();
}

/// True: everything is handled. False: the turn's time is over.
fn take_turn(shard: &mut Shard, messages: &mut impl Iterator<Item = Message>, local: &mut VecDeque<Local>) -> bool {
    let mut now = Now::read();
    let started = now.instant;
    shard.adopt_image(now);
    shard.handle_due(now);
    loop {
        for _ in 0..CLOCK_EVERY {
            if let Some(message) = messages.next() {
                shard.handle(message, now);
            } else if let Some(message) = local.pop_front() {
                shard.handle_local(message, now);
            } else {
                return true;
            }
        }
        now = Now::read();
        if now.instant.since(started) >= TURN_BUDGET {
            return false;
        }
    }
}

fn end_turn(shard: &mut Shard, post: &Rc<Post>) {
    shard.flush(Now::read());
    let metrics = shard.metrics.clone();
    for job in shard.take_jobs() {
        rt::spawn(run(job, metrics.clone(), post.clone()));
    }
}

fn spawn_ticker(post: Rc<Post>) {
    rt::spawn(async move {
        while !post.is_closed() {
            let may_lead = post.metadata().may_lead(rt::now());
            post.push(Local::Tick { may_lead });
            rt::sleep(TICK).await;
        }
    });
}

/// Runs one job and reports how it ended. A task is moved several times until it runs: what does not come with every batch is
/// kept aside, so that the task of a write is small.
async fn run(job: Job, metrics: Cells, post: Rc<Post>) {
    let done = match job {
        Job::Open(life, options) => Done::Opened(life, Box::pin(open(*options)).await.map(Box::new)),
        Job::Prepare(life, job) => Done::Prepared(life, Box::pin(job.run()).await),
        Job::Write(life, job) => {
            metrics.add(Metric::DiskWrites, 1);
            metrics.add(Metric::DiskWriteBytes, job.bytes() as i64);
            Done::Written(life, timed(&metrics, Stage::DiskWrite, job.run()).await)
        }
        Job::Journal(at, lives, job) => {
            metrics.add(Metric::JournalWrites, 1);
            metrics.add(Metric::DiskWrites, 1);
            metrics.add(Metric::DiskWriteBytes, job.bytes() as i64);
            Done::Journaled(at, lives, timed(&metrics, Stage::DiskWrite, job.run()).await)
        }
        Job::MakeJournal(at, job) => Done::JournalMade(at, Box::new(Box::pin(job.run()).await)),
        Job::RemoveJournals(journals) => {
            Box::pin(remove(journals)).await;
            Done::JournalsRemoved
        }
        Job::Free(life, job) => Done::Freed(life, Box::pin(job.run()).await),
        Job::Compact(life, job) => Done::Compacted(life, Box::pin(job.run()).await),
        Job::Close(life, place, closing, syncs) => {
            let result = Box::pin(closing.log.close(closing.producer_snapshot, &syncs)).await;
            drop(closing.claim);
            Done::Closed(life, place, result)
        }
        Job::Remove(life, closing) => {
            let result = Box::pin(closing.log.delete()).await;
            drop(closing.claim);
            Done::Removed(life, result)
        }
        Job::Discard(life, place, claim) => {
            let dir = place.directory(life.partition);
            let result = Box::pin(Log::discard(&dir, &place.dir, &place.topic, life.partition)).await;
            drop(claim);
            Done::Removed(life, result)
        }
        Job::Read(job) => Done::Read(timed(&metrics, Stage::DiskRead, Box::pin(read(job, &metrics))).await),
        Job::ReadAhead(AheadJob {
            piece,
            class,
            plan,
            held,
        }) => {
            let result = timed(&metrics, Stage::DiskRead, Box::pin(read_plan(plan, &metrics))).await;
            Done::ReadAhead(AheadDone {
                piece,
                class,
                result,
                held,
            })
        }
        Job::Times(job) => Done::Times(Box::pin(search(job)).await),
        Job::Load(life, job) => Done::Loaded(life, Box::new(Box::pin(job.run()).await)),
        Job::Search(id, job) => Done::Searched(id, Box::new(Box::pin(job.run()).await)),
        Job::Markers(job) => Done::Markers(Box::new(Box::pin(job.run(Router::new(post.clone()))).await)),
        Job::Truncate(life, job) => Done::Truncated(life, Box::new(Box::pin(truncate(*job)).await)),
        Job::AlterIsr(job) => Done::IsrAltered(Box::new(Box::pin(job.run(post.metadata().clone())).await)),
        Job::Share(job) => Done::Share(Box::new(Box::pin(job.run(Router::new(post.clone()))).await)),
        Job::Alarm(at) => {
            rt::sleep(at.since(rt::now())).await;
            return post.push(Local::Alarm(at));
        }
    };
    post.push(Local::Done(done));
}

/// Records how long the work took, where times are recorded.
async fn timed<T>(metrics: &Cells, stage: Stage, work: impl Future<Output = T>) -> T {
    let began = metrics.is_timed().then(rt::now);
    let done = work.await;
    if let Some(began) = began {
        metrics.record(stage, rt::now().since(began).as_nanos() as u64);
    }
    done
}

/// Recovers the log and its producers.
async fn open(options: LogOptions) -> Result<(Opened, Producers), StorageError> {
    let mut producers = Producers::default();
    let opened = Log::open(options, &mut producers).await?;
    Ok((opened, producers))
}

/// Cuts the log, and gives the producers that what is left of it speaks of.
async fn truncate(job: TruncateJob) -> (TruncateDone, Producers) {
    let mut producers = Producers::default();
    let done = job.run(&mut producers).await;
    (done, producers)
}

/// One that stays is looked through by the next start, in vain.
async fn remove(journals: Vec<Journal>) {
    for journal in journals {
        if let Err(error) = journal.remove().await {
            tracing::warn!(%error, "journal was not removed");
        }
    }
}

async fn read(job: ReadJob, metrics: &Cells) -> ReadDone {
    ReadDone {
        part: job.part,
        class: job.class,
        slot: job.slot,
        life: job.life,
        result: read_plan(job.plan, metrics).await,
        held: job.held,
    }
}

async fn read_plan(plan: ReadPlan, metrics: &Cells) -> Result<ReadResult, StorageError> {
    let result = plan.run().await;
    metrics.add(Metric::DiskReads, 1);
    let bytes = result.as_ref().map_or(0, |result| result.disk_bytes);
    metrics.add(Metric::DiskReadBytes, bytes as i64);
    result
}

async fn search(job: TimesJob) -> TimesDone {
    let mut found = Vec::with_capacity(job.plans.len());
    for (at, life, plan) in job.plans {
        found.push((at, life, plan.run().await));
    }
    TimesDone {
        to: job.to,
        request: job.request,
        answers: job.answers,
        found,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// It is moved five times on the way to its first poll.
    #[test]
    fn the_task_of_a_write_is_small() {
        fn size<F>(_: fn(Job, Cells, Rc<Post>) -> F) -> usize {
            size_of::<F>()
        }
        assert!(size(run) <= 2_560, "{} bytes", size(run));
    }
}
