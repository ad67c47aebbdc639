//! Link arguments: calls of glommio and its bundled liburing that go through functions of `rt` instead. They reach every
//! target of this package (library tests, binary, integration tests, benches).
fn main() {
    println!("cargo:rerun-if-changed=build.rs");
    // `rt::ring_flag` asks for COOP_TASKRUN.
    println!("cargo:rustc-link-arg=-Wl,--wrap=__sys_io_uring_setup");
    // `rt::sleep_barrier` stands in for membarrier, where its reasoning holds.
    if std::env::var("CARGO_CFG_TARGET_ARCH").as_deref() == Ok("x86_64") {
        println!("cargo:rustc-link-arg=-Wl,--wrap=syscall");
    }
}
