//! Link arguments: io_uring set-ups made by glommio's bundled liburing go through `rt::ring_flag`, which asks for
//! COOP_TASKRUN. They reach every target of this package (library tests, binary, integration tests, benches).
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    println!("cargo:rustc-link-arg=-Wl,--wrap=__sys_io_uring_setup");
}
