//! Direct-I/O files.

use std::io::ErrorKind;

use super::pattern;
use crate::rt::launch::make_probe_file;
use crate::rt::testing::on_shard;
use crate::rt::{ALIGN, Dir, File, Open, Sync};

#[test]
fn what_is_written_is_read_back_at_any_position() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("log"), Open::CreateNew).await.unwrap();
        let data = pattern(5 * ALIGN, 7).freeze();
        file.write_at(data.clone(), 0..5 * ALIGN, 0, Sync::No).await.unwrap();
        for (pos, len) in [(0, 5 * ALIGN), (1, 10), (4095, 2), (5000, 9000), (8192, 4096)] {
            let read = file.read_at(pos as u64, len).await.unwrap();
            assert_eq!(read, data.as_slice()[pos..pos + len]);
        }
    });
}

#[test]
fn a_read_is_short_only_at_the_end_of_the_file() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("log"), Open::CreateNew).await.unwrap();
        let data = pattern(2 * ALIGN, 1).freeze();
        file.write_at(data.clone(), 0..2 * ALIGN, 0, Sync::No).await.unwrap();
        assert_eq!(file.read_at(8000, 1000).await.unwrap(), data.as_slice()[8000..]);
        assert_eq!(file.read_at(8192, 100).await.unwrap().len(), 0);
        assert_eq!(file.read_at(1 << 20, 100).await.unwrap().len(), 0);
        file.truncate(5000).await.unwrap();
        assert_eq!(file.read_at(4990, 100).await.unwrap(), data.as_slice()[4990..5000]);
        assert_eq!(file.read_at(0, 8192).await.unwrap(), data.as_slice()[..5000]);
        assert_eq!(file.len().await.unwrap(), 5000);
    });
}

/// A copy of a log directory may have a hole for each block of zeros. The first file must have a block all the same.
#[test]
fn a_probe_file_that_is_a_hole_is_made_anew() {
    let dir = tempfile::tempdir().unwrap();
    let path = dir.path().join(".corelane-probe");
    let hole = std::fs::File::create(&path).unwrap();
    hole.set_len(4_096).unwrap();
    make_probe_file(dir.path()).unwrap();
    let content = std::fs::read(&path).unwrap();
    assert_eq!(content.len(), 4_096);
    assert!(!content.contains(&0));
}

#[test]
fn a_part_of_a_buffer_can_be_written_too() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("log"), Open::CreateNew).await.unwrap();
        let data = pattern(4 * ALIGN, 3).freeze();
        // The copy takes the memory of this one, of which it needs less.
        drop(pattern(3 * ALIGN, 9).freeze());
        file.write_at(data.clone(), ALIGN..3 * ALIGN, 2 * ALIGN as u64, Sync::No)
            .await
            .unwrap();
        let read = file.read_at(0, 4 * ALIGN).await.unwrap();
        assert_eq!(read[..2 * ALIGN], [0; 2 * ALIGN]);
        assert_eq!(read[2 * ALIGN..], data.as_slice()[ALIGN..3 * ALIGN]);
    });
}

#[test]
fn preallocated_space_counts_into_the_size_and_reads_as_zeros() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("log"), Open::CreateNew).await.unwrap();
        file.preallocate(1 << 20).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 1 << 20);
        let read = file.read_at((1 << 20) - 100, 200).await.unwrap();
        assert_eq!(read, [0; 100][..]);
        file.preallocate(4096).await.unwrap();
        assert_eq!(file.len().await.unwrap(), 1 << 20, "never shrinks");
    });
}

#[test]
fn synced_writes_go_to_the_same_file_even_after_a_rename() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let (old, new) = (dir.path().join("old"), dir.path().join("new"));
        let file = File::open(&old, Open::CreateNew).await.unwrap();
        Dir::rename(&old, &new).await.unwrap();
        let data = pattern(ALIGN, 9).freeze();
        file.write_at(data.clone(), 0..ALIGN, 0, Sync::Data).await.unwrap();
        file.write_at(data.clone(), 0..ALIGN, ALIGN as u64, Sync::Data)
            .await
            .unwrap();
        file.sync().await.unwrap();
        let again = File::open(&new, Open::Read).await.unwrap();
        assert_eq!(again.read_at(ALIGN as u64, ALIGN).await.unwrap(), data.as_slice());
        assert!(!old.exists());
    });
}

#[test]
fn open_modes_say_what_is_wrong() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let path = dir.path().join("log");
        assert_eq!(
            File::open(&path, Open::Read).await.err().unwrap().kind(),
            ErrorKind::NotFound
        );
        assert_eq!(
            File::open(&path, Open::ReadWrite).await.err().unwrap().kind(),
            ErrorKind::NotFound
        );
        drop(File::open(&path, Open::CreateNew).await.unwrap());
        let error = File::open(&path, Open::CreateNew).await.err().unwrap();
        assert_eq!(error.raw_os_error(), Some(libc::EEXIST));
        drop(File::open(&path, Open::ReadWrite).await.unwrap());
    });
}

#[test]
fn many_writes_in_flight_all_arrive() {
    on_shard(|| async {
        let dir = tempfile::tempdir().unwrap();
        let file = File::open(&dir.path().join("log"), Open::CreateNew).await.unwrap();
        let (tx, mut rx) = crate::rt::lane(1024);
        for index in 0..200_u64 {
            let (file, tx) = (file.clone(), tx.clone());
            crate::rt::spawn(async move {
                let data = pattern(ALIGN, index as u8).freeze();
                file.write_at(data, 0..ALIGN, index * ALIGN as u64, Sync::No)
                    .await
                    .unwrap();
                tx.try_send(index).unwrap();
            });
        }
        drop(tx);
        let mut done = Vec::new();
        while rx.recv_burst(&mut done, 64).await {}
        assert_eq!(done.len(), 200);
        for index in 0..200_u64 {
            let read = file.read_at(index * ALIGN as u64, ALIGN).await.unwrap();
            assert_eq!(read, pattern(ALIGN, index as u8).as_slice());
        }
    });
}

#[test]
fn directories_are_listed_written_and_removed() {
    on_shard(|| async {
        let temp = tempfile::tempdir().unwrap();
        let dir = temp.path().join("a/b");
        Dir::create_all(&dir).await.unwrap();
        Dir::write_file(&dir.join("x"), b"one".to_vec()).await.unwrap();
        Dir::write_file(&dir.join("x"), b"two".to_vec()).await.unwrap();
        Dir::create_all(&dir.join("sub")).await.unwrap();
        assert_eq!(Dir::read_file(&dir.join("x")).await.unwrap(), b"two");
        let mut listed = Dir::list(&dir).await.unwrap();
        listed.sort();
        assert_eq!(listed, [("sub".to_owned(), true), ("x".to_owned(), false)]);
        Dir::sync(&dir).await.unwrap();
        Dir::remove_file(&dir.join("x")).await.unwrap();
        assert_eq!(
            Dir::read_file(&dir.join("x")).await.unwrap_err().kind(),
            ErrorKind::NotFound
        );
        Dir::remove_all(&temp.path().join("a")).await.unwrap();
        let (free, total) = Dir::space(temp.path().to_owned()).await.unwrap();
        assert!(0 < free && free < total);
    });
}
