//! Buffers and where they go back to.

use std::rc::Rc;

use super::pattern;
use crate::rt::home::{Home, HomeBound, Parcel, reclaim};
use crate::rt::testing::{on_control, on_shard, on_shards};
use crate::rt::{ALIGN, Buf, File, Frozen, Open, Sync, lane};

#[test]
fn a_buffer_is_zeroed_aligned_and_rounded_up() {
    fn check() {
        for (asked, got) in [
            (0, ALIGN),
            (1, ALIGN),
            (ALIGN, ALIGN),
            (ALIGN + 1, 2 * ALIGN),
            (1 << 20, 1 << 20),
        ] {
            let mut buf = Buf::zeroed(asked);
            assert_eq!(buf.as_slice().len(), got);
            assert!(buf.as_slice().iter().all(|byte| *byte == 0));
            assert_eq!(buf.as_slice().as_ptr() as usize % ALIGN, 0);
            buf.as_mut_slice().fill(0xff); // the next one to get this memory must not see it
        }
    }
    check();
    check();
    on_shard(|| async {
        check();
        check();
    });
    on_control(|| async { check() });
}

/// Memory that serves again shows nothing of what was in it.
#[test]
fn a_used_buffer_comes_back_empty() {
    fn check() {
        for _ in 0..3 {
            drop(pattern(3 * ALIGN, 7).freeze());
            let mut buf = Buf::with_capacity(3 * ALIGN - 1);
            assert!(buf.as_slice().is_empty());
            buf.append(b"front");
            let frozen = buf.freeze();
            assert_eq!(frozen.as_slice().len(), 3 * ALIGN);
            assert!(frozen.as_slice().starts_with(b"front"));
            assert!(frozen.as_slice()[5..].iter().all(|byte| *byte == 0));
        }
    }
    check();
    on_shard(|| async { check() });
}

#[test]
fn truncating_keeps_the_front() {
    let mut buf = pattern(3 * ALIGN, 5);
    buf.truncate(ALIGN + 1);
    assert_eq!(buf.as_slice(), &pattern(3 * ALIGN, 5).as_slice()[..2 * ALIGN]);
    buf.truncate(1 << 20);
    assert_eq!(buf.as_slice().len(), 2 * ALIGN, "never grows");
}

#[test]
fn a_view_keeps_the_buffer_alive() {
    let frozen = pattern(ALIGN, 1).freeze();
    let view = frozen.bytes(100..200);
    drop(frozen);
    assert_eq!(view, pattern(ALIGN, 1).as_slice()[100..200]);
}

/// The counted pointers inside must be touched at home only: dropped abroad, a parcel waits for its home's next look.
#[test]
fn memory_dropped_on_another_thread_is_freed_at_home() {
    on_shard(|| async {
        let buffer = Rc::new(glommio::allocate_dma_buffer(ALIGN));
        let bound = HomeBound::new(Parcel::Buffer(buffer.clone(), ALIGN), Home::here().unwrap());
        std::thread::spawn(move || {
            assert_eq!(bound.len(), ALIGN);
            assert!(bound.buffer_at_home().is_none());
            drop(bound);
        })
        .join()
        .unwrap();
        assert_eq!(Rc::strong_count(&buffer), 2);
        reclaim();
        assert_eq!(Rc::strong_count(&buffer), 1);
        let bound = HomeBound::new(Parcel::Buffer(buffer.clone(), ALIGN), Home::here().unwrap());
        drop(bound);
        assert_eq!(Rc::strong_count(&buffer), 1, "at home at once");
    });
}

#[test]
fn memory_may_outlive_its_shard() {
    let (frozen, read) = on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("log"), Open::CreateNew).await.unwrap();
        let frozen = pattern(2 * ALIGN, 8).freeze();
        file.write_at(frozen.clone(), 0..2 * ALIGN, 0, Sync::No).await.unwrap();
        (frozen, file.read_at(10, 5000).await.unwrap())
    });
    let threads = [frozen.clone(), frozen.clone()].map(|frozen| std::thread::spawn(move || drop(frozen)));
    assert_eq!(read, frozen.as_slice()[10..5010]);
    for thread in threads {
        thread.join().unwrap();
    }
    drop((frozen, read));
}

#[test]
fn a_foreign_buffer_is_written_by_copy() {
    let foreign = pattern(2 * ALIGN, 4).freeze();
    let expected = foreign.clone();
    let read = on_shard(|| async move {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("log"), Open::CreateNew).await.unwrap();
        file.write_at(foreign, 0..2 * ALIGN, 0, Sync::No).await.unwrap();
        file.read_at(0, 2 * ALIGN).await.unwrap()
    });
    assert_eq!(read, expected.as_slice());
}

/// Far more buffers than the registered memory holds, made on one shard while another drops them.
#[test]
fn buffers_travel_between_shards_under_load() {
    const ROUNDS: usize = 20_000;
    let (tx, rx) = lane::<Frozen>(64);
    let ends = std::sync::Arc::new(std::sync::Mutex::new((Some(tx), Some(rx))));
    on_shards(2, move |shard| {
        let ends = ends.clone();
        async move {
            if shard.0 == 0 {
                let tx = ends.lock().unwrap().0.take().unwrap();
                for round in 0..ROUNDS {
                    let mut buf = Buf::zeroed(ALIGN);
                    buf.as_mut_slice()[..8].copy_from_slice(&round.to_le_bytes());
                    let mut message = buf.freeze();
                    while let Err(full) = tx.try_send(message) {
                        message = full.0;
                        crate::rt::yield_now().await;
                    }
                }
            } else {
                let mut rx = ends.lock().unwrap().1.take().unwrap();
                let (mut burst, mut next) = (Vec::new(), 0);
                while rx.recv_burst(&mut burst, 32).await {
                    for frozen in burst.drain(..) {
                        assert_eq!(frozen.as_slice()[..8], usize::to_le_bytes(next));
                        next += 1;
                    }
                }
                assert_eq!(next, ROUNDS);
            }
        }
    });
}
