//! Which world this thread lives in: it decides what `spawn`, `sleep`, `File` and the others do when called.

use std::cell::Cell;

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(super) enum World {
    /// A thread without an event loop: the command line, unit tests, `main`.
    Plain,
    /// A shard's pinned executor (glommio).
    Shard,
    /// The control thread's event loop (tokio).
    Control,
    /// A simulated machine (tests).
    #[cfg(test)]
    Sim,
}

thread_local! {
    static WORLD: Cell<World> = const { Cell::new(World::Plain) };
}

pub(super) fn current() -> World {
    WORLD.with(Cell::get)
}

/// Sets this thread's world; called by whoever starts the thread, and by the simulation.
pub(super) fn enter(world: World) {
    WORLD.with(|cell| cell.set(world));
}
