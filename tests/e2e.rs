//! End to end: the real binary as a process, on loopback, with its data on a real file system.
//!
//! `admin`: metrics, health and the status page. `cluster`: three brokers. `compat`: real clients. `crash`: kill -9 under
//! load. `deploy`: what an operator deploys and asks. `disk`: full and failing disks. `hostile`: broken bytes. `idle`: what
//! nothing costs. `notebook`: the command line. `shards`: few and many. `startup`: refused starts, strays. `tuning`: the
//! scripts that set a server up.

mod admin;
mod cluster;
mod compat;
mod crash;
mod deploy;
mod disk;
mod hostile;
mod idle;
mod notebook;
mod shards;
mod startup;
mod support;
mod tuning;
